"""The port: what crosses between the bot and a platform, and what every adapter must do.

The bot owns order, retries, keys and pace; an adapter owns the native call and reports exactly what happened. An
adapter never repeats a send whose outcome it does not know.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

Origin = Literal["command", "mention", "message", "shortcut", "form", "control", "terminal"]
Tone = Literal["info", "success", "warning", "error"]
RowState = Literal["queued", "running", "done", "late", "failed", "stopped"]
Control = Literal["stop", "retry", "rate", "form"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where people talk: a channel, a direct message, a terminal. `tenant` is the workspace or server it belongs to.

    `C1/U1` is a part of the channel `C1`, as what one person alone sees there: where the channel may be used, its parts
    may be too.
    """

    surface: str
    tenant: str
    channel: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with an invocation. `text` is its content; `problem` says why there is none. Where both are
    empty, `ref` is what the front end fetches it by, once the invocation is safe."""

    name: str
    text: str = field(default="", repr=False)
    problem: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class ThreadRef:
    """One thread: where the posts of one run go. Immutable, so that no answer can land in another thread. `root` is the
    run's first message, where that is not what the thread hangs from."""

    place: Place
    thread: str
    root: str = ""


@dataclass(frozen=True, slots=True)
class AskOptions:
    """What a form was filled in with beside the topic. `remember` keeps profile and pillars for the place."""

    profile: str = ""
    pillars: str = ""
    remember: bool = False


@dataclass(frozen=True, slots=True)
class Invocation:
    """Somebody asked the bot for something, whatever they pressed or typed.

    `text` is the command line in the one grammar of every front end. `key` is the same for every delivery of one
    gesture and different for every other one: it becomes the id of the run. `run` is the run that the gesture is about,
    where a control carries it; else it is the latest of the thread `within` which it was asked, or of the place.
    `thread` is where a platform that wants a first message at once has shown the root already; the run then opens none.
    """

    place: Place
    author: str
    text: str
    key: str
    origin: Origin
    attachments: tuple[Attachment, ...] = ()
    run: str = ""
    thread: ThreadRef | None = None
    within: str = ""
    options: AskOptions | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A gesture was taken back: the message with it was deleted by its author. `key` is that of its invocation."""

    place: Place
    author: str
    key: str


@dataclass(frozen=True, slots=True)
class Departed:
    """The bot was removed from a workspace: nothing can be posted there, and what is kept of it has to go. A `tenant`
    that ends in `/` is more than one: every tenant whose name begins so. `at` is when that was, in seconds since 1970,
    where the platform says it: what is younger belongs to a new installation. Without it that is now."""

    surface: str
    tenant: str
    at: float | None = None


Inbound = Invocation | Withdrawn | Departed


@dataclass(frozen=True, slots=True)
class AskForm:
    """What a form for a question shows: the topic so far, the panels there are (name and title), and what is set."""

    topic: str
    panels: tuple[tuple[str, str], ...]
    panel: str
    profile: str = ""
    pillars: str = ""
    documents: str = ""


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
class Subject:
    """What a post is about, for its controls: a run, and the part of it."""

    run: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class Doc:
    """One post, platform-neutral. Title, cells and blocks are all Markdown and all hostile.

    `mention` is the id of the one person who is alerted; nothing else in any post alerts anybody. A `folded` document
    may show its title and its first `lead` blocks alone until it is opened. `controls` are what can be done about its
    `subject`, where the platform has buttons; "form", which is about nothing, asks for an `AskForm` where there are
    forms.
    """

    title: str
    blocks: tuple[Block, ...] = ()
    tone: Tone = "info"
    files: tuple[OutFile, ...] = ()
    mention: str = ""
    folded: bool = False
    subject: Subject | None = None
    controls: tuple[Control, ...] = ()
    lead: int = 0


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

    `controls` are what can be done to `run` now, where the platform has buttons. `root` is the thread's first post, for
    platforms that show it and the board as one message.
    """

    title: str
    rows: tuple[BoardRow, ...]
    note: str = ""
    finished: bool = False
    run: str = ""
    controls: tuple[Control, ...] = ()
    root: Doc | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a place is sent to: `burst` at once after a quiet time, and then `per_minute`, evenly. In any t minutes
    it gets `burst` + `per_minute` · t at the most. The last `reserved` of a burst, fewer than all, are kept for what
    opens, settles or ends a run; nothing of what a place takes in the long run is lost by that."""

    burst: int
    per_minute: float
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a place can do. Limits are in characters as the platform counts them; None is no limit.

    `board_pace` is how many boards are taken, where the platform counts them by themselves: by a whole tenant, or with
    `board_scope` "place" by each place. Without it they count as posts. `forms`: it can show an `AskForm`. `digest`: it
    takes a few posts a run only, so that one document with the rest in a file tells it all.
    """

    text_limit: int | None = None
    folds: bool = False
    tables: bool = False
    edits: bool = True
    files: bool = True
    forms: bool = False
    pace: Pace | None = None
    board_pace: Pace | None = None
    board_scope: Literal["tenant", "place"] = "tenant"
    digest: bool = False


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


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The platform does not let the bot look whether a post stands. `reason` is for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unfetched:
    """A file could not be had. `why` is a sentence for the asker, with what to do."""

    why: str


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a front end can be asked and can answer now; if not, why."""

    ready: bool
    detail: str = ""


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


class FrontEndFailed(Exception):
    """A front end cannot go on. The message is one sentence for the admin; nothing that was acknowledged is lost."""


Sink = Callable[[Inbound], Awaitable[None]]
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

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | Unreadable | None:
        """Where the post with this key stands whole; None where it does not; an error where that cannot be told."""

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | Unreadable | None:
        """The thread whose root has this key, the same way. For a root whose sending had no known end."""

    async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
        """Show the state of the run in place of the one before. A revision older than the one shown is dropped."""

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """Tell the asker alone, where the platform can; for errors and help. Needs no thread."""

    async def ask(self, invocation: Invocation, form: AskForm) -> Receipt:
        """Show the asker a form, which comes back as an invocation. Only where `Capabilities.forms` is set."""

    async def fetch(self, invocation: Invocation, attachment: Attachment) -> bytes | Unfetched | SendError:
        """The content of an attachment that came with a `ref`."""

    async def remove(self, ref: MessageRef) -> SendError | None:
        """Take a post away. None also where it is gone already."""

    def health(self) -> Health:
        """Whether it is connected."""

    async def serve(self, sink: Sink) -> None:
        """Take in what people ask until closed or out of input. Raises `FrontEndFailed`."""

    async def close(self) -> None:
        """Take nothing more in and free what is held. Sends after this are `NotDispatched`."""
