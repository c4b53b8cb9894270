"""Discord as a `FrontEnd`: each send one native call whose end is reported as it was, each post marked with its key.

A gesture's first response is the root of its run. All that is sent or edited later goes by the bot's own token, for the
gesture's dies after 15 minutes; only windows know no other way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

import structlog

from adapters.discord.boards import Boards
from adapters.discord.errors import DIRECTLY, OVER, RENAME
from adapters.discord.files import Files
from adapters.discord.inbound import DIRECT, SURFACE
from adapters.discord.layout import Message, doc_messages, text_of
from adapters.discord.modal import ask_view
from adapters.discord.native import CLOSED, Mark, Native, Spot
from adapters.discord.posting import Poster, failed
from adapters.discord.refusals import monotonic
from adapters.discord.responders import Gesture, Responders, patience
from adapters.discord.rest import REFUSED
from adapters.discord.roots import Roots
from adapters.discord.threads import channel_with, hangs, is_guest, is_private, is_window
from adapters.discord.windows import Windows
from adapters.keys import key_of
from adapters.port import (
    AskForm,
    Attachment,
    Board,
    Capabilities,
    Doc,
    FrontEndFailed,
    Gone,
    Health,
    Inbound,
    Invocation,
    Markdown,
    MessageRef,
    NotDispatched,
    NotSafe,
    Pace,
    PermissionMissing,
    Place,
    RateLimited,
    Receipt,
    Rejected,
    SendError,
    Sink,
    ThreadRef,
    Unfetched,
    Unknown,
    Unreadable,
)
from adapters.shown import PostMemory

log = structlog.get_logger()

TEXT_LIMIT = 4_000
"""Characters of one message's texts (Discord's page "Component Reference")."""

BOARD_PACE = Pace(burst=5, per_minute=60)
"""A board a second for a channel. Discord takes about five edits in five seconds there, and says in its headers
how many are left; the library waits by them."""

NOT_TAKEN = Doc(
    "Nothing was started", (Markdown("The bot is being started or ended. Ask again in a minute."),), "error"
)

Serving = Callable[[], Coroutine[Any, Any, None]]
"""How events come in. It returns, or raises `FrontEndFailed`, when no more can."""


class DiscordFrontEnd:
    """Shows runs in Discord. It is handed its client, so that a fake can stand in. `wait` is how long a gesture may be
    without an answer before Discord is told that one is coming."""

    name = SURFACE

    def __init__(
        self,
        native: Native,
        files: Files | None = None,
        *,
        wait: Callable[[], Awaitable[None]] = patience,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._native, memory = native, PostMemory()
        self._memory, self._poster = memory, Poster(native, memory)
        self._responders = Responders(native, wait, clock)
        self._windows = Windows(native, self._responders, memory)
        self._roots = Roots(native, self._responders, self._windows, memory)
        self._boards = Boards(native, self._windows, self._roots.notice_of)
        self._files = files or Files()
        self._serving: Serving | None = None
        self._trouble: Callable[[], str] = lambda: ""
        self._sink: Sink | None = None
        self._closed = asyncio.Event()

    # What comes in

    def comes_by(self, serving: Serving, trouble: Callable[[], str]) -> None:
        """Say how events come in, and who knows what is wrong with it."""
        self._serving, self._trouble = serving, trouble

    async def serve(self, sink: Sink) -> None:
        """Take events in until closed. Raises `FrontEndFailed`."""
        self._sink = sink
        refused = asyncio.create_task(self._native.token_refused.wait())
        waiting: set[asyncio.Task[Any]] = {asyncio.create_task(self._closed.wait()), refused}
        if self._serving is not None:
            waiting.add(asyncio.create_task(self._serving()))
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if refused in done and not self._closed.is_set():
                raise FrontEndFailed(REFUSED)
        finally:
            self._sink = None
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)

    async def take(self, inbound: Inbound, gesture: Gesture | None = None) -> None:
        """Hand on what was asked, and see to it that a gesture is answered in time. Raises `NotSafe`, of which its
        author was told."""
        asked = inbound if isinstance(inbound, Invocation) else None
        if asked is not None and gesture is not None and not self._closed.is_set():
            self._responders.remember(asked, gesture)
        try:
            if self._sink is None or self._closed.is_set():
                raise NotSafe("the bot takes nothing in now")
            await self._sink(inbound)
        except NotSafe:
            await self._tell_not_taken(asked)
            raise
        responder = self._responders.of(asked.key) if asked is not None else None
        if responder is not None and responder.of_component and asked is not None and asked.run:
            # A press that is about no run may ask for a form, which only a first response can be.
            await self._responders.acknowledge(responder)

    async def _tell_not_taken(self, asked: Invocation | None) -> None:
        responder = self._responders.of(asked.key) if asked is not None else None
        if asked is not None and responder is not None and not responder.settled:
            await self.notify(asked, NOT_TAKEN)

    def health(self) -> Health:
        """Connected, and taking in."""
        if self._closed.is_set() or self._sink is None:
            return Health(False, "Discord is not served")
        if self._native.token_refused.is_set():
            return Health(False, REFUSED)
        trouble = self._trouble()
        return Health(not trouble, trouble)

    async def close(self) -> None:
        """Take nothing more in."""
        if not self._closed.is_set():
            self._native.closed = True
            self._closed.set()
            await self._responders.close()
            await self._native.close()

    # What goes out

    def capabilities(self, place: Place) -> Capabilities:
        """The same everywhere, but that a guest says little."""
        return Capabilities(
            text_limit=TEXT_LIMIT,
            tables=True,
            forms=True,
            board_pace=BOARD_PACE,
            board_scope="place",
            digest=is_guest(place),
        )

    async def open_thread(self, invocation: Invocation, root: Doc, *, key: str) -> ThreadRef | SendError:
        """Show the root: as the first response where there is one to give, with a thread where one may hang from it."""
        return CLOSED if self._native.closed else await self._roots.open(invocation, root, key)

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | Unreadable | None:
        """Ask for the first response, or read the newest messages of the channel."""
        return CLOSED if self._native.closed else await self._roots.find(invocation, key)

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        """Post what of the document does not stand yet."""
        if self._native.closed:
            return failed(CLOSED)
        return await (self._windows if is_window(thread) else self._poster).post(thread, doc, key)

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | Unreadable | None:
        """Read the thread."""
        if self._native.closed:
            return CLOSED
        return await (self._windows if is_window(thread) else self._poster).find(thread, key)

    async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
        """Put the board into the root."""
        return failed(CLOSED) if self._native.closed else await self._boards.show(thread, board, revision)

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """Tell the asker alone: unseen by others where a gesture allows for it, else by direct message."""
        if self._native.closed:
            return failed(CLOSED)
        messages = doc_messages(replace(doc, mention=""), alone=is_private(invocation.place))
        for message in messages:
            error = await self._tell(invocation, message)
            if error is not None:
                return failed(error)
        return Receipt("sent", parts=len(messages))

    async def _tell(self, invocation: Invocation, message: Message) -> SendError | None:
        # Without its words in the key, a second notice would be the first one again to Discord.
        mark = Mark(key_of("told", invocation.key, text_of(message)))
        responder = self._responders.of(invocation.key)
        if responder is not None:
            error = await self._responders.tell(responder, message, mark)
            if error is None or isinstance(error, Unknown) or error is CLOSED:
                return error
            if error is not OVER:
                log.info("discord.told_directly", error=type(error).__name__)
        place = invocation.place
        if place.tenant == DIRECT and not is_private(place):
            channel: str | SendError = place.channel
        else:
            channel = await self._native.direct_channel(invocation.author)
        if isinstance(channel, SendError):
            return channel
        sent = await self._native.say(Spot(channel, DIRECTLY), message, mark)
        return sent if isinstance(sent, SendError) else None

    async def ask(self, invocation: Invocation, form: AskForm) -> Receipt:
        """Open the form. Only a gesture that was not answered yet can be answered with one, and no form with a form."""
        responder = self._responders.of(invocation.key)
        if responder is None or invocation.origin == "form":
            return failed(Rejected("no trigger"))
        error = await self._responders.open_form(responder, ask_view(form, invocation))
        return Receipt("sent", parts=1) if error is None else failed(error)

    async def fetch(self, invocation: Invocation, attachment: Attachment) -> bytes | Unfetched | SendError:
        """A file's content."""
        return CLOSED if self._native.closed else await self._files.fetch(attachment)

    async def remove(self, ref: MessageRef) -> SendError | None:
        """Delete the native messages of a post. A thread goes with the root that it hangs from, where the bot may
        delete it; without that right an empty one stays, that does not tell what was asked."""
        thread = ref.thread
        for native in ref.ids:
            if is_window(thread):
                error = await self._windows.remove(thread, native)
            else:
                error = await self._remove(thread, native)
            if error is not None:
                return error
            self._memory.forget(native)
        return None

    async def _remove(self, thread: ThreadRef, native: str) -> SendError | None:
        kept: SendError | None = None
        if hangs(thread) and native == thread.root:
            error = await self._native.delete_thread(thread.thread)
            if isinstance(error, PermissionMissing):
                log.info("discord.thread_kept", thread=thread.thread)
                kept = await self._native.empty_thread(thread.thread)
                if isinstance(kept, RateLimited | NotDispatched | Unknown):
                    return kept
            elif error is not None:
                return error
        return await self._native.delete(channel_with(thread, native), native) or _kept(kept)


def _kept(error: SendError | None) -> SendError | None:
    """Why a thread stays with its name, in one sentence whatever Discord refused."""
    return None if error is None or isinstance(error, Gone) else PermissionMissing(RENAME.what, RENAME.fix)
