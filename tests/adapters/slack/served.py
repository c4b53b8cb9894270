"""A whole house in this process whose front end is the real Slack adapter, on the fake Slack, over either transport."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.port import Pace
from adapters.slack.config import SlackConfig
from adapters.slack.connect import EVENTS_PATH, Slack, slack_front
from adapters.slack.frontend import Paces
from bot.http import Web
from tests.adapters.slack.fake_reading import plain
from tests.adapters.slack.fake_slack import Delivered, FakeSlack
from tests.adapters.slack.fake_world import GENERAL, HOME
from tests.house import good, served

AT_ONCE = Paces(Pace(1_000, per_minute=60_000), Pace(1_000, per_minute=60_000))
"""No test has to wait for the fake, whose limits are off unless a test asks for them."""


@dataclass(frozen=True, slots=True)
class Office:
    """Slack, the front end on it, the house behind that, and how payloads reach them."""

    slack: FakeSlack
    front: Any
    house: Any
    teams: Any
    url: str

    async def send(self, payload: dict[str, Any], kind: str, **more: Any) -> Any:
        """Deliver a payload as Slack does: the acknowledgement over the socket, or the HTTP answer."""
        if self.url:
            return await self.slack.deliver(self.url, payload, kind, **more)  # type: ignore[arg-type]
        types = {"event": "events_api", "command": "slash_commands", "interaction": "interactive"}
        return await self.slack.send_envelope(payload, type=types[kind], **more)  # type: ignore[arg-type]

    def acknowledged(self, answer: Any) -> bool:
        return answer.status == 200 if isinstance(answer, Delivered) else answer is not None

    async def until(self, said: str, channel: str = GENERAL.id, thread: str | None = None, seconds: float = 10) -> str:
        """Wait until a text stands in a channel; all that stands there then."""
        async with asyncio.timeout(seconds):
            while True:
                shown = "\n".join(plain(message) for message in self.slack.messages(channel, thread))
                if said in shown:
                    return shown
                await asyncio.sleep(0.01)

    async def told(self, said: str, seconds: float = 10) -> str:
        """Wait until somebody alone was told something."""
        async with asyncio.timeout(seconds):
            while True:
                whispers = [plain(one.message) for one in self.slack.ephemerals]
                if any(said in whisper for whisper in whispers):
                    return "\n".join(whispers)
                await asyncio.sleep(0.01)


def config_of(slack: FakeSlack, transport: str, **more: Any) -> SlackConfig:
    """How the bot is set up on the fake."""
    chosen = {"app_token": slack.app_token} if transport == "socket" else {"signing_secret": slack.signing_secret}
    return SlackConfig(**{"bot_token": HOME.token, "api": slack.url} | chosen | more)


@asynccontextmanager
async def connected(
    slack: FakeSlack, transport: str = "socket", *, paces: Paces = AT_ONCE, down_seconds: float = 60.0, **more: Any
) -> AsyncIterator[tuple[Slack, str]]:
    """The front end, and the address of its events; empty where they come over a socket."""
    async with slack_front(config_of(slack, transport, **more), paces=paces, down_seconds=down_seconds) as connection:
        if transport == "socket":
            yield connection, ""
            return
        async with Web(dict, connection.routes, 0, host="127.0.0.1") as web:
            yield connection, f"http://127.0.0.1:{web.port}{EVENTS_PATH}"


@asynccontextmanager
async def office(
    transport: str = "socket",
    script: Any = good,
    *,
    slack: FakeSlack | None = None,
    folder: Path | None = None,
    **plan: Any,
) -> AsyncIterator[Office]:
    """All of it, already serving, until the block ends."""
    own = slack is None
    slack = slack or FakeSlack()
    if own:
        await slack.start()
    try:
        async with (
            connected(slack, transport) as (connection, url),
            served(script, front=connection.front, folder=folder, **plan) as (front, house, teams),
        ):
            if transport == "socket":
                await slack.connected()
            else:
                while not front.health().ready:
                    await asyncio.sleep(0)
            yield Office(slack, front, house, teams, url)
    finally:
        if own:
            await slack.stop()
