"""The chat front ends that are set up: from settings to front ends that are connected, and their web routes."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from adapters.port import FrontEnd, Health
from adapters.slack.config import SlackConfig
from bot.errors import StoreFailed
from bot.settings import BotSettings

if TYPE_CHECKING:
    from aiohttp import web

    from bot.house import Open

DEFAULT_PORT = 3_000
"""Where the web server listens when Slack has to reach it and PORT is not set: the port of Slack's own examples."""


@dataclass(frozen=True, slots=True)
class Chat:
    """Front ends by name, and what they need of the web server."""

    fronts: Mapping[str, FrontEnd]
    routes: "tuple[web.RouteDef, ...]" = ()

    def health(self) -> Mapping[str, Health]:
        """How each front end is."""
        return {name: front.health() for name, front in self.fronts.items()}


@dataclass(slots=True)
class Readiness:
    """What has to be asked to know whether the process is ready."""

    house: "Open | None" = field(default=None)

    def opened(self, house: "Open") -> None:
        """The house is open: its runs can be told of."""
        self.house = house

    async def checks(self) -> Mapping[str, Health]:
        """Whether the run database answers."""
        if self.house is None:
            return {"runs": Health(False, "starting")}
        try:
            await self.house.store.claimed("readiness")
        except StoreFailed as error:
            return {"runs": Health(False, str(error))}
        return {"runs": Health(True)}


def slack_config(bot: BotSettings, folder: Path) -> SlackConfig:
    """How Slack is set up. `folder` is where tokens of several workspaces are kept."""
    api = str(bot.slack_api_url)
    return SlackConfig(
        bot_token=_secret(bot.slack_bot_token),
        app_token=_secret(bot.slack_app_token),
        signing_secret=_secret(bot.slack_signing_secret),
        client_id=bot.slack_client_id or "",
        client_secret=_secret(bot.slack_client_secret),
        api=api if api.endswith("/") else f"{api}/",
        folder=folder,
        public_url=str(bot.panelist_url or "").rstrip("/"),
    )


def missing(bot: BotSettings) -> tuple[str, ...]:
    """Which chat front ends are not set up, and what each needs."""
    slack = slack_config(bot, Path()).missing
    found = [f"Slack is not set up: {slack}"] if slack else []
    if bot.discord_token is None:
        found.append("Discord is not set up: set DISCORD_TOKEN")
    return tuple(found)


def web_port(bot: BotSettings, slack: SlackConfig) -> int | None:
    """Where the web server listens; None where nobody needs one."""
    return bot.port or (DEFAULT_PORT if slack.web else None)


@asynccontextmanager
async def chat(configs: Iterable[SlackConfig]) -> AsyncIterator[Chat]:
    """The front ends, closed when the block ends. Raises `FrontEndFailed`."""
    # Slack's packages take a moment to import, and only who serves needs them.
    from adapters.slack.connect import slack_front

    async with AsyncExitStack() as stack:
        connected = [await stack.enter_async_context(slack_front(config)) for config in configs]
        fronts: dict[str, FrontEnd] = {slack.front.name: slack.front for slack in connected}
        routes = tuple(route for slack in connected for route in slack.routes)
        yield Chat(fronts, routes)


def _secret(value: SecretStr | None) -> str:
    return "" if value is None else value.get_secret_value()
