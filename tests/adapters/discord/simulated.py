"""A whole house in this process whose front end is the real adapter and the real discord.py client, in simcord."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import discord
import simcord

from adapters.discord.client import PanelistClient
from adapters.discord.config import DiscordConfig
from adapters.discord.connect import front_of
from adapters.discord.files import Files
from adapters.port import Attachment, SendError, Unfetched
from tests.adapters.discord.openapi import assert_valid
from tests.house import good, served

PANELS = (("decision", "Decision"), ("product", "Product"))


class Apart:
    """Hands gestures over to a task of its own. simcord would else wait for whatever a gesture set going, whole runs
    included, and give it a clock that stands still."""

    def __init__(self) -> None:
        self._handed: asyncio.Queue[tuple[Awaitable[None], asyncio.Future[None]]] = asyncio.Queue()

    def around(self, take: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def handed_over(*arguments: Any) -> None:
            taken = asyncio.get_running_loop().create_future()
            self._handed.put_nowait((take(*arguments), taken))
            await taken

        return handed_over

    async def work(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                handed, taken = await self._handed.get()
                group.create_task(self._one(handed, taken))

    async def _one(self, handed: Awaitable[None], taken: asyncio.Future[None]) -> None:
        try:
            await handed
        except Exception as error:  # noqa: BLE001 - it is the other task's
            taken.set_exception(error)
        else:
            taken.set_result(None)


class SimulatedFiles(Files):
    """What simcord keeps of attached files."""

    def __init__(self, env: Any) -> None:
        super().__init__()
        self._env = env

    async def fetch(self, attachment: Attachment) -> bytes | Unfetched | SendError:
        found: bytes | None = self._env.backend.cdn.get(json.loads(attachment.ref)["url"])
        return Unfetched("it is not there") if found is None else found


class Within:
    """The front end, whose calls simcord answers from whatever task they come."""

    def __init__(self, front: Any, env: Any) -> None:
        self._front, self._env = front, env

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._front, name)
        if not inspect.iscoroutinefunction(found) or name == "serve":
            return found

        async def called(*arguments: Any, **named: Any) -> Any:
            with self._env.time_context():
                return await found(*arguments, **named)

        return called


@dataclass
class Hall:
    """A simulated Discord, the front end in it, and the house behind that."""

    env: Any
    guild: Any
    channel: Any
    ann: Any
    client: PanelistClient
    folder: Path
    front: Any = None
    house: Any = None
    teams: Any = None
    apart: Apart = field(default_factory=Apart)

    def threads(self) -> list[Any]:
        return list(self.channel.threads)

    def said(self, channel: Any = None) -> list[str]:
        """What stands in a channel or thread."""
        return [text_of(message) for message in (channel or self.channel).history()]

    async def until(self, said: str, channel: Callable[[], Any] | None = None, seconds: float = 10) -> str:
        """Wait until a text stands somewhere; all that stands there then."""
        async with asyncio.timeout(seconds):
            while True:
                where = channel() if channel is not None else (self.threads() or [self.channel])[-1]
                shown = "\n".join(self.said(where)) if where is not None else ""
                if said in shown:
                    return shown
                await asyncio.sleep(0.02)

    def requests(self, method: str = "", part: str = "") -> list[Any]:
        """What the bot asked of Discord."""
        return [each for each in self.env.http_requests if method in ("", each.method) and part in each.path]

    async def settled(self) -> None:
        await self.house.intake.settled()

    async def restarted(self, client: PanelistClient) -> None:
        """The same Discord with another client in it."""
        await self.env.restart_bot(client)
        self.client = client


def texts(component: Any) -> list[str]:
    found = [component["content"]] if isinstance(component.get("content"), str) else []
    inner = [*component.get("components", []), *([component["accessory"]] if component.get("accessory") else [])]
    return found + [text for each in inner for text in texts(each)]


def buttons(message: discord.Message) -> dict[str, str]:
    """The buttons of a message: ids by label."""

    def found(components: Any) -> dict[str, str]:
        own: dict[str, str] = {}
        for each in components:
            if isinstance(each, discord.Button) and each.custom_id:
                own[each.label or ""] = each.custom_id
            own |= found(getattr(each, "children", None) or ())
        return own

    return found(message.components)


def text_of(message: discord.Message) -> str:
    """All that a person reads in a message."""
    said = [text for component in message.components for text in texts(component.to_dict())]
    return "\n".join([message.content, *said, *(file.filename for file in message.attachments)]).strip()


def new_client(folder: Path) -> PanelistClient:
    return PanelistClient(DiscordConfig("token", shard_count=1, panels=PANELS, folder=folder / "discord"))


@asynccontextmanager
async def hall(folder: Path, *, check_errors: bool = True, **options: Any) -> AsyncIterator[Hall]:
    """A server with one channel and one person, and the client in it; nobody serves yet."""
    client = new_client(folder)
    async with simcord.run(client, check_errors=check_errors, **options) as env:
        guild = env.create_guild()
        channel = guild.create_text_channel("general")
        yield Hall(env, guild, channel, guild.add_member(env.create_user("ann")), client, folder)
        # A test that plays somebody's forum post sends it as the bot, with a parameter that Discord does not document.
        assert_valid(each for each in env.http_requests if "use_nested_fields" not in each.params)


@asynccontextmanager
async def serving(at: Hall, script: Any = good, **plan: Any) -> AsyncIterator[Hall]:
    """The house behind the client of the hall, until the block ends."""
    front = Within(front_of(at.client, files=SimulatedFiles(at.env)), at.env)
    at.apart = Apart()
    at.client.incoming.hands_to(at.apart.around(front.take))
    working = asyncio.create_task(at.apart.work())
    try:
        async with served(script, front=front, folder=at.folder, **plan) as (_, house, teams):
            while not front.health().ready:
                await asyncio.sleep(0)
            at.front, at.house, at.teams = front, house, teams
            yield at
    finally:
        working.cancel()
        await front.close()
