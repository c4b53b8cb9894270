"""What the fake Discord holds: servers, channels, threads, people, messages, files, and what people did."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

Json = dict[str, Any]
Clock = Callable[[], float]
Kind = Literal["text", "forum", "dm", "group"]

EPOCH_MS = 1_420_070_400_000
"""Discord's: the first second of 2015 ("Snowflakes")."""
RIGHTS = {
    "view_channel": 1 << 10,
    "send_messages": 1 << 11,
    "embed_links": 1 << 14,
    "attach_files": 1 << 15,
    "read_message_history": 1 << 16,
    "use_application_commands": 1 << 31,
    "manage_threads": 1 << 34,
    "create_public_threads": 1 << 35,
    "send_messages_in_threads": 1 << 38,
}
"""("Permissions", "Bitwise Permission Flags")"""
BOT_RIGHTS = tuple(name for name in RIGHTS if name != "manage_threads")
EPHEMERAL, LOADING, HAS_THREAD, COMPONENTS_V2 = 1 << 6, 1 << 7, 1 << 5, 1 << 15
INTERACTION_SECONDS, TOKEN_SECONDS, GUEST_FOLLOWUPS = 3.0, 15 * 60, 5


@dataclass(frozen=True, slots=True)
class User:
    """A person, or a bot. `closed`: takes no direct messages from the bot."""

    id: str
    name: str
    bot: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Guild:
    """A server. `installed`: the bot is in it."""

    id: str
    name: str = "Home"
    installed: bool = True


@dataclass(frozen=True, slots=True)
class Channel:
    """`rights` are the bot's there. A direct message is with `users`, and so is a group."""

    id: str
    name: str = ""
    kind: Kind = "text"
    guild_id: str = "900000000000000000"
    rights: tuple[str, ...] = BOT_RIGHTS
    users: tuple[str, ...] = ()


@dataclass(slots=True)
class Thread:
    """A thread of a channel; one that hangs from a message has its id."""

    id: str
    parent: str
    name: str
    owner: str
    made: float
    archived: bool = False
    locked: bool = False
    minutes: int = 4320


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a person attaches."""

    name: str
    content: bytes
    type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came; `name` is Discord's for the operation. `status` is 0 where no answer went out whole."""

    name: str
    method: str
    path: str
    token: str
    body: Any
    at: float
    query: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    status: int = 0
    answered: Any = None


Response = Literal["", "message", "deferred", "update", "deferred_update", "modal", "autocomplete"]


@dataclass(slots=True, eq=False)
class Gesture:
    """Something a person did, as an interaction: how it was responded to, and what can be read of that."""

    id: str
    token: str
    kind: int
    user: User
    guild_id: str
    channel_id: str
    at: float
    guest: bool = False
    payload: Json = field(default_factory=dict)
    response: Response = ""
    original: str = ""
    ephemeral: bool = False
    told: Any = None
    followups: int = 0
    responded: asyncio.Event = field(default_factory=asyncio.Event)

    async def acknowledged(self, seconds: float = INTERACTION_SECONDS) -> Response:
        """How it was responded to, once it was; empty where that took too long."""
        try:
            async with asyncio.timeout(seconds):
                await self.responded.wait()
        except TimeoutError:
            pass
        return self.response


class Refused(Exception):
    """The API says no."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}
        if errors:
            self.body["errors"] = errors


UNKNOWN_CHANNEL = (404, 10003, "Unknown Channel")
UNKNOWN_MESSAGE = (404, 10008, "Unknown Message")
UNKNOWN_WEBHOOK = (404, 10015, "Unknown Webhook")
UNKNOWN_INTERACTION = (404, 10062, "Unknown interaction")
FOLLOWUPS_OVER = (400, 40094, "Exceeded maximum number of follow-ups for this interaction")
ALREADY = (400, 40060, "Interaction has already been acknowledged.")
MISSING_ACCESS = (403, 50001, "Missing Access")
NOT_OWN = (403, 50005, "Cannot edit a message authored by another user")
CLOSED = (403, 50007, "Cannot send messages to this user")
MISSING_RIGHT = (403, 50013, "Missing Permissions")
WRONG_KIND = (400, 50024, "Cannot execute action on this channel type")
TOKEN_OVER = (401, 50027, "Invalid Webhook Token")
ARCHIVED = (400, 50083, "Thread is archived")
HAS_ONE = (400, 160004, "A thread has already been created for this message")
NO_HISTORY = (403, 160002, "Cannot reply without permission to read message history")


HOME = Guild("900000000000000000")
AWAY = Guild("900000000004194304", "Away", installed=False)
GENERAL = Channel("910000000000000001", "general")
OTHER = Channel("910000000000000002", "other")
FORUM = Channel("910000000000000003", "ideas", kind="forum")
ABROAD = Channel("910000000000000004", "abroad", guild_id=AWAY.id, rights=())
ANN_DM = Channel("920000000000000001", kind="dm", guild_id="", users=("800000000000000001",))
GROUP = Channel(
    "920000000000000002", kind="group", guild_id="", users=("800000000000000001", "800000000000000002"), rights=()
)
ANN = User("800000000000000001", "ann")
BOB = User("800000000000000002", "bob")
BOT = User("700000000000000000", "panelist", bot=True)
APPLICATION = BOT.id


@dataclass(slots=True)
class World:
    """Everything the fake knows. Begins with one server that has the bot and one that has not, two people, a channel
    of each kind."""

    clock: Clock
    token: str = "bot-token"
    guilds: dict[str, Guild] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    threads: dict[str, Thread] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    posted: dict[str, dict[str, Json]] = field(default_factory=dict)
    seen_by: dict[str, str] = field(default_factory=dict)
    alerted: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    gestures: dict[str, Gesture] = field(default_factory=dict)
    nonces: dict[tuple[str, str], tuple[float, str, str]] = field(default_factory=dict)
    commands: list[Json] = field(default_factory=list)
    nonce_seconds: float = 300.0
    shards: int = 1
    application_flags: int = 0
    interactions_endpoint: str = ""
    reads_all: bool = False
    token_seconds: float = TOKEN_SECONDS
    origin: str = ""
    last: int = 0
    emit: Callable[[str, Json, str], None] = lambda event, payload, channel_id: None
    """What the gateway is told: an event, its payload, and the channel that it is about."""

    def __post_init__(self) -> None:
        self.add(HOME, AWAY, ANN, BOB, BOT, GENERAL, OTHER, FORUM, ABROAD, ANN_DM, GROUP)

    def add(self, *things: Guild | Channel | User) -> None:
        """Puts in, or replaces what has the same id."""
        for thing in things:
            match thing:
                case Guild():
                    self.guilds[thing.id] = thing
                case Channel():
                    self.channels[thing.id] = thing
                case User():
                    self.users[thing.id] = thing

    def forbid(self, channel: Channel | str, *rights: str) -> None:
        """Takes rights of the bot away."""
        held = self.channels[channel if isinstance(channel, str) else channel.id]
        self.add(replace(held, rights=tuple(name for name in held.rights if name not in rights)))

    def allow(self, channel: Channel | str, *rights: str) -> None:
        held = self.channels[channel if isinstance(channel, str) else channel.id]
        self.add(replace(held, rights=tuple(dict.fromkeys((*held.rights, *rights)))))

    def snowflake(self) -> str:
        """Never the same twice and always growing; holds the time."""
        self.last = max(self.last + 1, (round(self.clock() * 1_000) - EPOCH_MS) << 22)
        return str(self.last)

    def stamp(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).isoformat()

    def parent(self, channel_id: str) -> Channel | None:
        """The channel, or the one that a thread belongs to."""
        thread = self.threads.get(channel_id)
        return self.channels.get(thread.parent if thread else channel_id)

    def rights(self, channel_id: str) -> set[str]:
        parent = self.parent(channel_id)
        if parent is None:
            return set()
        if parent.kind == "dm":
            return {"view_channel", "send_messages", "attach_files", "embed_links", "read_message_history"}
        guild = self.guilds.get(parent.guild_id)
        return set(parent.rights) if guild is not None and guild.installed else set()

    def bits(self, channel_id: str) -> str:
        return str(sum(RIGHTS[name] for name in self.rights(channel_id)))

    def guild_of(self, channel_id: str) -> str:
        parent = self.parent(channel_id)
        return parent.guild_id if parent else ""

    def keep(self, message: Json, *, for_user: str = "") -> Json:
        """`for_user` is the only one who sees it."""
        self.posted.setdefault(message["channel_id"], {})[message["id"]] = message
        if for_user:
            self.seen_by[message["id"]] = for_user
        return message

    def held(self, channel_id: str, message_id: str) -> Json | None:
        return self.posted.get(channel_id, {}).get(message_id)

    def drop(self, channel_id: str, message_id: str) -> bool:
        return self.posted.get(channel_id, {}).pop(message_id, None) is not None

    def standing(self, channel_id: str, user: str | None = None) -> list[Json]:
        """The messages of a channel or thread, oldest first: what all see, or what this person alone sees as well."""
        every = sorted(self.posted.get(channel_id, {}).values(), key=lambda message: int(message["id"]))
        return [one for one in every if self.seen_by.get(one["id"]) in (None, user)]

    def dm_of(self, user: str) -> Channel:
        """The bot's direct messages with this person, opened where there are none."""
        for channel in self.channels.values():
            if channel.kind == "dm" and channel.users == (user,):
                return channel
        opened = Channel(self.snowflake(), kind="dm", guild_id="", users=(user,))
        self.add(opened)
        return opened

    def gesture(self, kind: int, user: User, channel_id: str) -> Gesture:
        guild = self.guilds.get(self.guild_of(channel_id))
        parent = self.parent(channel_id)
        guest = parent is not None and (parent.kind == "group" or (guild is not None and not guild.installed))
        token = secrets.token_urlsafe(24)
        made = Gesture(self.snowflake(), token, kind, user, guild.id if guild else "", channel_id, self.clock(), guest)
        self.gestures[token] = made
        return made

    def attach(self, channel_id: str, upload: Upload) -> Json:
        """Keeps a file, and gives it as messages have it."""
        id_ = self.snowflake()
        where = f"{self.origin}/attachments/{channel_id}/{id_}/{upload.name}"
        self.files[id_] = upload.content
        return {
            "id": id_,
            "filename": upload.name,
            "size": len(upload.content),
            "url": where,
            "proxy_url": where,
            "content_type": upload.type,
        }
