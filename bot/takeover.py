"""Takeover: the runs of a worker that is dead, or frozen, go on with another one.

A worker that lives holds its lock in the database, which frees it when the connection ends, and says so twice a second.
Of all that could take over one does at a time, and none before the database has answered for a while: after an outage
everybody needs a moment to take their own locks again.
"""

from collections.abc import Sequence
from math import isfinite

import structlog

from bot.leases import Leases
from bot.line import Abandon
from bot.ownership import Left, Other, Ownership
from bot.runs import DurableRuns
from bot.spaces import REAPER, worker_lease

log = structlog.get_logger()

FROZEN_SECONDS = 10.0
"""For how long a worker that holds its lock may tell nothing before its runs are taken from it. A stopped process looks
like a slow one: whoever wakes up finds that it owns nothing any more."""

SILENT_SECONDS = 1.0
"""For how long a worker has to have told nothing before it is looked whether its lock is free."""

STEADY_SECONDS = 3.0
"""For how long the database has to have answered before anybody is thought dead."""


class Takeover:
    """Takes over from dead workers."""

    def __init__(self, ownership: Ownership, leases: Leases, runs: DurableRuns, abandon: Abandon) -> None:
        self._ownership, self._leases, self._runs, self._abandoned = ownership, leases, runs, abandon

    async def look(self, others: Sequence[Other]) -> None:
        """Take over from whoever of the others is dead. Raises `StoreFailed`."""
        silent = [other for other in others if other.silent >= SILENT_SECONDS]
        if not silent or not await self._leases.try_lock(REAPER):
            return
        try:
            for other in silent:
                await self._look_at(other)
        finally:
            # Kept, it would keep the others from taking over from this one once it is frozen.
            await self._leases.unlock(REAPER)

    async def _look_at(self, other: Other) -> None:
        frozen = other.silent >= FROZEN_SECONDS
        free = await self._leases.try_lock(lease := worker_lease(other.worker))
        try:
            if free or frozen:
                await self._take_over(other, frozen=not free)
        finally:
            if free:
                await self._leases.unlock(lease)

    async def _take_over(self, other: Other, *, frozen: bool) -> None:
        left = await self._ownership.left_by(other.worker)
        standing = await self._runs.standing([each.round_id for each in left if each.status == "running"])
        plans = await self._ownership.plans(within=FROZEN_SECONDS) if "other" in standing.values() else frozenset()
        going = [each for each in left if standing.get(each.round_id) == "going"]
        strange = [each for each in left if standing.get(each.round_id) == "other"]
        # First it is sure that they go on, then that their owner says no more: the other way round, a process that
        # ends in between would leave them to nobody.
        await self._runs.take_over([each.round_id for each in going])
        waiting = [each for each in left if each.status == "accepted"]
        lost = [each for each in left if each.status == "running" and standing.get(each.round_id) in (None, "over")]
        await self._ownership.disown([*going, *waiting])
        for each in lost:
            await self._abandon(each, strange=False)
        known = await self._runs.plans_of([each.round_id for each in strange])
        for each in strange:
            # A worker that knows its plan takes it over.
            if known.get(each.round_id) not in plans:
                await self._abandon(each, strange=True)
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

    async def _abandon(self, left: Left, *, strange: bool) -> None:
        await self._ownership.disown([left])
        await self._abandoned(left.round_id, strange=strange)
        await self._runs.cancel([left.round_id])
