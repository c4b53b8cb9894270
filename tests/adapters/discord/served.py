"""A whole house in this process whose front end is the real Discord adapter, on the fake Discord."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters.discord.config import DiscordConfig
from adapters.discord.connect import discord_front
from adapters.discord.frontend import DiscordFrontEnd
from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.discord.fake_reading import buttons, plain
from tests.adapters.discord.fake_world import ANN, GENERAL, Channel, Gesture, Json, Thread, User
from tests.house import good, served

PANELS = (("decision", "Decision"),)


@dataclass(frozen=True, slots=True)
class Office:
    """Discord, the front end on it, and the house behind that."""

    discord: FakeDiscord
    front: Any
    house: Any
    teams: Any

    async def panel(
        self, topic: str = "Open on Sundays?", user: User = ANN, place: Any = GENERAL, **more: Any
    ) -> Gesture:
        """Somebody asks a panel, and it is acknowledged."""
        gesture = await self.discord.slash(user, place, "panel", topic=topic, **more)
        assert await gesture.acknowledged() != ""
        return gesture

    def roots(self, channel: Channel = GENERAL) -> list[Json]:
        """The messages with which runs began, in a channel in which they hang their threads."""
        return [one for one in self.discord.by_bot(channel) if one["id"] in self.discord.threads]

    async def until(self, said: str, place: Channel | Thread | str | None = None, seconds: float = 20) -> str:
        """Wait until a text stands in a place, or in any; all that stands there then."""
        async with asyncio.timeout(seconds):
            while True:
                shown = self.text(place)
                if said in shown:
                    return shown
                await asyncio.sleep(0.01)

    def text(self, place: Channel | Thread | str | None = None) -> str:
        places = [place] if place is not None else [*self.discord.posted]
        return "\n".join(text for one in places for text in self.discord.shown(one))

    async def told(self, said: str, user: User = ANN, seconds: float = 10) -> str:
        """Wait until somebody alone was told something."""
        async with asyncio.timeout(seconds):
            while said not in (told := "\n".join(self.discord.told_alone(user))):
                await asyncio.sleep(0.01)
        return told

    async def button(
        self, label: str, place: Channel | Thread | str = GENERAL, seconds: float = 10
    ) -> tuple[Json, str]:
        """Wait until a button stands in a place: its message, and its id."""
        async with asyncio.timeout(seconds):
            while True:
                for message in reversed(self.discord.by_bot(place)):
                    if label in (found := buttons(message)):
                        return message, found[label]
                await asyncio.sleep(0.01)

    def thread_of(self, root: Json) -> list[str]:
        """A run's messages as a person reads them, its root first."""
        return [plain(message) for message in self.discord.messages(root["id"])]


def config_of(discord: FakeDiscord, folder: Path, **more: Any) -> DiscordConfig:
    """How the bot is set up on the fake."""
    chosen = {"token": discord.token, "api": discord.api, "gateway": discord.gateway_url, "panels": PANELS}
    return DiscordConfig(**{**chosen, "folder": folder} | more)


@contextmanager
def addresses_kept() -> Iterator[None]:
    """The library's addresses, which hold for a whole process, as they were before."""
    before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    try:
        yield
    finally:
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = before


@asynccontextmanager
async def connected(
    discord: FakeDiscord, folder: Path | None = None, *, down_seconds: float = 60.0, **more: Any
) -> AsyncIterator[DiscordFrontEnd]:
    """The front end on the fake. It serves nobody yet."""
    with TemporaryDirectory() as temporary, addresses_kept():
        config = config_of(discord, folder or Path(temporary), **more)
        async with discord_front(config, down_seconds=down_seconds) as front:
            yield front


@asynccontextmanager
async def office(
    script: Any = good, *, discord: FakeDiscord | None = None, folder: Path | None = None, **plan: Any
) -> AsyncIterator[Office]:
    """All of it, already serving, until the block ends. Then nothing may have been wrong with any request."""
    own = discord is None
    discord = discord or FakeDiscord()
    if own:
        await discord.start()
    try:
        async with (
            connected(discord, folder) as front,
            served(script, front=front, folder=folder, **plan) as (front, house, teams),
        ):
            await serving(discord, front)
            yield Office(discord, front, house, teams)
        assert discord.violations == []
    finally:
        if own:
            await discord.stop()


async def serving(discord: FakeDiscord, front: DiscordFrontEnd) -> None:
    """Waits until the front end hears what is told to it."""
    await discord.connected()
    async with asyncio.timeout(5):
        while not front.health().ready:
            await asyncio.sleep(0.005)
