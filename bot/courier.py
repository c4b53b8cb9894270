"""The courier: takes posts to their threads, each once whatever happens to the process, at the pace of their place.

A post's key is noted as `sending` before it is sent and as `sent` after it. One that is found `sending` may stand in
its thread or not: it is looked for there before it is sent again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from adapters.port import (
    Board,
    Doc,
    FrontEnd,
    Invocation,
    MessageRef,
    NotDispatched,
    Place,
    RateLimited,
    Receipt,
    SendError,
    ThreadRef,
    Unknown,
)
from bot import render
from bot.pace import ANSWER, BOARD, URGENT, Lane
from bot.stored import Posted

log = structlog.get_logger()
T = TypeVar("T")

UNKNOWN_TRIES = 8
"""How often a send is tried whose end stays unknown, for about two minutes: each might be one too many."""

MOST_LANES = 10_000
"""Places remembered; those that nothing holds back are forgotten first."""

LONGEST_WAIT = 3_600.0
"""Seconds that a place may ask to wait before a post is given up."""

_UNSHOWN = "/unshown"
_BREAKS = Unknown("the front end broke; the log says more")
_BROKEN = Receipt("unknown", error=_BREAKS)


async def guarded(call: Awaitable[T], otherwise: T) -> T:
    """What a front end gives. One that breaks does not break the run: then it is as if nobody knew what it did."""
    try:
        return await call
    except Exception:
        log.exception("front_end.broke")
        return otherwise


class Outbox(Protocol):
    """What the courier keeps about posts; `bot.store.Store` is one."""

    async def posts_of(self, run_id: str) -> dict[str, Posted]:
        """All posts of a run that were begun, by key."""

    async def claim(self, key: str, run_id: str) -> Posted | None:
        """Note that a post is about to be sent. None when it never was; else how it stands."""

    async def sent(self, key: str, ref: MessageRef) -> None:
        """Note where a post stands."""

    async def opened(self, run_id: str, key: str, thread: ThreadRef) -> None:
        """Note a run's thread, and that its root stands there."""

    async def not_sent(self, key: str, why: str) -> None:
        """Note that a post will not be shown."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the courier tries one post, and how it waits between tries; in seconds."""

    post: float = 900.0
    first: float = 0.5
    longest: float = 30.0


class Courier:
    """Delivers to all front ends of this process.

    `reached` is told every point of a send between which the process could end; tests end it there.
    """

    def __init__(
        self,
        fronts: Mapping[str, FrontEnd],
        outbox: Outbox,
        *,
        patience: Patience = Patience(),
        reached: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.fronts, self.outbox, self.patience, self.reached = fronts, outbox, patience, reached
        self._lanes: dict[Place, Lane] = {}

    def lane(self, place: Place) -> Lane:
        """The one way to a place."""
        if place not in self._lanes:
            if len(self._lanes) >= MOST_LANES:
                self._lanes = {other: lane for other, lane in self._lanes.items() if lane.in_use}
            self._lanes[place] = Lane(self.fronts[place.surface].capabilities(place).pace)
        return self._lanes[place]

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """Tell the asker alone."""
        return await guarded(self.fronts[invocation.place.surface].notify(invocation, doc), _BROKEN)

    async def open(self, run_id: str, invocation: Invocation, root: Doc) -> ThreadRef | SendError:
        """Show the root of a run, and give its thread. A platform that has shown it already says which that is."""
        key, front = f"{run_id}/root", self.fronts[invocation.place.surface]
        if invocation.thread is not None:
            await self.outbox.opened(run_id, key, invocation.thread)
            return invocation.thread
        tries = _Tries(self.patience)
        self.reached("before_row")
        ambiguous = await self.outbox.claim(key, run_id) is not None
        self.reached("after_row")
        while True:
            thread = await guarded(front.find_thread(invocation, key), _BREAKS) if ambiguous else None
            if thread is None:
                await self.lane(invocation.place).turn(lambda: URGENT)
                thread = await guarded(front.open_thread(invocation, root, key=key), _BREAKS)
            if isinstance(thread, ThreadRef):
                self.reached("before_mark")
                await self.outbox.opened(run_id, key, thread)
                return thread
            ambiguous = ambiguous or isinstance(thread, Unknown)
            if not await tries.another(thread, self.lane(invocation.place)):
                await self.outbox.not_sent(key, type(thread).__name__)
                return thread

    @asynccontextmanager
    async def delivery(
        self, run_id: str, thread: ThreadRef, revisions: Iterator[int], *, again: bool
    ) -> AsyncIterator["Delivery"]:
        """What one run has to say, delivered in the background until the block ends. `revisions` are those of its
        boards; `again`: it may have said something before."""
        known = await self.outbox.posts_of(run_id) if again else {}
        async with asyncio.TaskGroup() as group:
            delivery = Delivery(self, run_id, thread, known, revisions)
            working = group.create_task(delivery.work(), name=f"delivery {run_id}")
            try:
                yield delivery
            finally:
                working.cancel()


@dataclass(order=True, slots=True)
class _Item:
    urgency: int
    number: int
    key: str = field(compare=False)
    doc: Doc = field(compare=False)


class Delivery:
    """The posts of one run on their way to its thread: the most urgent first, then in order; the newest board only."""

    def __init__(
        self, courier: Courier, run_id: str, thread: ThreadRef, known: dict[str, Posted], revisions: Iterator[int]
    ) -> None:
        self._courier, self._run_id, self.thread, self._known = courier, run_id, thread, known
        self._front = courier.fronts[thread.place.surface]
        self._lane = courier.lane(thread.place)
        self._items: list[_Item] = []
        self._board: Board | None = None
        self._revisions = revisions
        self._numbers = 0
        self._something, self._nothing = asyncio.Event(), asyncio.Event()
        self._nothing.set()
        self.lost: SendError | None = None

    def put(self, key: str, doc: Doc, *, urgent: bool = False) -> None:
        """Have a document posted under its key, unless it stands already."""
        before = self._known.get(key)
        if before is not None and before.state == "sent":
            return
        if before is not None and before.state == "failed":
            if key.endswith(_UNSHOWN):
                return
            # The process may have ended before it could say so.
            key, doc = f"{key}{_UNSHOWN}", render.unshown(doc, None)
        self._numbers += 1
        # Where nothing has to wait, the order in which things happened is the better one.
        urgency = URGENT if urgent and self._lane.paced else ANSWER
        self._items.append(_Item(urgency, self._numbers, key, doc))
        self._stirred()

    def show(self, board: Board) -> None:
        """Have the board shown in place of any that was not shown yet."""
        self._board = board
        self._stirred()

    async def settled(self) -> None:
        """Wait until everything was delivered, or given up."""
        await self._nothing.wait()

    def _stirred(self) -> None:
        self._nothing.clear()
        self._something.set()
        self._lane.stir()

    def _urgency(self) -> int:
        return min(self._items).urgency if self._items else BOARD

    async def work(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._something.wait()
            while self._items or self._board is not None:
                if self.lost is not None:
                    self._items, self._board = [], None
                    break
                await self._lane.turn(self._urgency)
                if self._items:
                    item = min(self._items)
                    self._items.remove(item)
                    await self._post(item)
                elif (board := self._board) is not None:
                    self._board = None
                    await self._show(board)
            self._something.clear()
            self._nothing.set()

    async def _post(self, item: _Item) -> None:
        courier, key = self._courier, item.key
        tries = _Tries(courier.patience)
        courier.reached("before_row")
        before = await courier.outbox.claim(key, self._run_id)
        courier.reached("after_row")
        if before is not None and before.state != "sending":
            return
        ambiguous = before is not None
        while True:
            error = await self._looked_for(key) if ambiguous else None
            if ambiguous and error is None:
                return
            if not ambiguous or isinstance(error, _NotThere):
                receipt = await guarded(self._front.post(self.thread, item.doc, key=key), _BROKEN)
                courier.reached("before_mark")
                if receipt.outcome == "sent" and receipt.ref is not None:
                    await courier.outbox.sent(key, receipt.ref)
                    courier.reached("after_mark")
                    return
                ambiguous = receipt.outcome == "unknown"
                error = receipt.error
            assert not isinstance(error, _NotThere)
            if not await tries.another(error, self._lane):
                await self._give_up(item, error)
                return
            await self._lane.turn(lambda: item.urgency)

    async def _looked_for(self, key: str) -> "SendError | _NotThere | None":
        """None when the post stands and is noted; else that it does not, or why that cannot be told."""
        found = await guarded(self._front.find(self.thread, key), _BREAKS)
        if isinstance(found, MessageRef):
            log.info("post.found", key=key)
            await self._courier.outbox.sent(key, found)
            return None
        return _NotThere() if found is None else found

    async def _give_up(self, item: _Item, error: SendError | None) -> None:
        log.error("post.not_shown", key=item.key, thread=self.thread.thread, error=type(error).__name__)
        await self._courier.outbox.not_sent(item.key, type(error).__name__)
        if render.is_lost(error):
            self.lost = error
        elif not item.key.endswith(_UNSHOWN):
            doc = render.unshown(item.doc, error)
            self._items.append(_Item(item.urgency, item.number, f"{item.key}{_UNSHOWN}", doc))

    async def _show(self, board: Board) -> None:
        """Show a board. Only the last one is worth another try: a thread must not be left with a spinner."""
        tries = _Tries(self._courier.patience)
        while True:
            receipt = await guarded(self._front.board(self.thread, board, revision=next(self._revisions)), _BROKEN)
            if receipt.outcome == "sent":
                return
            if isinstance(receipt.error, RateLimited):
                self._lane.block(receipt.error.retry_after)
            if render.is_lost(receipt.error):
                self.lost = receipt.error
            if self._board is not None or not board.finished or not await tries.another(receipt.error, self._lane):
                log.warning("board.not_shown", thread=self.thread.thread, error=type(receipt.error).__name__)
                return
            await self._lane.turn(self._urgency)


class _NotThere:
    """The post does not stand in its thread."""


class _Tries:
    """The tries of one send: whether there is another, after a wait that the time left has room for."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._until = asyncio.get_running_loop().time() + patience.post
        self._next = patience.first
        self._unknown = 0

    async def another(self, error: SendError | None, lane: Lane) -> bool:
        """Wait as `error` asks, and say whether to try again; False at once where that would lead to nothing."""
        match error:
            case RateLimited(retry_after):
                lane.block(retry_after)
                wait = retry_after
                if wait <= LONGEST_WAIT:
                    # The place said when: that is worth waiting for, however long other errors are tried.
                    self._until = max(self._until, asyncio.get_running_loop().time() + wait + self._patience.first)
            case NotDispatched() | Unknown():
                self._unknown += isinstance(error, Unknown)
                if self._unknown >= UNKNOWN_TRIES:
                    return False
                wait, self._next = self._next, min(self._next * 2, self._patience.longest)
            case _:
                return False
        if asyncio.get_running_loop().time() + wait > self._until:
            return False
        await asyncio.sleep(wait)
        return True
