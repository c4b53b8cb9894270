"""The courier: takes what runs say to their threads and away again, at the pace of the place.

A post's key is noted as `sending` before it is sent and as `sent` after it. One that is found `sending` may stand in
its thread or not: it is looked for there before it is sent again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from weakref import WeakValueDictionary

import structlog

from adapters.port import (
    AskForm,
    Doc,
    FrontEnd,
    Gone,
    Invocation,
    MessageRef,
    Pace,
    Place,
    RateLimited,
    Receipt,
    SendError,
    ThreadRef,
    Unknown,
)
from bot.delivery import Delivery, Desk
from bot.pace import ANSWER, URGENT, Lane, Lanes, Shared
from bot.stored import Posted
from bot.tries import BREAKS, BROKEN, LATE_TRIES, Patience, Tries, guarded, looked
from bot.watching import PostOutcome, PostSettled, PostUnsure, Watch, unwatched

log = structlog.get_logger()


class Outbox(Protocol):
    """What the courier keeps about posts; `bot.store.Store` is one."""

    async def posts_of(self, run_id: str) -> dict[str, Posted]:
        """All posts of a run that were begun, by key."""

    async def claim(self, key: str, run_id: str) -> Posted | None:
        """Note that a post is about to be sent. None when it never was; else how it stands."""

    async def refuse_others(self, run_id: str) -> None:
        """Make sure that no other process has the run; what is noted for it makes sure by itself."""

    async def sent(self, key: str, ref: MessageRef) -> None:
        """Note where a post stands."""

    async def stands(self, key: str, run_id: str, ref: MessageRef) -> None:
        """Note where something stands that was not announced by `claim`."""

    async def opened(self, run_id: str, key: str, thread: ThreadRef) -> None:
        """Note a run's thread, and that its root stands there."""

    async def not_sent(self, key: str, why: str) -> None:
        """Note that a post will not be shown."""


Later = Callable[[Coroutine[Any, Any, Any], str], object]
"""Begins work in the background, under a name; `bot.line.Line.spawn` is one."""


class Courier:
    """Delivers to all front ends of this process.

    `reached` is told every point of a send between which the process could end; tests end it there. `shared` gives the
    buckets of places that other processes send to as well. `watch` is told of roots and posts.
    """

    def __init__(
        self,
        fronts: Mapping[str, FrontEnd],
        outbox: Outbox,
        *,
        patience: Patience = Patience(),
        reached: Callable[[str], None] = lambda _: None,
        shared: Callable[[Hashable, Pace], Shared] | None = None,
        watch: Watch = unwatched,
    ) -> None:
        self.watch = watch
        self.fronts, self.outbox, self.patience, self.reached = fronts, outbox, patience, reached
        self._lanes = Lanes(_named("posts", shared))
        self._board_lanes = Lanes(_named("boards", shared))
        self._late: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def lane(self, place: Place) -> Lane:
        """The one way to a place."""
        return self._lanes.lane(place, lambda: self.fronts[place.surface].capabilities(place).pace)

    def board_lane(self, place: Place) -> Lane | None:
        """The way of all boards of a tenant or place, where its platform counts them by themselves."""
        can = self.fronts[place.surface].capabilities(place)
        whose = place if can.board_scope == "place" else (place.surface, place.tenant)
        return None if can.board_pace is None else self._board_lanes.lane(whose, lambda: can.board_pace)

    def digests(self, place: Place) -> bool:
        """Whether a run is told there in one document."""
        return self.fronts[place.surface].capabilities(place).digest

    async def notify(self, invocation: Invocation, doc: Doc, later: Later | None = None) -> Receipt:
        """Tell the asker alone. Where the place asks to wait, they are told after that, if it is not too long; by what
        `later` begins, for whoever is waited for."""
        receipt = await self._notify(invocation, doc)
        if (limited := _limited(receipt)) is None:
            _log_unshown(invocation, receipt)
            return receipt
        telling = self._notify_late(invocation, doc, limited)
        if later is None:
            return await telling
        later(telling, "notice")
        return receipt

    async def _notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        return await guarded(self.fronts[invocation.place.surface].notify(invocation, doc), BROKEN)

    async def _notify_late(self, invocation: Invocation, doc: Doc, limited: RateLimited) -> Receipt:
        """Tell after a wait. What a tenant is told late goes one after the other: refused together, it would be refused
        together again."""
        place, receipt, now = invocation.place, Receipt("failed", error=limited), asyncio.get_running_loop().time
        until, free = now() + self.patience.notice, now() + limited.retry_after
        async with self._late.setdefault((place.surface, place.tenant), asyncio.Lock()):
            for _ in range(LATE_TRIES):
                if max(free, now()) > until:
                    break
                # uvloop's timers are whole milliseconds, and so may ring one early.
                await asyncio.sleep(max(free - now(), 0.0) + 0.001)
                receipt = await self._notify(invocation, doc)
                if (again := _limited(receipt)) is None:
                    break
                free = now() + again.retry_after
        _log_unshown(invocation, receipt)
        return receipt

    async def ask(self, invocation: Invocation, form: AskForm) -> Receipt:
        """Show the asker a form."""
        return await guarded(self.fronts[invocation.place.surface].ask(invocation, form), BROKEN)

    async def open(self, run_id: str, invocation: Invocation, root: Doc) -> ThreadRef | SendError:
        """Show the root of a run, and give its thread. A platform that has shown it already says which that is."""
        key, front = f"{run_id}/root", self.fronts[invocation.place.surface]
        if invocation.thread is not None:
            await self.outbox.opened(run_id, key, invocation.thread)
            return invocation.thread
        tries, settled = Tries(self.patience), self._settling(invocation.place.surface)
        self.reached("before_row")
        ambiguous = await self.outbox.claim(key, run_id) is not None
        self.reached("after_row")
        if ambiguous:
            self.watch(PostUnsure(invocation.place.surface))
        while True:
            thread = looked(key, await guarded(front.find_thread(invocation, key), BREAKS)) if ambiguous else None
            found = thread is not None
            if thread is None:
                await self.lane(invocation.place).turn(lambda: URGENT)
                await self.outbox.refuse_others(run_id)
                thread = await guarded(front.open_thread(invocation, root, key=key), BREAKS)
            if isinstance(thread, ThreadRef):
                self.reached("before_mark")
                await self.outbox.opened(run_id, key, thread)
                settled("found" if found else "sent")
                return thread
            ambiguous = ambiguous or isinstance(thread, Unknown)
            if not await tries.another(thread, self.lane(invocation.place)):
                await self.outbox.not_sent(key, type(thread).__name__)
                settled("not_shown")
                return thread

    def _settling(self, surface: str) -> Callable[[PostOutcome], None]:
        now = asyncio.get_running_loop().time
        put_at = now()
        return lambda outcome: self.watch(PostSettled(surface, outcome, now() - put_at))

    @asynccontextmanager
    async def delivery(
        self, run_id: str, thread: ThreadRef, revisions: Iterator[int], *, again: bool
    ) -> AsyncIterator[Delivery]:
        """What one run has to say, delivered in the background until the block ends. `revisions` are those of its
        boards; `again`: it may have said something before."""
        known = await self.outbox.posts_of(run_id) if again else {}
        place, front = thread.place, self.fronts[thread.place.surface]
        desk = Desk(front, self.outbox, run_id, thread, self.patience, self.reached, watch=self.watch)
        async with asyncio.TaskGroup() as group:
            delivery = Delivery(desk, self.lane(place), self.board_lane(place), known, revisions)
            working = [group.create_task(work, name=f"delivery {run_id}") for work in delivery.work()]
            try:
                yield delivery
            finally:
                for task in working:
                    task.cancel()

    async def remove(self, ref: MessageRef) -> SendError | None:
        """Take a post away, however often that has to be tried. None where it is gone; else why it is not."""
        place = ref.thread.place
        tries, lane, front = Tries(self.patience), self.lane(place), self.fronts[place.surface]
        while True:
            await lane.turn(lambda: ANSWER)
            error = await guarded(front.remove(ref), BREAKS)
            if error is None or isinstance(error, Gone):
                return None
            if not await tries.another(error, lane):
                return error


def _named(what: str, shared: Callable[[Hashable, Pace], Shared] | None) -> Callable[[Hashable, Pace], Shared] | None:
    """Boards that are counted by themselves have buckets of their own, also where they lead to the same place."""
    return None if shared is None else lambda to, pace: shared((what, to), pace)


def _limited(receipt: Receipt) -> RateLimited | None:
    """What the place asks to wait, where nothing was shown."""
    return receipt.error if receipt.outcome == "failed" and isinstance(receipt.error, RateLimited) else None


def _log_unshown(invocation: Invocation, receipt: Receipt) -> None:
    if receipt.outcome in ("partial", "failed"):
        log.warning("notice.not_shown", key=invocation.key, error=type(receipt.error).__name__)
