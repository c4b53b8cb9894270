"""The line: which rounds are under way in this process, which wait for their turn, and how they are started."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, Protocol

import structlog

from bot.background import Background
from bot.errors import StoreFailed
from bot.rounds import RoundId

log = structlog.get_logger()

AGAIN_SECONDS = 5.0
"""How long after the database refused something is tried again."""


class Starter(Protocol):
    """What rounds are started on; `bot.runs.DurableRuns` is one."""

    async def start(self, round_id: RoundId) -> None:
        """Start a round. Starting it again does nothing. Raises `StoreFailed`."""

    async def left(self, rounds: Sequence[RoundId]) -> None:
        """Wait until none of the rounds is carried out here."""

    async def standing(self, rounds: Sequence[RoundId]) -> dict[RoundId, Literal["going", "over", "other"]]:
        """How those of the rounds stand that were ever started. Raises `StoreFailed`."""

    async def cancel(self, rounds: Sequence[RoundId]) -> None:
        """Have nobody go on with rounds that were begun. Raises `StoreFailed`."""


class Abandon(Protocol):
    """Ends a round that nobody will carry out; `bot.conduct.Conductor.abandon` is one."""

    async def __call__(self, round_id: RoundId, *, strange: bool = False) -> None:
        """End a round whose record is lost, or was begun by a `strange` version; its thread is told."""


class Waiting(Protocol):
    """Where rounds wait; `bot.store.Store` is one."""

    async def under_way(self) -> list[RoundId]:
        """Rounds that had begun when the process before this one ended."""

    async def next_accepted(self, most: int | None = None) -> list[RoundId]:
        """Rounds that were accepted and have not begun, first come first."""


class Line(Background):
    """At most `in_flight` rounds at once, 0 for no limit; over that they wait, at most `waiting`.

    Everything that it begins in the background ends with `close`.
    """

    def __init__(self, store: Waiting, runs: Starter, in_flight: int = 0, waiting: int = 0) -> None:
        super().__init__()
        self._store, self._runs, self._most, self._most_waiting = store, runs, in_flight, waiting
        self.started: set[RoundId] = set()
        self.waiting = 0
        self._arriving = 0
        self._starting = asyncio.Lock()
        self._one_over, self._all_over = asyncio.Event(), asyncio.Event()
        self._all_over.set()
        self._ended_early: set[RoundId] | None = set()

    @property
    def full(self) -> bool:
        """Whether as many are under way and wait, or are about to, as may."""
        return bool(self._most) and len(self.started) + self.waiting + self._arriving >= self._most + self._most_waiting

    @property
    def _has_room(self) -> bool:
        return not self._most or len(self.started) < self._most

    async def arrives(self, accepting: Coroutine[Any, Any, RoundId | None]) -> int:
        """Take in the round that `accepting` commits, and start it or have it wait: its position in line, or 0.

        Once begun it is carried through, whatever becomes of the caller: a round that is committed is also started.
        """
        self._arriving += 1
        return await asyncio.shield(self.spawn(self._arrival(accepting), "arrival"))

    async def _arrival(self, accepting: Coroutine[Any, Any, RoundId | None]) -> int:
        try:
            round_id = await accepting
        finally:
            self._arriving -= 1
        if round_id is None:
            return 0
        if self._has_room and not self.waiting:
            self.start(round_id)
            return 0
        self.waiting += 1
        self._all_over.clear()
        self.spawn(self._start_waiting(), "start what waits")
        return self.waiting

    def start(self, round_id: RoundId, *, waited: bool = False) -> None:
        """Start a round now, whether or not there is room."""
        self.waiting = max(self.waiting - waited, 0)
        self._count({round_id})
        self.spawn(self._start(round_id), f"start {round_id}")

    def begun(self, round_id: RoundId) -> None:
        """A round gets under way here, also one that nobody here started."""
        self._count({round_id})

    async def take_up(self, abandon: Abandon) -> None:
        """Begin where the process before this one ended. What cannot be gone on with is abandoned."""
        under_way, accepted = await self._store.under_way(), await self._store.next_accepted()
        standing = await self._runs.standing([*under_way, *accepted])
        # What was started before goes on by itself, and may be over by now.
        early, self._ended_early = self._ended_early or set(), None
        self._count({each for each, how in standing.items() if how == "going"} - early)
        for round_id in [*under_way, *accepted]:
            if standing.get(round_id) == "over" and round_id not in early:
                await abandon(round_id)
            elif standing.get(round_id) == "other":
                await abandon(round_id, strange=True)
                await self._runs.cancel([round_id])
        for round_id in under_way:
            if round_id not in standing:
                self.start(round_id)
        self.waiting = sum(round_id not in standing for round_id in accepted)
        if under_way or accepted:
            log.info("runs.taken_up", under_way=len(under_way), accepted=len(accepted))
        if self.waiting:
            self._all_over.clear()
            self.spawn(self._start_waiting(), "start what waits")

    def over(self, round_id: RoundId) -> None:
        """A round is over: whoever waits may come."""
        self.started.discard(round_id)
        self._one_over.set()
        self._one_over = asyncio.Event()
        if self._ended_early is not None:
            self._ended_early.add(round_id)
        if self.waiting:
            self.spawn(self._start_waiting(), "start what waits")
        self._settle()

    def drain(self) -> None:
        """Take nothing more that others could begin. What waits in this process alone is begun at its next start."""

    async def settled(self) -> None:
        """Wait until nothing is under way and nothing waits."""
        await self._all_over.wait()

    async def left(self, rounds: Sequence[RoundId]) -> None:
        """Wait until none of the rounds is under way here any more."""
        while self.started.intersection(rounds):
            await self._one_over.wait()
        await self._runs.left(rounds)

    def _count(self, rounds: set[RoundId]) -> None:
        self.started |= rounds
        if self.started:
            self._all_over.clear()

    def _settle(self) -> None:
        if not self.started and not self.waiting:
            self._all_over.set()

    async def _start(self, round_id: RoundId) -> None:
        # It is safe, and its asker was told nothing else: it is started as soon as the database lets it.
        await self._until_done(lambda: self._runs.start(round_id))

    async def _start_waiting(self) -> None:
        """Start what waits in the order it was accepted, as far as there is room."""
        async with self._starting:
            while self.waiting and self._has_room:
                await self._until_done(self._start_some)
        self._settle()

    async def _start_some(self) -> None:
        # Those started that did not begin yet come first in the database: look past them.
        accepted = await self._store.next_accepted(len(self.started) + 100)
        waiting = [round_id for round_id in accepted if round_id not in self.started]
        if not waiting:
            self.waiting = 0
        for round_id in waiting:
            if not self._has_room:
                break
            self.start(round_id, waited=True)

    async def _until_done(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
                return
            except StoreFailed as error:
                log.error("run.not_started", why=str(error), again_in=AGAIN_SECONDS)
            await asyncio.sleep(AGAIN_SECONDS)
