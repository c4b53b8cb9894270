"""Calls to Discord, one method each: Discord's answer, or what its failure means for what was sent.

Nothing is sent twice here, but for cases in which Discord said that it did nothing: a thread that has to be opened
again first, a reply where the bot may not reply, files where it may not attach any.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import discord

from adapters.discord.errors import (
    ANSWER,
    ARCHIVED,
    ATTACH,
    CALL_ERRORS,
    DIRECTLY,
    EDIT,
    HANG,
    HAS_THREAD,
    MANAGE,
    NO_REPLIES,
    OVER,
    READ,
    RENAME,
    REPLY,
    TOKEN_REFUSED,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    Need,
    code_of,
    counts_as_invalid,
    refuses_token,
    send_error,
)
from adapters.discord.layout import Message, without_files
from adapters.discord.marks import found_in, mark_of, nonce_of
from adapters.discord.refusals import Refusals
from adapters.discord.views import files_of, mentions_of, view_of
from adapters.port import NotDispatched, PermissionMissing, SendError
from adapters.shown import Shown

T = TypeVar("T")

CLOSED = NotDispatched("the Discord front end is closed")

LONGEST_CALL = 120.0
"""Seconds of one call, the library's own waits for rate limits and its tries after a 5xx among them."""

LAST_SECONDS = 3.0
"""How long calls that nobody waits for any more may go on when the adapter is closed."""

DELETED_NAME = "deleted"
"""What a thread is called that the bot may not delete."""

ARCHIVE_AFTER: Literal[1440] = 1440
"""Minutes without a word after which Discord closes a thread: a day. A new post opens it again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Which part of which post a message is. It travels in the id of the message's first text."""

    key: str
    number: int = 1
    of: int = 1

    @property
    def id(self) -> int:
        """As Discord keeps it."""
        return mark_of(self.key, self.number, self.of)

    @property
    def nonce(self) -> str:
        """By this Discord knows a message that is sent again within some minutes."""
        return nonce_of(self.key, self.number)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a message goes: a channel or thread, and the message that it is a reply to."""

    channel: str
    need: Need
    replies_to: str = ""


def shown(message: Message, mark: int) -> dict[str, Any]:
    """A message as the library's arguments."""
    return {"view": view_of(message, mark), "allowed_mentions": mentions_of(message)}


def posted(message: Message, mark: int) -> dict[str, Any]:
    """A new message, with its files."""
    return {**shown(message, mark), "files": files_of(message)}


def edited(message: Message, mark: int) -> dict[str, Any]:
    """A message in place of another. Files are sent along each time, so that its text and they fit together."""
    return {**shown(message, mark), **({"attachments": files_of(message)} if message.files else {})}


class Native:
    """Discord's methods as the rest of the adapter needs them. All go by the bot's token, but for `by_token`."""

    def __init__(self, client: discord.Client, refusals: Refusals | None = None) -> None:
        self.client, self.refusals = client, refusals or Refusals()
        self.closed = False
        self._left: set[asyncio.Future[Any]] = set()
        self.token_refused = asyncio.Event()

    async def call(self, channel: str, need: Need, call: Callable[[], Awaitable[T]]) -> T | SendError:
        """One call about a channel."""
        if self.closed:
            return CLOSED
        if self.token_refused.is_set():
            return TOKEN_REFUSED
        hindered = self.refusals.hinder(channel, need)
        if hindered is not None:
            return hindered
        try:
            answer = await self._ended(call)
        except CALL_ERRORS as error:
            said = send_error(error, need)
            self._note(error)
            if refuses_token(error):
                self.token_refused.set()
            if isinstance(said, PermissionMissing):
                self.refusals.refused(channel, need, said)
            return said
        self.refusals.granted(channel, need)
        return answer

    async def by_token(self, call: Callable[[], Awaitable[T]]) -> T | SendError:
        """One call by a gesture's own token. What it is refused says nothing about the bot."""
        if self.closed:
            return CLOSED
        hindered = self.refusals.hinder("", ANSWER)
        if hindered is not None:
            return hindered
        try:
            return await self._ended(call)
        except CALL_ERRORS as error:
            self._note(error)
            return OVER if refuses_token(error) else send_error(error, ANSWER)

    async def close(self) -> None:
        """Call nothing more, and see the calls end that nobody waits for any more."""
        self.closed = True
        if self._left:
            await asyncio.wait(self._left, timeout=LAST_SECONDS)
        left = list(self._left)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _ended(self, call: Callable[[], Awaitable[T]]) -> T:
        """The end of a call, which is waited for within bounds and never cancelled: the library, cancelled while it
        waits out a rate limit of the bot as a whole, would hold back every later call for ever."""
        task = asyncio.ensure_future(_made(call))
        try:
            async with asyncio.timeout(LONGEST_CALL):
                return await asyncio.shield(task)
        finally:
            if not task.done():
                self._left.add(task)
                task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Future[Any]) -> None:
        self._left.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._note(error)

    def _note(self, error: BaseException) -> None:
        if counts_as_invalid(error):
            self.refusals.invalid()

    # Messages

    async def say(self, spot: Spot, message: Message, mark: Mark) -> str | SendError:
        """Post a message; its id. Where the bot may not attach files, the message says so in their place."""
        if not message.files:
            return await self._say(spot, message, mark)
        sent = await self._say(replace(spot, need=ATTACH), message, mark)
        if sent == PermissionMissing(ATTACH.what, ATTACH.fix):
            return await self._say(spot, without_files(message), mark)
        if isinstance(sent, str):
            self.refusals.granted(spot.channel, spot.need)
        return sent

    async def _say(self, spot: Spot, message: Message, mark: Mark) -> str | SendError:
        async def send() -> str:
            replies = bool(spot.replies_to) and self.refusals.hinder(spot.channel, REPLY) is None
            try:
                return await self._send(spot, message, mark, replies=replies)
            except discord.HTTPException as error:
                if not replies or code_of(error) != NO_REPLIES:
                    raise
                self._note(error)
                self.refusals.refused(spot.channel, REPLY, PermissionMissing(REPLY.what, REPLY.fix))
            return await self._send(spot, message, mark, replies=False)

        return await self.call(spot.channel, spot.need, send)

    async def _send(self, spot: Spot, message: Message, mark: Mark, *, replies: bool) -> str:
        reply: dict[str, Any] = {}
        if replies:
            to = discord.MessageReference(
                message_id=int(spot.replies_to), channel_id=int(spot.channel), fail_if_not_exists=False
            )
            reply = {"reference": to, "mention_author": False}
        sent = await self._channel(spot.channel).send(**posted(message, mark.id), nonce=mark.nonce, **reply)
        return str(sent.id)

    async def edit(self, channel: str, native: str, message: Message, mark: int) -> SendError | None:
        """Put a message in place of another."""
        there = self._channel(channel).get_partial_message(int(native))
        return error_of(await self._opened(channel, EDIT, lambda: there.edit(**edited(message, mark))))

    async def delete(self, channel: str, native: str) -> SendError | None:
        """Take a message away. Fine where it is gone already."""
        there = self._channel(channel).get_partial_message(int(native))
        return error_of(
            await self._opened(channel, EDIT, lambda: _unless(there.delete, UNKNOWN_MESSAGE, UNKNOWN_CHANNEL))
        )

    async def standing(self, channel: str, key: str, most: int) -> Shown | SendError:
        """What of a post stands among the newest messages of a channel or thread."""
        ours = {self.client.application_id, self.client.user.id if self.client.user else None}

        async def read() -> Shown:
            found = Shown()
            async for message in self._channel(channel).history(limit=most):
                # Anybody's app can choose such ids; only the bot's own messages count.
                part = found_in(ids_of(message.components), key) if message.author.id in ours else None
                if part is not None:
                    number, found.of = part
                    found.parts.setdefault(number, str(message.id))
                    if found.whole:
                        break
            return found

        return await self.call(channel, READ, read)

    # Threads

    async def hang(self, channel: str, root: str, name: str) -> SendError | None:
        """Let a public thread hang from a message. It has the message's id, so asking again does no harm."""

        # The library's own method wants the server in its cache, which a process without a gateway has not.
        def start() -> Awaitable[Any]:
            return self.client.http.start_thread_with_message(
                int(channel), int(root), name=name, auto_archive_duration=ARCHIVE_AFTER
            )

        return error_of(await self.call(channel, HANG, lambda: _unless(start, HAS_THREAD)))

    async def delete_thread(self, thread: str) -> SendError | None:
        """Take a thread away with all that stands in it. Fine where it is gone already."""
        return error_of(
            await self.call(
                thread,
                MANAGE,
                lambda: _unless(lambda: self.client.http.delete_channel(int(thread)), UNKNOWN_CHANNEL),
            )
        )

    async def empty_thread(self, thread: str) -> SendError | None:
        """Leave nothing of its topic in the name of a thread, and close it: its own the bot may."""
        return error_of(
            await self._opened(
                thread,
                RENAME,
                lambda: _unless(
                    lambda: self.client.http.edit_channel(int(thread), name=DELETED_NAME, archived=True),
                    UNKNOWN_CHANNEL,
                ),
            )
        )

    async def direct_channel(self, person: str) -> str | SendError:
        """The channel in which the bot and one person talk."""
        channel = await self.call(
            f"user/{person}", DIRECTLY, lambda: self.client.create_dm(discord.Object(int(person)))
        )
        return channel if isinstance(channel, SendError) else str(channel.id)

    def _channel(self, channel: str) -> discord.PartialMessageable:
        return self.client.get_partial_messageable(int(channel))

    async def _opened(self, channel: str, need: Need, call: Callable[[], Awaitable[T]]) -> T | SendError:
        """A call about a message that may stand in a thread which nobody wrote in for long. Discord takes no changes
        there until it is opened again, which the bot may do unless it was locked."""

        async def again() -> T:
            try:
                return await call()
            except discord.HTTPException as error:
                if code_of(error) != ARCHIVED:
                    raise
            await self.client.http.edit_channel(int(channel), archived=False)
            return await call()

        return await self.call(channel, need, again)


async def _made(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


async def _unless(call: Callable[[], Awaitable[Any]], *codes: int) -> None:
    """A call that is as good as done where Discord says one of these."""
    try:
        await call()
    except discord.HTTPException as error:
        if code_of(error) not in codes:
            raise


def ids_of(components: Iterable[object]) -> Iterable[int]:
    """The ids of components and of all within them."""
    for component in components:
        number = getattr(component, "id", None)
        if isinstance(number, int):
            yield number
        yield from ids_of(getattr(component, "children", None) or ())


def error_of(answer: object) -> SendError | None:
    """What went wrong, if something did."""
    return answer if isinstance(answer, SendError) else None
