"""Roots: the first message of a run, which is the answer to a gesture where there is one, and the thread that hangs
from it where one may."""

from collections import OrderedDict
from typing import Any

import discord
import structlog

from adapters.discord.errors import POST, POST_IN_THREAD, Need
from adapters.discord.inbound import DIRECT
from adapters.discord.layout import Message, board_message
from adapters.discord.native import Mark, Native, Spot
from adapters.discord.posting import NEWEST, Poster
from adapters.discord.responders import Responders
from adapters.discord.threads import has_window, notice_of
from adapters.discord.windows import Windows
from adapters.port import (
    Board,
    Doc,
    Invocation,
    PermissionMissing,
    Rejected,
    SendError,
    ThreadRef,
    Unreadable,
)
from adapters.safety import one_line
from adapters.shown import PostMemory, Shown

log = structlog.get_logger()

NAME = 100
"""Characters of a thread's name (Discord's page "Channels Resource")."""

MOST_THREADS = 5_000

_HANGS_IN = frozenset({discord.ChannelType.text, discord.ChannelType.news})
_RIGHTS = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
}


class Roots:
    """Opens threads, each once for its key."""

    def __init__(self, native: Native, responders: Responders, windows: Windows, memory: PostMemory) -> None:
        self._native, self._responders, self._windows, self._memory = native, responders, windows, memory
        self._poster = Poster(native, memory)
        self._opened: OrderedDict[str, ThreadRef] = OrderedDict()
        self._lacking: OrderedDict[ThreadRef, None] = OrderedDict()

    async def open(self, invocation: Invocation, doc: Doc, key: str) -> ThreadRef | SendError:
        """Show the root, and give the thread of its run."""
        if key in self._opened:
            return self._opened[key]
        board = Board(doc.title, (), root=doc)
        if has_window(invocation.place):
            thread = await self._windows.open(invocation, board_message(board), key)
        else:
            thread = await self._open(invocation, board, key)
        return self._noted(key, thread)

    def notice_of(self, thread: ThreadRef) -> str:
        """What a root says about where the answers are; why there, as long as this process knows it."""
        return notice_of(thread, lacks_right=thread in self._lacking)

    async def find(self, invocation: Invocation, key: str) -> ThreadRef | SendError | Unreadable | None:
        """The thread whose root has this key. A root that stands without its thread gets it."""
        if key in self._opened:
            return self._opened[key]
        if has_window(invocation.place):
            found = await self._windows.find_thread(invocation, key)
            return self._noted(key, found) if isinstance(found, ThreadRef) else found
        root = await self._root(invocation, key)
        if not isinstance(root, str):
            return root
        thread = await self._thread(invocation, root, _name(_topic(invocation.text)))
        return self._noted(key, thread)

    async def _open(self, invocation: Invocation, board: Board, key: str) -> ThreadRef | SendError:
        lacking = self._missing(invocation)
        if lacking is not None:
            return lacking
        hung = self._may_hang(invocation)
        root = await self._show(invocation, self._message(invocation, board, hung=hung), key)
        if isinstance(root, SendError):
            return root
        thread = await self._thread(invocation, root, _name(board.title))
        if isinstance(thread, ThreadRef) and hung and self.notice_of(thread):
            # It was hoped that a thread can hang from it. Each board says it again, should this edit fail.
            message = board_message(board, self.notice_of(thread))
            await self._native.edit(thread.thread, root, message, Mark(key).id)
        return thread

    def _message(self, invocation: Invocation, board: Board, *, hung: bool) -> Message:
        if hung:
            return board_message(board)
        return board_message(board, notice_of(_replies(invocation, ""), lacks_right=self._takes_threads(invocation)))

    async def _show(self, invocation: Invocation, message: Message, key: str) -> str | SendError:
        """The root's id: as the first response to a gesture, else by the bot's token."""
        shown = self._memory.of(key)
        if shown.whole:
            return shown.parts[1]
        responder, root = self._responders.of(invocation.key), None
        if responder is not None:
            root = await self._responders.respond(responder, message, Mark(key))
        if root is None:
            channel = invocation.within or invocation.place.channel
            spot = Spot(channel, POST_IN_THREAD if invocation.within else POST)
            root = await self._native.say(spot, message, Mark(key))
        if isinstance(root, str):
            shown.parts, shown.of = {1: root}, 1
        return root

    async def _root(self, invocation: Invocation, key: str) -> str | SendError | Unreadable | None:
        """The root's id where it stands."""
        shown, responder = self._memory.of(key), self._responders.of(invocation.key)
        if not shown.whole and responder is not None:
            first = await self._responders.standing(responder, key)
            if isinstance(first, str):
                shown.parts, shown.of = {1: first}, 1
        if not shown.whole:
            found = await self._poster.look(invocation.within or invocation.place.channel, key, NEWEST)
            if not isinstance(found, Shown):
                return found
            shown = found
        return shown.parts[1] if shown.whole else None

    async def _thread(self, invocation: Invocation, root: str, name: str) -> ThreadRef | SendError:
        """The thread of a root that stands: the one that hangs from it, or else where the replies to it go."""
        if not self._may_hang(invocation):
            return self._replying(invocation, root, lacks_right=self._takes_threads(invocation))
        error = await self._native.hang(invocation.place.channel, root, name)
        if isinstance(error, PermissionMissing | Rejected):
            log.info("discord.no_thread", channel=invocation.place.channel, error=type(error).__name__)
            return self._replying(invocation, root, lacks_right=isinstance(error, PermissionMissing))
        return ThreadRef(invocation.place, root, root) if error is None else error

    def _replying(self, invocation: Invocation, root: str, *, lacks_right: bool) -> ThreadRef:
        thread = _replies(invocation, root)
        if lacks_right:
            self._lacking[thread] = None
            if len(self._lacking) > MOST_THREADS:
                self._lacking.popitem(last=False)
        return thread

    def _takes_threads(self, invocation: Invocation) -> bool:
        """Whether threads can hang there from messages: not in direct messages, threads and voice channels."""
        if invocation.within or invocation.place.tenant == DIRECT:
            return False
        kind = getattr(self._channel(invocation), "type", None)
        return not isinstance(kind, discord.ChannelType) or kind in _HANGS_IN

    def _may_hang(self, invocation: Invocation) -> bool:
        """Whether a thread is worth trying: not where it is known to be refused."""
        if not self._takes_threads(invocation):
            return False
        rights = self._rights(invocation)
        return rights is None or (rights.create_public_threads and rights.send_messages_in_threads)

    def _missing(self, invocation: Invocation) -> PermissionMissing | None:
        """What is known to be missing for any answer: with a gesture Discord says what the bot may do there."""
        rights = self._rights(invocation)
        if rights is None or invocation.place.tenant == DIRECT:
            return None
        need: Need = POST_IN_THREAD if invocation.within else POST
        say = "send_messages_in_threads" if invocation.within or self._may_hang(invocation) else "send_messages"
        missing = [_RIGHTS[right] for right in ("view_channel", say) if not getattr(rights, right)]
        if not missing:
            return None
        return PermissionMissing(need.what, f"an admin can grant it {' and '.join(missing)} here")

    def _rights(self, invocation: Invocation) -> discord.Permissions | None:
        """What the bot may do where a gesture was made; None where that is not known."""
        responder = self._responders.of(invocation.key)
        rights = responder.gesture.app_permissions if responder is not None else None
        if rights is None or not rights.value:
            return None
        return discord.Permissions.all() if rights.administrator else rights

    def _channel(self, invocation: Invocation) -> Any:
        responder = self._responders.of(invocation.key)
        if responder is not None and responder.gesture.channel is not None:
            return responder.gesture.channel
        return self._native.client.get_channel(int(invocation.place.channel))

    def _noted(self, key: str, thread: ThreadRef | SendError) -> ThreadRef | SendError:
        if isinstance(thread, ThreadRef):
            self._opened[key] = thread
            if len(self._opened) > MOST_THREADS:
                self._opened.popitem(last=False)
        return thread


def _replies(invocation: Invocation, root: str) -> ThreadRef:
    return ThreadRef(invocation.place, invocation.within or invocation.place.channel, root)


def _topic(line: str) -> str:
    """What a command line asks, without its command and options: where nobody knows the root's title any more."""
    words = line.partition(" ")[2] if line.startswith("/") else line
    _, dashes, topic = words.partition("-- ")
    return topic if dashes else words


def _name(title: str) -> str:
    """A thread's name. What does not fit stands in its root."""
    name = one_line(title).strip() or "Panel"
    units = name.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * NAME:
        return name
    return units[: 2 * (NAME - 1)].decode("utf-16-le", "ignore") + "…"
