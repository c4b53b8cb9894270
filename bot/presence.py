"""Presence: a process among others says that it lives, and learns what of its runs it is to stop or has lost."""

import asyncio
import time
from collections.abc import Collection, Sequence

import structlog

from bot.conduct import Conductor
from bot.errors import StoreFailed
from bot.leases import Leases
from bot.ownership import Beat, Other, Ownership
from bot.receipts import Ledger
from bot.rounds import RoundId
from bot.shared_line import SharedLine
from bot.spaces import worker_lease
from bot.store import day_start
from bot.takeover import STEADY_SECONDS, Takeover

log = structlog.get_logger()

BEAT_SECONDS = 0.5

STRAYS_SECONDS = 30.0
"""How often it is looked for runs that nobody owns and nobody can go on with."""

MONEY_BEATS = 4
"""In how many beats it is once added up what was spent today: there may be hundreds of thousands of rounds."""

LATE_SECONDS = 2.0
"""From one beat to the next: where it takes longer the database stood still, or this process did. All others may look
silent then who were held up as well."""


class Presence:
    """The heartbeat of one process. `takeover` is what looks after the others, where this one carries runs out."""

    def __init__(
        self,
        ownership: Ownership,
        leases: Leases,
        conductor: Conductor,
        line: SharedLine,
        takeover: Takeover | None,
        ledger: Ledger,
    ) -> None:
        self._ownership, self._leases, self._conductor, self._line = ownership, leases, conductor, line
        self._ledger = ledger
        self._takeover = takeover
        self._lease = worker_lease(ownership.me.worker)
        self._steady_since: float | None = None
        self._strays_at = 0.0
        self._beats = 0
        self._beaten = 0.0
        self._looks = False
        self._missed: Collection[RoundId] = frozenset()
        self._strayed: Collection[RoundId] = frozenset()

    async def keep(self) -> None:
        """Beat until cancelled."""
        while True:
            try:
                await self.beat()
            except StoreFailed as error:
                if self._steady_since is not None:
                    log.warning("presence.interrupted", why=str(error))
                self._steady_since = None
            except Exception:
                # Whatever it was: who says no more that it lives is thought dead, and would go on all the same.
                log.exception("presence.broke")
                self._steady_since = None
            await asyncio.sleep(BEAT_SECONDS)

    async def beat(self) -> None:
        """Say that this process lives, and do what it then learns. Raises `StoreFailed`."""
        live, started = set(self._conductor.live), set(self._line.started)
        counts = bool(self._ledger.budgets.day) and self._beats % MONEY_BEATS == 0
        self._beats += 1
        beat = await self._ownership.beat(self._ledger.open, day_start(time.time()) if counts else None)
        self._obeyed(beat, live)
        self._gave_room(started - live - beat.mine)
        if counts:
            self._ledger.told(beat.charged, beat.elsewhere)
        self._line.told(beat.waiting, beat.accepted)
        now = asyncio.get_running_loop().time()
        if self._steady_since is None or now - self._beaten > LATE_SECONDS:
            self._steady_since = now
        self._beaten = now
        if not self._leases.holds(self._lease):
            # Its own lock comes first: who has none must not say that others are dead.
            self._steady_since = None
        elif self._takeover is not None and now - self._steady_since >= STEADY_SECONDS and not self._looks:
            self._looks = True
            self._line.spawn(self._look(self._takeover, beat.others), "takeover")

    async def _look(self, takeover: Takeover, others: Sequence[Other]) -> None:
        """Beside the heartbeat: telling threads that their runs cannot go on takes longer than a process may be silent
        for."""
        try:
            await takeover.look(others)
            now = asyncio.get_running_loop().time()
            if now >= self._strays_at:
                self._strays_at = now + STRAYS_SECONDS
                await takeover.strays()
        except StoreFailed as error:
            log.warning("takeover.interrupted", why=str(error))
            self._steady_since = None
        finally:
            self._looks = False

    def _obeyed(self, beat: Beat, live: set[RoundId]) -> None:
        for round_id in beat.stops:
            self._conductor.stop(round_id)
        # Asked twice, for a run that ends at this moment is not owned any more either.
        missing = live - beat.owned
        for round_id in missing & set(self._missed):
            log.warning("run.disowned", run=str(round_id))
            self._conductor.drop(round_id)
        self._missed = missing

    def _gave_room(self, strayed: set[RoundId]) -> None:
        """What this process had begun when it ended may go on anywhere: it takes no room here then. Asked twice too."""
        for round_id in strayed & set(self._strayed):
            self._line.over(round_id)
        self._strayed = strayed
