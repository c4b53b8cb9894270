"""The delivery of one run: its posts, each once whatever happens to the process, and the newest of its boards."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from adapters.port import Board, Doc, FrontEnd, MessageRef, RateLimited, SendError, ThreadRef
from bot import notices
from bot.pace import ANSWER, BOARD, URGENT, Lane
from bot.stored import Posted
from bot.tries import BREAKS, BROKEN, Patience, Tries, guarded, looked
from bot.watching import PostOutcome, PostSettled, PostUnsure, Watch, unwatched

if TYPE_CHECKING:
    from bot.courier import Outbox

log = structlog.get_logger()

UNSHOWN = "/unshown"
"""What a key ends with when a notice stands in place of its post."""


@dataclass(eq=False, slots=True)
class Desk:
    """What the posts and the boards of a run share. `lost` says why nothing more can be shown in its thread."""

    front: FrontEnd
    outbox: "Outbox"
    run_id: str
    thread: ThreadRef
    patience: Patience
    reached: Callable[[str], None]
    lost: SendError | None = None
    watch: Watch = unwatched


class Delivery:
    """What one run has to say on its way to its thread: the most urgent post first, then in order; the newest board
    only, after the posts, or beside them where the platform counts boards by themselves."""

    def __init__(
        self, desk: Desk, lane: Lane, board_lane: Lane | None, known: Mapping[str, Posted], revisions: Iterator[int]
    ) -> None:
        self._desk, self.thread = desk, desk.thread
        self._posts = _Posts(desk, lane, known)
        self._boards = _Boards(desk, board_lane or lane, known, revisions, apart=board_lane is not None)
        if board_lane is None:
            self._ways = [_Way(desk, lane, self._posts, self._boards)]
        else:
            self._ways = [_Way(desk, lane, self._posts), _Way(desk, board_lane, self._boards)]

    @property
    def lost(self) -> SendError | None:
        """Why nothing more can be shown in the thread, if that is so."""
        return self._desk.lost

    def put(self, key: str, doc: Doc, *, urgent: bool = False) -> None:
        """Have a document posted under its key, unless it stands already."""
        if self._posts.add(key, doc, urgent=urgent):
            self._ways[0].stirred()

    def show(self, board: Callable[[], Board], *, last: bool) -> None:
        """Have a board shown in place of any that was not shown yet. It is made when its turn comes, for many never
        are shown; the `last` of a run is the one that shows it ended."""
        self._boards.newest = _Newest(board, last)
        self._ways[-1].stirred()

    async def said(self) -> None:
        """Wait until every post was delivered, or given up."""
        await self._ways[0].settled()

    async def settled(self) -> None:
        """Wait until everything was delivered, or given up."""
        for way in self._ways:
            await way.settled()

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """What delivers, each until cancelled."""
        return [way.work() for way in self._ways]


class _Errands(Protocol):
    """What waits to be sent through a lane."""

    @property
    def urgency(self) -> int | None:
        """How urgent the first is; None where nothing waits."""

    async def one(self, turn: Callable[[], Awaitable[None]]) -> None:
        """Send the first. `turn` waits for the turn of another try."""

    def drop(self) -> None:
        """Let go of all that waits."""


class _Way:
    """A lane, and what one run sends through it: one at a time, the most urgent first."""

    def __init__(self, desk: Desk, lane: Lane, *errands: _Errands) -> None:
        self._desk, self._lane, self._errands = desk, lane, errands
        self._something, self._nothing = asyncio.Event(), asyncio.Event()
        self._nothing.set()

    def stirred(self) -> None:
        """Something more waits."""
        self._nothing.clear()
        self._something.set()
        self._lane.stir()

    async def settled(self) -> None:
        """Wait until nothing waits."""
        await self._nothing.wait()

    async def work(self) -> None:
        """Send what waits, until cancelled."""
        while True:
            await self._something.wait()
            while self._first() is not None and self._desk.lost is None:
                await self._turn()
                if (first := self._first()) is not None and self._desk.lost is None:
                    await first.one(self._turn)
            for errands in self._errands:
                errands.drop()
            self._something.clear()
            self._nothing.set()

    async def _turn(self) -> None:
        await self._lane.turn(self._urgency)

    def _urgency(self) -> int:
        first = self._first()
        return BOARD if first is None or first.urgency is None else first.urgency

    def _first(self) -> _Errands | None:
        first, least = None, math.inf
        for errands in self._errands:
            if (urgency := errands.urgency) is not None and urgency < least:
                first, least = errands, urgency
        return first


@dataclass(order=True, slots=True)
class _Item:
    urgency: int
    number: int
    key: str = field(compare=False)
    doc: Doc = field(compare=False)
    put_at: float = field(compare=False)


class _Posts:
    """The posts that wait."""

    def __init__(self, desk: Desk, lane: Lane, known: Mapping[str, Posted]) -> None:
        self._desk, self._lane, self._known = desk, lane, known
        self._items: list[_Item] = []
        self._numbers = 0

    @property
    def urgency(self) -> int | None:
        """See `_Errands`."""
        return min(self._items).urgency if self._items else None

    def add(self, key: str, doc: Doc, *, urgent: bool) -> bool:
        """Add a post; False where it stands, or was given up and that was said."""
        before = self._known.get(key)
        if before is not None and before.state == "sent":
            return False
        if before is not None and before.state == "failed":
            if key.endswith(UNSHOWN):
                return False
            # The process may have ended before it could say so.
            key, doc = f"{key}{UNSHOWN}", notices.unshown(doc, None)
        self._numbers += 1
        # Where nothing has to wait, the order in which things happened is the better one.
        urgency = URGENT if urgent and self._lane.paced else ANSWER
        self._items.append(_Item(urgency, self._numbers, key, doc, asyncio.get_running_loop().time()))
        return True

    def drop(self) -> None:
        """See `_Errands`."""
        self._items = []

    async def one(self, turn: Callable[[], Awaitable[None]]) -> None:
        """See `_Errands`."""
        item = min(self._items)
        self._items.remove(item)
        await self._post(item)

    async def _post(self, item: _Item) -> None:
        desk, key = self._desk, item.key
        tries = Tries(desk.patience)
        desk.reached("before_row")
        before = await desk.outbox.claim(key, desk.run_id)
        desk.reached("after_row")
        if before is not None and before.state != "sending":
            return
        ambiguous = before is not None
        if ambiguous:
            desk.watch(PostUnsure(desk.thread.place.surface))
        while True:
            error = await self._looked_for(key) if ambiguous else None
            if ambiguous and error is None:
                self._settled(item, "found")
                return
            if not ambiguous or isinstance(error, _NotThere):
                receipt = await guarded(desk.front.post(desk.thread, item.doc, key=key), BROKEN)
                desk.reached("before_mark")
                if receipt.outcome == "sent" and receipt.ref is not None:
                    await desk.outbox.sent(key, receipt.ref)
                    desk.reached("after_mark")
                    self._settled(item, "sent")
                    return
                ambiguous = receipt.outcome == "unknown"
                error = receipt.error
            assert not isinstance(error, _NotThere)
            if not await tries.another(error, self._lane):
                await self._give_up(item, error)
                return
            await self._lane.turn(lambda: item.urgency)
            await desk.outbox.refuse_others(desk.run_id)

    async def _looked_for(self, key: str) -> "SendError | _NotThere | None":
        """None when the post stands and is noted; else that it does not, or why that cannot be told."""
        found = looked(key, await guarded(self._desk.front.find(self._desk.thread, key), BREAKS))
        if isinstance(found, MessageRef):
            log.info("post.found", key=key)
            await self._desk.outbox.sent(key, found)
            return None
        return _NotThere() if found is None else found

    async def _give_up(self, item: _Item, error: SendError | None) -> None:
        log.error("post.not_shown", key=item.key, thread=self._desk.thread.thread, error=type(error).__name__)
        await self._desk.outbox.not_sent(item.key, type(error).__name__)
        self._settled(item, "not_shown")
        if notices.is_lost(error):
            self._desk.lost = error
        elif not item.key.endswith(UNSHOWN):
            doc = notices.unshown(item.doc, error)
            self._items.append(replace(item, key=f"{item.key}{UNSHOWN}", doc=doc))

    def _settled(self, item: _Item, outcome: PostOutcome) -> None:
        seconds = asyncio.get_running_loop().time() - item.put_at
        self._desk.watch(PostSettled(self._desk.thread.place.surface, outcome, seconds))


@dataclass(frozen=True, slots=True)
class _Newest:
    board: Callable[[], Board]
    last: bool


class _Boards:
    """The newest board that was not shown yet."""

    def __init__(
        self, desk: Desk, lane: Lane, known: Mapping[str, Posted], revisions: Iterator[int], *, apart: bool
    ) -> None:
        self._desk, self._lane, self._revisions, self._apart = desk, lane, revisions, apart
        self.newest: _Newest | None = None
        self._key = f"{desk.run_id}/board"
        root = (desk.thread.root or desk.thread.thread,)
        self._stand = {root, *(post.ref.ids for key, post in known.items() if post.ref and key.startswith(self._key))}

    @property
    def urgency(self) -> int | None:
        """See `_Errands`. Among boards alone, the last one of a run comes first: it ends a spinner."""
        if self.newest is None:
            return None
        if not self._apart:
            return BOARD
        return URGENT if self.newest.last else ANSWER

    def drop(self) -> None:
        """See `_Errands`."""
        self.newest = None

    async def one(self, turn: Callable[[], Awaitable[None]]) -> None:
        """See `_Errands`. Only the last board is worth another try: a thread must not be left with a spinner."""
        newest, self.newest = self.newest, None
        assert newest is not None, "one waits"
        board = newest.board()
        desk, tries = self._desk, Tries(self._desk.patience)
        while True:
            # Nothing announces a board, and whoever was frozen would show an old one over the last.
            await desk.outbox.refuse_others(desk.run_id)
            receipt = await guarded(desk.front.board(desk.thread, board, revision=next(self._revisions)), BROKEN)
            if receipt.outcome == "sent":
                await self._note(receipt.ref)
                return
            if isinstance(receipt.error, RateLimited):
                await self._lane.block(receipt.error.retry_after)
            if notices.is_lost(receipt.error):
                desk.lost = receipt.error
            if self.newest is not None or not newest.last or not await tries.another(receipt.error, self._lane):
                log.warning("board.not_shown", thread=desk.thread.thread, error=type(receipt.error).__name__)
                return
            await turn()

    async def _note(self, ref: MessageRef | None) -> None:
        """Note where a board stands that is not the root, so that it can be taken away."""
        if ref is not None and ref.ids not in self._stand:
            self._stand.add(ref.ids)
            await self._desk.outbox.stands(f"{self._key}/{len(self._stand) - 1}", self._desk.run_id, ref)


class _NotThere:
    """The post does not stand in its thread."""
