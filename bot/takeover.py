"""Takeover: the runs of a worker that is dead, or frozen, go on with another one.

A worker that lives holds its lock in the database, which frees it when the connection ends, and says so twice a second.
Of all that could take over one does at a time, and none before the database has answered for a while: after an outage
everybody needs a moment to take their own locks again.
"""

from collections.abc import Callable, Coroutine, Sequence
from math import isfinite
from typing import Any

import structlog

from bot.leases import Leases
from bot.line import Abandon
from bot.ownership import FROZEN_SECONDS, Left, Other, Ownership
from bot.runs import DurableRuns
from bot.spaces import REAPER, worker_lease

log = structlog.get_logger()

SILENT_SECONDS = 1.0
"""For how long a worker has to have told nothing before it is looked whether its lock is free."""

STEADY_SECONDS = 3.0
"""For how long the database has to have answered before anybody is thought dead."""


Spawn = Callable[[Coroutine[Any, Any, Any], str], object]
"""Begins work in the background, under a name."""


class Takeover:
    """Takes over from dead workers."""

    def __init__(self, ownership: Ownership, leases: Leases, runs: DurableRuns, abandon: Abandon, spawn: Spawn) -> None:
        self._ownership, self._leases, self._runs = ownership, leases, runs
        self._abandoned, self._spawn = abandon, spawn

    async def look(self, others: Sequence[Other]) -> None:
        """Take over from whoever of the others is dead. Raises `StoreFailed`."""
        silent = [other for other in others if other.silent >= SILENT_SECONDS]
        if not silent:
            return
        mine = await self._leases.try_lock(REAPER)
        # Whoever looks may freeze too, in the midst of it; what two do at once is done once all the same.
        stalled = any(isfinite(other.silent) and other.silent >= 3 * FROZEN_SECONDS for other in silent)
        if not mine and not stalled:
            return
        try:
            for other in silent:
                await self._look_at(other)
        finally:
            # Kept, it would keep the others from taking over from this one once it is frozen.
            if mine:
                await self._leases.unlock(REAPER)

    async def _look_at(self, other: Other) -> None:
        # Who told nothing yet may be about to: only its lock says that it is dead.
        frozen = isfinite(other.silent) and other.silent >= FROZEN_SECONDS
        free = await self._leases.try_lock(lease := worker_lease(other.worker))
        try:
            if free or frozen:
                await self._take_over(other, frozen=not free)
        finally:
            if free:
                await self._leases.unlock(lease)

    async def strays(self) -> None:
        """End what nobody owns and nobody can go on with any more: what was handed on when a worker that knew its plan
        was there, and has gone since. Raises `StoreFailed`."""
        left = await self._ownership.left_by_nobody()
        standing = await self._runs.standing([each.round_id for each in left])
        lost = [each for each in left if standing.get(each.round_id) in (None, "over")]
        await self._end_all(lost, [each for each in left if standing.get(each.round_id) == "other"])

    async def _take_over(self, other: Other, *, frozen: bool) -> None:
        left = await self._ownership.left_by(other.worker)
        # Also what is accepted may have been begun, and its owner have ended before it could say so.
        standing = await self._runs.standing([each.round_id for each in left])
        going = [each for each in left if standing.get(each.round_id) == "going"]
        # First it is sure that they go on, then that their owner says no more: the other way round, a process that
        # ends in between would leave them to nobody.
        await self._runs.take_over([each.round_id for each in going])
        waiting = [each for each in left if each.status == "accepted" and each.round_id not in standing]
        lost = [each for each in left if each not in going + waiting and standing.get(each.round_id) != "other"]
        await self._ownership.disown([*going, *waiting])
        strange = [each for each in left if standing.get(each.round_id) == "other"]
        await self._end_all(lost, strange, gone=other.worker)
        if going or waiting or lost:
            log.warning(
                "worker.taken_over",
                worker=other.worker,
                frozen=frozen,
                silent=round(other.silent, 1) if isfinite(other.silent) else None,
                under_way=len(going),
                accepted=len(waiting),
                lost=len(lost),
            )

    async def _end_all(self, lost: Sequence[Left], strange: Sequence[Left], gone: str = "") -> None:
        """End what is lost, and what no worker knows the plan of; hand on what one does. One that is `gone` does not,
        however lately it spoke."""
        for each in lost:
            await self._end(each, strange=False)
        if not strange:
            return
        plans = await self._ownership.plans(within=FROZEN_SECONDS, but=gone)
        known = await self._runs.plans_of([each.round_id for each in strange])
        there = [each for each in strange if known.get(each.round_id) in plans]
        await self._runs.take_over([each.round_id for each in there])
        await self._ownership.disown(there)
        for each in strange:
            if each not in there:
                await self._end(each, strange=True)

    async def _end(self, left: Left, *, strange: bool) -> None:
        """Have a run end beside all this: its thread may be slow to tell."""
        await self._ownership.adopt(left)
        self._spawn(self._ended(left, strange=strange), f"abandon {left.round_id}")

    async def _ended(self, left: Left, *, strange: bool) -> None:
        await self._abandoned(left.round_id, strange=strange)
        await self._runs.cancel([left.round_id])
