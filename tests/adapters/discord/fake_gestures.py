"""Discord's objects as the adapter reads them, in plain classes: no client, no sockets."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import discord
from discord.app_commands import AppCommandContext

BOT, ANN, BEN = 900, 11, 12
HOME, GENERAL, THREAD, FORUM, DM, GROUP = 5_000, 5_001, 5_002, 5_003, 6_001, 6_002
ELSEWHERE = 7_000


@dataclass(eq=True, unsafe_hash=True)
class FakeChannel:
    id: int = GENERAL
    type: discord.ChannelType = discord.ChannelType.text
    parent_id: int | None = None
    name: str = "general"


GENERAL_CHANNEL = FakeChannel()
A_THREAD = FakeChannel(THREAD, discord.ChannelType.public_thread, GENERAL)
A_FORUM_POST = FakeChannel(THREAD, discord.ChannelType.public_thread, FORUM)
A_DM = FakeChannel(DM, discord.ChannelType.private)
A_GROUP = FakeChannel(GROUP, discord.ChannelType.group)


@dataclass(eq=True, unsafe_hash=True)
class FakeUser:
    id: int = ANN
    display_name: str = "Ann"
    bot: bool = False
    name: str = "ann"


@dataclass(eq=True, unsafe_hash=True)
class FakeGuild:
    id: int = HOME


@dataclass(eq=True, unsafe_hash=True)
class FakeClient:
    """A client that is in some servers."""

    guilds: frozenset[int] = frozenset({HOME})

    def get_guild(self, guild: int) -> FakeGuild | None:
        return FakeGuild(guild) if guild in self.guilds else None


@dataclass(eq=True, unsafe_hash=True)
class FakeFile:
    filename: str = "plan.txt"
    url: str = "https://cdn.discordapp.com/ephemeral-attachments/1/2/plan.txt?ex=1"
    size: int = 12
    content_type: str | None = "text/plain"


@dataclass(eq=True, unsafe_hash=True)
class FakeText:
    """A text display."""

    content: str


@dataclass(eq=True, unsafe_hash=True)
class FakeContainer:
    children: list[Any]


@dataclass(eq=True, unsafe_hash=True)
class FakeMessage:
    content: str = ""
    id: int = 8_001
    channel: FakeChannel = GENERAL_CHANNEL
    author: FakeUser = field(default_factory=FakeUser)
    guild: FakeGuild | None = field(default_factory=FakeGuild)
    type: discord.MessageType = discord.MessageType.default
    webhook_id: int | None = None
    attachments: list[FakeFile] = field(default_factory=list)
    embeds: list[discord.Embed] = field(default_factory=list)
    components: list[Any] = field(default_factory=list)
    mentions: list[FakeUser] = field(default_factory=list)
    role_mentions: list[Any] = field(default_factory=list)
    channel_mentions: list[FakeChannel] = field(default_factory=list)
    message_snapshots: list["FakeMessage"] = field(default_factory=list)
    flags: discord.MessageFlags = field(default_factory=discord.MessageFlags)


@dataclass(eq=True, unsafe_hash=True)
class FakeResponse:
    """What a gesture was answered with."""

    said: list[str] = field(default_factory=list)

    def is_done(self) -> bool:
        return bool(self.said)

    async def send_message(self, content: str, *, ephemeral: bool) -> None:
        assert ephemeral
        self.said.append(content)


@dataclass(eq=True, unsafe_hash=True)
class FakeGesture:
    """An interaction."""

    id: int = 1_000_000
    user: FakeUser = field(default_factory=FakeUser)
    channel: FakeChannel | None = GENERAL_CHANNEL
    guild_id: int | None = HOME
    client: FakeClient = field(default_factory=FakeClient)
    custom_id: str | None = None
    message: FakeMessage | None = None
    data: Any = None
    type: discord.InteractionType = discord.InteractionType.application_command
    context: AppCommandContext = field(default_factory=AppCommandContext)
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    response: FakeResponse = field(default_factory=FakeResponse)
    _integration_owners: dict[int, int] = field(default_factory=dict)
    _state: Any = None


def in_dm(**more: Any) -> FakeGesture:
    """A gesture in a direct message with the bot."""
    return FakeGesture(channel=A_DM, guild_id=None, context=AppCommandContext(dm_channel=True), **more)


def as_guest(**more: Any) -> FakeGesture:
    """A gesture in a server that the bot is not in: its maker brought the app along."""
    return FakeGesture(guild_id=ELSEWHERE, _integration_owners={1: ANN}, **more)
