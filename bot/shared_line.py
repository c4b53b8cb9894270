"""The line where several processes share a database: whoever accepts a run opens its thread and lets go of it; whoever
carries runs out takes those that nobody has.

The database is the queue. What is accepted is in it by the same transaction, so nothing is lost between the two.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog

from bot.background import come_true
from bot.errors import Disowned, StoreFailed
from bot.line import Abandon, Line, Starter
from bot.ownership import FROZEN_SECONDS, Ownership
from bot.rounds import RoundId
from bot.store import Store

log = structlog.get_logger()

LOOK_SECONDS = 0.2
"""How often a worker with room looks for runs that wait."""

REFUSED_SECONDS = 1.0
"""How long after the database refused a worker looks again."""

RECORDED_SECONDS = 10.0
"""How long the engine may take to record an end that is in our own record."""

LEFT_SECONDS = 0.5
"""How often it is looked whether runs are over that another process carries out."""

Opener = Callable[[RoundId], Coroutine[Any, Any, None]]
"""Opens the thread of a run that was accepted here, or ends the run where that is refused."""


class Handing(Starter, Protocol):
    """What rounds are started on that other processes may go on with; `bot.runs.DurableRuns` is one."""

    async def take_over(self, rounds: Sequence[RoundId]) -> None:
        """Have rounds that were begun elsewhere go on in whichever process takes them first. Raises `StoreFailed`."""

    async def plans_of(self, rounds: Sequence[RoundId]) -> dict[RoundId, str]:
        """The order of steps that each round was begun with. Raises `StoreFailed`."""


class SharedLine(Line):
    """At most `in_flight` rounds at once in this process, 0 for no limit. `waiting` is how many of all processes wait;
    over `most_waiting` there is no room, 0 for no limit. One that does not `carry` begins none."""

    def __init__(
        self,
        store: Store,
        runs: Handing,
        ownership: Ownership,
        opener: Opener,
        limits: tuple[int, int] = (0, 0),
        *,
        carries: bool = True,
    ) -> None:
        super().__init__(store, runs, *limits)
        self._runs: Handing = runs
        self.ownership, self._opener, self._carries = ownership, opener, carries
        self._known = self._accepted = 0
        self._free = asyncio.Event()
        self._taking: asyncio.Task[Any] | None = None

    @property
    def full(self) -> bool:
        """Whether as many wait, or are about to, as may."""
        return bool(self._most_waiting) and self._known + self._accepted + self._arriving >= self._most_waiting

    def told(self, waiting: int, accepted: int) -> None:
        """So many runs wait for anybody, and so many of all were accepted and not begun, as the database has it now."""
        self.waiting, self._known, self._accepted = waiting, accepted, 0

    async def _arrival(self, accepting: Coroutine[Any, Any, RoundId | None]) -> int:
        try:
            round_id = await accepting
        finally:
            self._arriving -= 1
        if round_id is None:
            return 0
        self._accepted += 1
        self.spawn(self._opened(round_id), f"open {round_id}")
        # Whether a worker has room is known only where there is one in this process.
        waits = self.waiting > 0 or (self._carries and not self._has_room)
        return self.waiting + self._accepted if waits else 0

    async def _opened(self, round_id: RoundId) -> None:
        with suppress(Disowned):  # somebody thought this process dead, and sees to it
            await self._until_done(lambda: self._opener(round_id))
            await self._until_done(lambda: self.ownership.release(round_id.run))
        self._free.set()

    def start(self, round_id: RoundId, *, waited: bool = False) -> None:
        """Start a round now that this process owns. One that waits is taken by whoever has room, or is to stop."""
        if waited:
            self._free.set()
        elif self._carries:
            super().start(round_id)

    async def take_up(self, abandon: Abandon) -> None:
        """Go on where an earlier incarnation of this worker ended, and begin to take what waits."""
        under_way = await self.ownership.left_behind()
        standing = await self._runs.standing(under_way)
        early, self._ended_early = self._ended_early or set(), None
        self._count({each for each, how in standing.items() if how == "going"} - early)
        for round_id in under_way:
            if standing.get(round_id) == "over" and round_id not in early:
                await abandon(round_id)
            elif standing.get(round_id) == "other":
                await self._of_another_version(round_id, abandon)
            elif round_id not in standing:
                self.start(round_id)
        if under_way:
            log.info("runs.taken_up", under_way=len(under_way))
        if self._carries:
            self._taking = self.spawn(self._take(), "take what waits")

    async def _of_another_version(self, round_id: RoundId, abandon: Abandon) -> None:
        """Hand a run on to a worker that knows its order of steps, or else end it."""
        plan = (await self._runs.plans_of([round_id])).get(round_id)
        if plan in await self.ownership.plans(within=FROZEN_SECONDS):
            await self._runs.take_over([round_id])
            await self.ownership.hand_on(round_id)
            return
        await abandon(round_id, strange=True)
        await self._runs.cancel([round_id])

    def over(self, round_id: RoundId) -> None:
        """A round is over, or another process has it: there is room for one."""
        super().over(round_id)
        self._free.set()

    def drain(self) -> None:
        """Take nothing more."""
        if self._taking is not None:
            self._taking.cancel()

    async def settled(self) -> None:
        """Wait until nothing is under way and nothing waits, in any process."""

        async def none_left() -> bool:
            return not await self.ownership.unfinished()

        await come_true(none_left, LEFT_SECONDS)

    async def left(self, rounds: Sequence[RoundId]) -> None:
        """Wait until none of the rounds is under way anywhere any more, and how each ended is recorded."""

        async def over() -> bool:
            return await self.ownership.all_over(rounds)

        async def recorded() -> bool:
            return "going" not in (await self._runs.standing(rounds)).values()

        await come_true(over, LEFT_SECONDS)
        try:
            async with asyncio.timeout(RECORDED_SECONDS):
                await come_true(recorded, LEFT_SECONDS)
        except TimeoutError:
            # Its worker died between our record of its end and the engine's. Ours decides.
            await self._runs.cancel(rounds)

    async def _take(self) -> None:
        refused = False
        while True:
            self._free.clear()
            try:
                room = None if not self._most else self._most - len(self.started)
                for round_id in await self.ownership.take(room):
                    self.start(round_id)
                refused = False
            except Exception as error:
                if not refused:
                    log.warning("runs.not_taken", why=str(error), again_in=REFUSED_SECONDS, exc_info=_strange(error))
                refused = True
            with suppress(TimeoutError):
                async with asyncio.timeout(REFUSED_SECONDS if refused else LOOK_SECONDS):
                    await self._free.wait()

    async def _start_waiting(self) -> None:
        """Nothing waits in this process: it is all in the database."""
        self._settle()


def _strange(error: Exception) -> Exception | None:
    """What is to be logged with its traceback: all but what a database says when it refuses."""
    return None if isinstance(error, StoreFailed) else error
