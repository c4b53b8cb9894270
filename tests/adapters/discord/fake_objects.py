"""Hand-written stand-ins for discord.py's objects: a client with the messages that stand, and gestures with their
rules. They record what was asked, and do what a test scripted before they do what Discord would."""

import asyncio
import itertools
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import discord

from adapters.discord.files import Files
from adapters.discord.frontend import DiscordFrontEnd
from adapters.discord.native import Native
from adapters.discord.refusals import Refusals

BOT, ANN, BOB, OTHER_BOT = 900, 501, 502, 901
GUILD, CHANNEL, THREAD = 100, 200, 300


@dataclass(frozen=True, slots=True)
class FakeResponse:
    """What discord.py makes its exceptions of."""

    status: int
    reason: str = "refused"
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, code: int = 0, message: str = "refused", **headers: str) -> discord.HTTPException:
    """An error as the library raises it."""
    kinds = {403: discord.Forbidden, 404: discord.NotFound}
    kind = discord.DiscordServerError if status >= 500 else kinds.get(status, discord.HTTPException)
    response = FakeResponse(status, headers=headers)
    return kind(response, {"code": code, "message": message})  # type: ignore[arg-type]


MISSING_ACCESS = refusal(403, 50001)
MISSING_PERMISSIONS = refusal(403, 50013)
UNKNOWN_MESSAGE = refusal(404, 10008)
TOKEN_OVER = refusal(401, 50027)
REFUSED_TOKEN = refusal(401)
DIRECT_REFUSED = refusal(403, 50007)
ARCHIVED = refusal(400, 50083)


@dataclass(frozen=True, slots=True)
class Lost:
    """The call is carried out, and its answer never comes."""

    error: BaseException = field(default_factory=aiohttp.ServerDisconnectedError)


@dataclass(frozen=True, slots=True)
class Said:
    """One call: what it was about and its arguments."""

    method: str
    channel: int
    arguments: dict[str, Any]


@dataclass(slots=True)
class FakeFlags:
    ephemeral: bool = False
    loading: bool = False


@dataclass(slots=True)
class FakeAuthor:
    id: int = BOT
    display_name: str = "Panelist"


@dataclass(slots=True)
class FakeMessage:
    """A message that stands."""

    id: int
    channel: int
    components: list[Any] = field(default_factory=list)
    author: FakeAuthor = field(default_factory=FakeAuthor)
    flags: FakeFlags = field(default_factory=FakeFlags)
    files: list[Any] = field(default_factory=list)
    reply_to: int | None = None
    mentions_allowed: discord.AllowedMentions | None = None
    content: str = ""
    embeds: tuple[Any, ...] = ()
    mentions: tuple[Any, ...] = ()
    role_mentions: tuple[Any, ...] = ()
    channel_mentions: tuple[Any, ...] = ()
    message_snapshots: tuple[Any, ...] = ()

    @property
    def text(self) -> str:
        """All that its components say."""
        return "\n".join(_texts(self.components))

    @property
    def buttons(self) -> list[str]:
        """What its buttons carry."""
        return [item.custom_id for item in _items(self.components) if getattr(item, "custom_id", None)]


class FakeClient:
    """The client, and the server with it: messages by channel, in the order in which they came."""

    def __init__(self) -> None:
        self.user = FakeAuthor()
        self.application_id = BOT
        self.http = FakeHttp(self)
        self.said: list[Said] = []
        self.standing: defaultdict[int, list[FakeMessage]] = defaultdict(list)
        self.threads: dict[int, str] = {}
        self.archived: set[int] = set()
        self.channels: dict[int, Any] = {}
        self._nonces: dict[tuple[int, str], FakeMessage] = {}
        self._scripted: defaultdict[str, deque[Any]] = defaultdict(deque)
        self._numbers = itertools.count(1_001)

    # What tests use

    def script(self, method: str, *outcomes: Any) -> None:
        """What the next calls of a method end with: an exception, `Lost`, or None for what Discord does."""
        self._scripted[method].extend(outcomes)

    def asked(self, method: str) -> list[Said]:
        return [said for said in self.said if said.method == method]

    def texts(self, channel: int) -> list[str]:
        return [message.text for message in self.standing[channel]]

    def stands(self, channel: int, native: int | str) -> FakeMessage:
        return next(message for message in self.standing[channel] if message.id == int(native))

    # What fakes use

    async def did(self, method: str, channel: int, do: Any = None, **arguments: Any) -> Any:
        """One call: recorded, then what is scripted, then what is done."""
        self.said.append(Said(method, channel, arguments))
        outcome = self._scripted[method].popleft() if self._scripted[method] else None
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        if isinstance(outcome, BaseException):
            raise outcome
        answer = do() if do is not None else None
        if isinstance(outcome, Lost):
            raise outcome.error
        return answer

    def add(self, channel: int, view: Any, *, ephemeral: bool = False, nonce: str = "", **more: Any) -> FakeMessage:
        """A message; the one that stands where its nonce was used before."""
        if nonce and (channel, nonce) in self._nonces:
            return self._nonces[channel, nonce]
        flags = FakeFlags(ephemeral=ephemeral)
        message = FakeMessage(next(self._numbers), channel, list(view.children), flags=flags, **more)
        self.standing[channel].append(message)
        if nonce:
            self._nonces[channel, nonce] = message
        return message

    def find(self, channel: int, native: int) -> FakeMessage:
        for message in self.standing[channel]:
            if message.id == native:
                return message
        raise UNKNOWN_MESSAGE

    def take_away(self, channel: int, native: int) -> None:
        self.standing[channel].remove(self.find(channel, native))

    # As discord.Client

    def get_partial_messageable(self, id: int) -> "FakeChannel":  # noqa: A002
        return FakeChannel(self, id)

    def get_channel(self, id: int) -> Any:  # noqa: A002
        return self.channels.get(id)

    async def create_dm(self, user: discord.Object) -> "FakeChannel":
        return await self.did("create_dm", 0, lambda: FakeChannel(self, direct_with(user.id)), user=user.id)


def direct_with(person: int) -> int:
    """The channel in which the bot and a person talk."""
    return 7_000 + person


@dataclass(slots=True)
class FakeHttp:
    """The calls for which the library's objects want a cache."""

    client: FakeClient

    async def start_thread_with_message(self, channel_id: int, message_id: int, **arguments: Any) -> None:
        client = self.client

        def do() -> None:
            if message_id in client.threads:
                raise refusal(400, 160004)
            client.find(channel_id, message_id)
            client.threads[message_id] = arguments["name"]

        await client.did("create_thread", channel_id, do, message=message_id, **arguments)

    async def delete_channel(self, channel_id: int) -> None:
        def do() -> None:
            if self.client.threads.pop(channel_id, None) is None:
                raise refusal(404, 10003)
            del self.client.standing[channel_id]

        await self.client.did("delete_channel", channel_id, do)

    async def edit_channel(self, channel_id: int, **arguments: Any) -> None:
        def do() -> None:
            if channel_id in self.client.archived and arguments.get("archived"):
                raise ARCHIVED
            self.client.archived.discard(channel_id)
            if arguments.get("archived"):
                self.client.archived.add(channel_id)
            if channel_id in self.client.threads:
                self.client.threads[channel_id] = arguments.get("name", self.client.threads[channel_id])

        await self.client.did("edit_channel", channel_id, do, **arguments)


@dataclass(slots=True)
class FakeChannel:
    """As `discord.PartialMessageable`."""

    client: FakeClient
    id: int
    type: Any = None

    async def send(self, **arguments: Any) -> FakeMessage:
        reference, more = arguments.get("reference"), dict[str, Any](nonce=arguments["nonce"])
        more |= {"files": arguments["files"], "mentions_allowed": arguments["allowed_mentions"]}
        more |= {"reply_to": reference.message_id if reference is not None else None}
        sent = await self.client.did(
            "send", self.id, lambda: self.client.add(self.id, arguments["view"], **more), **arguments
        )
        assert isinstance(sent, FakeMessage)
        return sent

    def get_partial_message(self, id: int) -> "FakePartial":  # noqa: A002
        return FakePartial(self.client, self.id, id)

    async def history(self, *, limit: int) -> Any:
        await self.client.did("history", self.id, limit=limit)
        for message in self.client.standing[self.id][::-1][:limit]:
            yield message


@dataclass(slots=True)
class FakePartial:
    """As `discord.PartialMessage`."""

    client: FakeClient
    channel: int
    id: int

    async def edit(self, **arguments: Any) -> FakeMessage:
        def do() -> FakeMessage:
            self._check()
            message = self.client.find(self.channel, self.id)
            message.components = list(arguments["view"].children)
            return message

        edited = await self.client.did("edit", self.channel, do, id=self.id, **arguments)
        assert isinstance(edited, FakeMessage)
        return edited

    async def delete(self) -> None:
        def do() -> None:
            self._check()
            self.client.take_away(self.channel, self.id)

        await self.client.did("delete", self.channel, do, id=self.id)

    def _check(self) -> None:
        if self.channel in self.client.archived:
            raise ARCHIVED


@dataclass(slots=True)
class FakeGuildChannel:
    """A channel as a gesture knows it."""

    id: int = CHANNEL
    type: discord.ChannelType = discord.ChannelType.text
    parent_id: int | None = None


EVERYTHING = discord.Permissions.all()


class FakeGesture:
    """As `discord.Interaction`: one first response, what follows it, and a token that ends."""

    def __init__(
        self,
        client: FakeClient,
        *,
        kind: discord.InteractionType = discord.InteractionType.application_command,
        channel: FakeGuildChannel | None = None,
        rights: discord.Permissions = EVERYTHING,
        pressed: FakeMessage | None = None,
    ) -> None:
        self.client, self.type, self.app_permissions = client, kind, rights
        self.channel = channel or FakeGuildChannel()
        self.message = pressed
        self.original: FakeMessage | None = pressed
        self.done, self.expired = "", False
        self.modals: list[Any] = []
        self.response, self.followup = FakeFirst(self), FakeFurther(self)

    def shown_to_all(self) -> list[str]:
        return [message.text for message in self.client.standing[self.channel.id] if not message.flags.ephemeral]

    def shown_to_one(self) -> list[str]:
        return [message.text for message in self.client.standing[self.channel.id] if message.flags.ephemeral]

    async def original_response(self) -> FakeMessage:
        found = await self.client.did("original_response", self.channel.id, self._first)
        assert isinstance(found, FakeMessage)
        return found

    async def edit_original_response(self, **arguments: Any) -> FakeMessage:
        def do() -> FakeMessage:
            message = self._first()
            message.components, message.flags.loading = list(arguments["view"].children), False
            return message

        edited = await self.client.did("edit_original", self.channel.id, do, **arguments)
        assert isinstance(edited, FakeMessage)
        return edited

    async def delete_original_response(self) -> None:
        def do() -> None:
            self.client.take_away(self.channel.id, self._first().id)
            self.original = None

        await self.client.did("delete_original", self.channel.id, do)

    def check(self) -> None:
        if self.expired:
            raise TOKEN_OVER

    def _first(self) -> FakeMessage:
        self.check()
        if self.original is None:
            raise UNKNOWN_MESSAGE
        return self.original


@dataclass(slots=True)
class FakeFirst:
    """As `discord.InteractionResponse`."""

    gesture: FakeGesture
    answered: bool = False

    def is_done(self) -> bool:
        return self.answered

    async def send_message(self, **arguments: Any) -> Any:
        def do() -> Any:
            self._begin("message")
            gesture = self.gesture
            gesture.original = gesture.client.add(
                gesture.channel.id,
                arguments["view"],
                ephemeral=arguments["ephemeral"],
                files=arguments["files"],
                mentions_allowed=arguments["allowed_mentions"],
            )
            return Callback(gesture.original.id)

        return await self._did("send_message", do, **arguments)

    async def defer(self, *, ephemeral: bool = False, thinking: bool = False) -> Any:
        def do() -> Any:
            self._begin("thinking" if thinking else "update")
            gesture = self.gesture
            if thinking:
                gesture.original = gesture.client.add(gesture.channel.id, discord.ui.LayoutView(), ephemeral=ephemeral)
                gesture.original.flags.loading = True
            return Callback(None)

        return await self._did("defer", do, ephemeral=ephemeral, thinking=thinking)

    async def send_modal(self, modal: Any) -> Any:
        def do() -> Any:
            self._begin("modal")
            self.gesture.modals.append(modal)
            return Callback(None)

        return await self._did("send_modal", do, modal=modal)

    async def _did(self, method: str, do: Any, **arguments: Any) -> Any:
        if self.answered:
            raise discord.InteractionResponded(self.gesture)  # type: ignore[arg-type]
        answer = await self.gesture.client.did(method, self.gesture.channel.id, do, **arguments)
        self.answered = True
        return answer

    def _begin(self, what: str) -> None:
        if self.gesture.expired:
            raise refusal(404, 10062)
        if self.gesture.done:
            raise refusal(400, 40060)
        self.gesture.done = what


@dataclass(frozen=True, slots=True)
class Callback:
    message_id: int | None


@dataclass(slots=True)
class FakeFurther:
    """As the webhook of an interaction."""

    gesture: FakeGesture

    async def send(self, **arguments: Any) -> FakeMessage:
        gesture = self.gesture

        def do() -> FakeMessage:
            gesture.check()
            if not gesture.done:
                raise refusal(404, 10015)
            if gesture.original is not None and gesture.original.flags.loading:
                # What follows takes the place of what was announced, seen by whoever sees that.
                gesture.original.components = list(arguments["view"].children)
                gesture.original.flags.loading = False
                return gesture.original
            return gesture.client.add(
                gesture.channel.id, arguments["view"], ephemeral=arguments["ephemeral"], files=arguments["files"]
            )

        sent = await gesture.client.did("follow_up", gesture.channel.id, do, **arguments)
        assert isinstance(sent, FakeMessage)
        return sent

    async def edit_message(self, id: int, **arguments: Any) -> FakeMessage:  # noqa: A002
        def do() -> FakeMessage:
            self.gesture.check()
            message = self.gesture.client.find(self.gesture.channel.id, id)
            message.components = list(arguments["view"].children)
            return message

        edited = await self.gesture.client.did("edit_follow_up", self.gesture.channel.id, do, id=id, **arguments)
        assert isinstance(edited, FakeMessage)
        return edited

    async def delete_message(self, id: int) -> None:  # noqa: A002
        def do() -> None:
            self.gesture.check()
            self.gesture.client.take_away(self.gesture.channel.id, id)

        await self.gesture.client.did("delete_follow_up", self.gesture.channel.id, do, id=id)


@dataclass(slots=True)
class Clock:
    """Time that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def never() -> None:
    """No gesture is acknowledged for its time alone."""
    await asyncio.Event().wait()


def front_end(client: FakeClient, clock: Clock | None = None, wait: Any = never) -> DiscordFrontEnd:
    """The front end on a fake client; no socket is opened."""
    time = clock or Clock()
    native = Native(client, Refusals(time))  # type: ignore[arg-type]
    return DiscordFrontEnd(native, Files(), wait=wait, clock=time)


def _items(items: Any) -> list[Any]:
    found = []
    for item in items:
        found += [item, *_items(getattr(item, "children", None) or ())]
    return found


def _texts(items: Any) -> list[str]:
    return [item.content for item in _items(items) if isinstance(getattr(item, "content", None), str)]
