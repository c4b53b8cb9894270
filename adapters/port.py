"""The port: what crosses between the bot and a platform, and what every adapter must do.

The bot owns order, retries, keys and pace; an adapter owns the native call and reports exactly what happened. An
adapter never repeats a send whose outcome it does not know.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

Origin = Literal["command", "mention", "message", "shortcut", "terminal"]
Tone = Literal["info", "success", "warning", "error"]
RowState = Literal["queued", "running", "done", "late", "failed", "stopped"]
Control = Literal["stop", "retry"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where people talk: a channel, a direct message, a terminal. `tenant` is the workspace or server it belongs to."""

    surface: str
    tenant: str
    channel: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with an invocation. `text` is its content; `problem` says why there is none."""

    name: str
    text: str = field(default="", repr=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ThreadRef:
    """One thread: where the posts of one run go. Immutable, so that no answer can land in another thread."""

    place: Place
    thread: str


@dataclass(frozen=True, slots=True)
class Invocation:
    """Somebody asked the bot for something, whatever they pressed or typed.

    `text` is the command line in the one grammar of every front end. `key` is the same for every delivery of one
    gesture and different for every other one: it becomes the id of the run. `run` is the run that the gesture is about,
    where a control or a thread carries it; without it, the latest run here is meant. `thread` is where a platform that
    wants a first message at once has shown the root already; the run then opens none.
    """

    place: Place
    author: str
    text: str
    key: str
    origin: Origin
    attachments: tuple[Attachment, ...] = ()
    run: str = ""
    thread: ThreadRef | None = None


@dataclass(frozen=True, slots=True)
class MessageRef:
    """One post as the platform knows it; a long one may have become several native messages."""

    thread: ThreadRef
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Markdown:
    """A run of Markdown. It may hold model text, so it is hostile: every adapter makes it inert."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of Markdown cells; every row has as many cells as the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that a reader may open where the platform can fold, shown in place where it cannot."""

    title: str
    blocks: tuple["Markdown | Table", ...]


Block = Markdown | Table | Fold


@dataclass(frozen=True, slots=True)
class OutFile:
    """A text file that goes with a document, for what is too long to be shown."""

    name: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Doc:
    """One post, platform-neutral. Title, cells and blocks are all Markdown and all hostile."""

    title: str
    blocks: tuple[Block, ...] = ()
    tone: Tone = "info"
    files: tuple[OutFile, ...] = ()


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One line of the board. `seconds` is None for a row that has not begun."""

    label: str
    state: RowState
    detail: str = ""
    model: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """The whole state of a run at one moment. The newest replaces all before it.

    `controls` are what can be done to `run` now, where the platform has buttons.
    """

    title: str
    rows: tuple[BoardRow, ...]
    note: str = ""
    finished: bool = False
    run: str = ""
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """How many sends a place takes in any `seconds`: `most`, of which the last `reserved` are kept for what matters
    most. A sliding window with bursts, not a bucket of one a second, which made every reply late elsewhere."""

    most: int
    reserved: int = 0
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a place can do. Limits are in characters as the platform counts them; None is no limit."""

    text_limit: int | None = None
    folds: bool = False
    tables: bool = False
    edits: bool = True
    files: bool = True
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class RateLimited:
    """The platform asks to wait `retry_after` seconds. Nothing was shown."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class NotDispatched:
    """The send never left this process: it is safe to send again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The send left and no answer came: it may have been shown. Look for its key before sending again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The platform refused the content for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class PermissionMissing:
    """The bot lacks a right. `fix` tells an admin what to do."""

    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The thread or place no longer exists."""

    what: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The content is over the platform's limit, in characters."""

    limit: int


SendError = RateLimited | NotDispatched | Unknown | Rejected | PermissionMissing | Gone | TooLarge


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one send. `partial`: the first `parts` native messages were shown and the rest were not."""

    outcome: Literal["sent", "partial", "unknown", "failed"]
    ref: MessageRef | None = None
    parts: int = 0
    error: SendError | None = None


class NotSafe(Exception):
    """An invocation could not be made safe. Its asker was told; where the platform can, it is to be delivered again."""


Sink = Callable[[Invocation], Awaitable[None]]
"""Where an adapter puts what people ask. It returns as soon as the invocation is safe, not when the run is over; only
then is it acknowledged. Raises `NotSafe`."""


class FrontEnd(Protocol):
    """A place to ask and to be answered. `tests/adapters/contract.py` holds the rules every adapter passes."""

    @property
    def name(self) -> str:
        """The surface's name, as in `Place.surface`."""

    def capabilities(self, place: Place) -> Capabilities:
        """What this place can do; a direct message may differ from a channel."""

    async def open_thread(self, invocation: Invocation, root: Doc, *, key: str) -> ThreadRef | SendError:
        """Show `root` where the invocation came from, and give the thread that hangs from it."""

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        """Show `doc` in the thread. A key that was shown before is not shown again."""

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | None:
        """Where the post with this key stands whole; None where it does not; an error where that cannot be told."""

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | None:
        """The thread whose root has this key, the same way. For a root whose sending had no known end."""

    async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
        """Show the state of the run in place of the one before. A revision older than the one shown is dropped."""

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """Tell the asker alone, where the platform can; for errors and help. Needs no thread."""

    async def serve(self, sink: Sink) -> None:
        """Take in invocations until closed or out of input."""

    async def close(self) -> None:
        """Take nothing more in and free what is held. Sends after this are `NotDispatched`."""
