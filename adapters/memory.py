"""A front end in memory: what the bot's tests talk to, and a rehearsal of everything a platform can answer."""

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Literal

from adapters.plain import board_source, doc_source
from adapters.port import (
    AskForm,
    Attachment,
    Board,
    Capabilities,
    Doc,
    Gone,
    Health,
    Inbound,
    Invocation,
    MessageRef,
    NotDispatched,
    OutFile,
    Place,
    Receipt,
    Rejected,
    SendError,
    Sink,
    ThreadRef,
    Unfetched,
    Unknown,
    Unreadable,
)
from adapters.split import split

Operation = Literal["open_thread", "post", "board", "notify", "find", "ask", "fetch", "remove"]
PLACE = Place(surface="memory", tenant="tests", channel="general")


@dataclass(frozen=True, slots=True)
class Call:
    """One thing the front end was asked to do, before any fault."""

    operation: Operation
    key: str
    thread: ThreadRef | None = None
    doc: Doc | None = None
    board: Board | None = None
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What the next `operation` runs into. The first `parts` native messages are shown all the same; None shows all.
    `Unreadable` is for `find` alone."""

    error: SendError | Unreadable
    parts: int | None = 0
    operation: Operation = "post"


@dataclass(frozen=True, slots=True)
class _Post:
    key: str
    texts: tuple[str, ...]
    files: tuple[OutFile, ...]
    expected: int

    @property
    def whole(self) -> bool:
        return len(self.texts) == self.expected


@dataclass(slots=True)
class _Thread:
    ref: ThreadRef
    posts: dict[str, _Post] = field(default_factory=dict)
    board: Board | None = None
    revision: int = -1
    gone: bool = False


class MemoryFrontEnd:
    """Shows everything in lists. `script` makes it fail as a platform would.

    `asked` are the invocations it handed on, `forms` those that were shown, with who they were shown to; `contents` are
    the files that can be fetched, by their `ref`.
    """

    name = "memory"

    def __init__(self, *, capabilities: Capabilities = Capabilities(), place: Place = PLACE) -> None:
        self.asked: list[Invocation] = []
        self.forms: list[tuple[Invocation, AskForm]] = []
        self.contents: dict[str, bytes] = {}
        self.calls: list[Call] = []
        self._capabilities = capabilities
        self._place = place
        self._faults: deque[Fault] = deque()
        self._threads: dict[ThreadRef, _Thread] = {}
        self._told: dict[str, list[str]] = {}
        self._sink: Sink | None = None
        self._serving = asyncio.Event()
        self._closed = asyncio.Event()

    # What a test does

    async def say(
        self,
        text: str,
        *,
        author: str = "ann",
        key: str | None = None,
        place: Place | None = None,
        attachments: tuple[Attachment, ...] = (),
    ) -> Invocation:
        """Give an invocation to the sink, once `serve` has one. The same `key` is the same gesture delivered again."""
        number = len(self.asked) + 1
        invocation = Invocation(place or self._place, author, text, key or f"ask-{number}", "command", attachments)
        await self.hand(invocation)
        return invocation

    async def hand(self, inbound: Inbound) -> None:
        """Give the sink whatever can come in, once `serve` has one."""
        await self._serving.wait()
        if self._sink is None:
            raise RuntimeError("the front end is closed: nobody takes this in")
        if isinstance(inbound, Invocation):
            self.asked.append(inbound)
        await self._sink(inbound)

    def script(self, *faults: Fault) -> None:
        """Make the next sends fail; each fault is used once, by the next send of its operation."""
        self._faults.extend(faults)

    def lose(self, thread: ThreadRef) -> None:
        """Delete a thread, as a moderator would: everything sent to it is `Gone`."""
        self._threads[thread].gone = True

    # What a reader sees

    def threads(self) -> tuple[ThreadRef, ...]:
        """All threads, oldest first."""
        return tuple(self._threads)

    def shown(self, thread: ThreadRef) -> list[str]:
        """The native messages of a thread, its root first and without the board, as plain Markdown source."""
        return [text for post in self._threads[thread].posts.values() for text in post.texts]

    def keys(self, thread: ThreadRef) -> list[str]:
        """The keys of the posts that are shown whole, the root's first."""
        return [post.key for post in self._threads[thread].posts.values() if post.whole]

    def files(self, thread: ThreadRef) -> list[OutFile]:
        """The files of a thread, oldest first."""
        return [file for post in self._threads[thread].posts.values() for file in post.files]

    def shown_board(self, thread: ThreadRef) -> Board | None:
        """The board as it stands."""
        return self._threads[thread].board

    def told(self, author: str) -> list[str]:
        """What was said to one person alone."""
        return self._told.get(author, [])

    # The port

    def capabilities(self, place: Place) -> Capabilities:
        """Answer what the constructor was given."""
        return self._capabilities

    async def open_thread(self, invocation: Invocation, root: Doc, *, key: str) -> ThreadRef | SendError:
        """Open the thread once; the same key gives the same thread again."""
        thread = next((thread for thread in self._threads.values() if key in thread.posts), None)
        ref = thread.ref if thread else ThreadRef(invocation.place, f"thread-{len(self._threads) + 1}")
        receipt = self._send(Call("open_thread", key, ref, root))
        return ref if receipt.outcome == "sent" else receipt.error or Unknown("no answer")

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        """Show the document; a key shown in part is completed, a key shown whole is not shown again."""
        return self._send(Call("post", key, thread, doc))

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | Unreadable | None:
        """The post, if it stands whole."""
        fault = self._next_fault("find")
        if fault is not None:
            return fault.error
        posts = self._threads[thread].posts if thread in self._threads else {}
        post = posts.get(key)
        return MessageRef(thread, _ids(key, len(post.texts))) if post and post.whole else None

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | Unreadable | None:
        """The thread whose root has this key."""
        fault = self._next_fault("find")
        if fault is not None:
            return fault.error
        return next((thread.ref for thread in self._threads.values() if key in thread.posts), None)

    async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
        """Keep the newest board."""
        return self._send(Call("board", str(revision), thread, board=board))

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """Tell the author, whatever became of the threads."""
        return self._send(Call("notify", invocation.author, doc=doc))

    async def ask(self, invocation: Invocation, form: AskForm) -> Receipt:
        """Keep the form, where the constructor was told that forms can be shown."""
        fault = self._next_fault("ask")
        if fault is not None:
            return _failed(fault.error)
        if self._closed.is_set():
            return _failed(_CLOSED)
        if not self._capabilities.forms:
            return _failed(Rejected("there are no forms here"))
        self.forms.append((invocation, form))
        return Receipt("sent", parts=1)

    async def fetch(self, invocation: Invocation, attachment: Attachment) -> bytes | Unfetched | SendError:
        """What `contents` has under the attachment's `ref`."""
        fault = self._next_fault("fetch")
        if fault is not None:
            return _sendable(fault.error)
        found = self.contents.get(attachment.ref)
        return Unfetched("the file is not there any more; send it again") if found is None else found

    async def remove(self, ref: MessageRef) -> SendError | None:
        """Take a post, a root or the board away for good."""
        fault = self._next_fault("remove")
        if fault is not None:
            return _sendable(fault.error)
        if self._closed.is_set():
            return _CLOSED
        if (thread := self._threads.get(ref.thread)) is not None:
            root = next(iter(thread.posts), None)
            gone = {key for key, post in thread.posts.items() if set(_ids(key, len(post.texts))) & set(ref.ids)}
            gone |= {root} if root is not None and ref.thread.thread in ref.ids else set()
            thread.posts = {key: post for key, post in thread.posts.items() if key not in gone}
            thread.board = None if "board" in ref.ids else thread.board
        return None

    def health(self) -> Health:
        """Ready while it is served."""
        ready = self._serving.is_set() and not self._closed.is_set()
        return Health(ready, "" if ready else "it is not served")

    async def serve(self, sink: Sink) -> None:
        """Give what `say` and `hand` bring to `sink`, until closed."""
        self._sink = sink
        self._serving.set()
        await self._closed.wait()

    async def close(self) -> None:
        """Stop serving; sends after this are `NotDispatched`."""
        self._sink = None
        self._closed.set()
        self._serving.set()

    def _send(self, call: Call) -> Receipt:
        receipt = self._receipt(call)
        self.calls.append(replace(call, receipt=receipt))
        return receipt

    def _receipt(self, call: Call) -> Receipt:
        if self._closed.is_set():
            return _failed(_CLOSED)
        if call.thread in self._threads and self._threads[call.thread].gone:
            return Receipt("failed", error=Gone("the thread was deleted"))
        if call.thread not in self._threads and call.operation in ("post", "board"):
            return Receipt("failed", error=Gone("there is no such thread"))
        fault = self._next_fault(call.operation)
        parts = self._show(call, None if fault is None else fault.parts)
        ref = MessageRef(call.thread, parts) if call.thread and parts else None
        if fault is None:
            return Receipt("sent", ref, len(parts))
        if isinstance(fault.error, Unknown):
            return Receipt("unknown", error=fault.error)
        return Receipt("partial" if parts else "failed", ref, len(parts), _sendable(fault.error))

    def _next_fault(self, operation: Operation) -> Fault | None:
        fault = next((fault for fault in self._faults if fault.operation == operation), None)
        if fault is not None:
            self._faults.remove(fault)
        return fault

    def _show(self, call: Call, most: int | None) -> tuple[str, ...]:
        """Show up to `most` native messages of what is asked, and give the ids of all that stand."""
        if call.doc is None:
            return self._show_board(call, most)
        source = doc_source(call.doc)
        limit = self._capabilities.text_limit
        texts = (split(source, limit) if limit else ()) or (source,)
        if call.thread is None:
            self._told.setdefault(call.key, []).extend(texts[:most])
            return tuple(f"told-{number}" for number in range(len(texts[:most])))
        if call.thread not in self._threads and most != 0:
            self._threads[call.thread] = _Thread(call.thread)
        posts = self._threads[call.thread].posts if call.thread in self._threads else {}
        before = posts[call.key].texts if call.key in posts else ()
        now = texts[: max(len(before), len(texts) if most is None else most)]
        if now:
            files = call.doc.files if len(now) == len(texts) else ()
            posts[call.key] = _Post(call.key, now, files, len(texts))
        return _ids(call.key, len(now))

    def _show_board(self, call: Call, most: int | None) -> tuple[str, ...]:
        assert call.thread is not None
        assert call.board is not None
        thread = self._threads[call.thread]
        if most != 0 and int(call.key) > thread.revision:
            thread.board, thread.revision = call.board, int(call.key)
        return ("board",)


_CLOSED = NotDispatched("the front end is closed")


def _failed(error: SendError | Unreadable) -> Receipt:
    return Receipt("failed", error=_sendable(error))


def _sendable(error: SendError | Unreadable) -> SendError:
    return Unknown(error.reason) if isinstance(error, Unreadable) else error


def _ids(key: str, parts: int) -> tuple[str, ...]:
    return tuple(f"{key}/{number}" for number in range(1, parts + 1))


def board_text(board: Board | None) -> str:
    """A board as a reader sees it in memory."""
    return board_source(board) if board else ""
