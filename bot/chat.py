"""The chat front ends that are set up: from settings to front ends that are connected, and their web routes."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from adapters.discord.config import DiscordConfig
from adapters.port import FrontEnd, Health
from adapters.slack.config import SlackConfig
from bot.errors import StoreFailed
from bot.settings import BotSettings

if TYPE_CHECKING:
    import sqlalchemy as sa
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


@dataclass(frozen=True, slots=True)
class Setup:
    """How each chat platform is set up. One that is not says what it is missing."""

    slack: SlackConfig
    discord: DiscordConfig

    @property
    def any(self) -> bool:
        """Whether there is a platform to serve."""
        return not self.slack.missing or not self.discord.missing

    @property
    def missing(self) -> tuple[str, ...]:
        """Which platforms are not set up, and what each needs."""
        each = (("Slack", self.slack.missing), ("Discord", self.discord.missing))
        return tuple(f"{name} is not set up: {what}" for name, what in each if what)


def setup_of(bot: BotSettings, folder: Path, panels: Iterable[tuple[str, str]] = (), *, listens: bool = True) -> Setup:
    """The platforms as the settings have them. `folder` is where front ends keep what is theirs; `panels` are the names
    and titles that a command offers. One that does not `listen` only posts."""
    return Setup(_slack(bot, folder, listens=listens), _discord(bot, folder, tuple(panels), listens=listens))


def _slack(bot: BotSettings, folder: Path, *, listens: bool) -> SlackConfig:
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
        listens=listens,
    )


def _discord(bot: BotSettings, folder: Path, panels: tuple[tuple[str, str], ...], *, listens: bool) -> DiscordConfig:
    return DiscordConfig(
        token=_secret(bot.discord_token),
        api=str(bot.discord_api_url).rstrip("/"),
        gateway=str(bot.discord_gateway_url or ""),
        shard_count=bot.discord_shard_count,
        folder=folder,
        panels=panels,
        listens=listens,
    )


def web_port(bot: BotSettings, setup: Setup) -> int | None:
    """Where the web server listens; None where nobody needs one."""
    needed = not setup.slack.missing and setup.slack.web
    return bot.port or (DEFAULT_PORT if needed else None)


@dataclass(frozen=True, slots=True)
class Together:
    """What front ends of several processes share: the database of installations, and who may have the session with
    Discord's gateway."""

    installations: "Callable[[], sa.Engine]"
    session: Callable[[], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def chat(setup: Setup, together: Together | None = None) -> AsyncIterator[Chat]:
    """The front ends, closed when the block ends. Raises `FrontEndFailed`."""
    fronts: list[FrontEnd] = []
    routes: tuple[web.RouteDef, ...] = ()
    async with AsyncExitStack() as stack:
        # The platforms' packages take a moment to import, and only who serves needs them.
        if not setup.slack.missing:
            from adapters.slack.connect import slack_front

            shared = None if together is None else together.installations
            slack = await stack.enter_async_context(slack_front(setup.slack, shared=shared))
            fronts.append(slack.front)
            routes = slack.routes
        if not setup.discord.missing:
            from adapters.discord.connect import discord_front

            session = nullcontext if together is None else together.session
            fronts.append(await stack.enter_async_context(discord_front(setup.discord, session=session)))
        yield Chat({front.name: front for front in fronts}, routes)


def _secret(value: SecretStr | None) -> str:
    return "" if value is None else value.get_secret_value()
