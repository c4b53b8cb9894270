"""Chores: what is done from time to time, by one process where several share the database."""

import asyncio
from dataclasses import dataclass

import structlog

from bot.departure import Departures
from bot.errors import StoreFailed
from bot.ownership import forget_workers
from bot.removal import Removals
from bot.runs import DurableRuns
from bot.shared_pace import forget_paces
from bot.sharing import Sharing
from bot.store import Store

log = structlog.get_logger()

LOOK_SECONDS = 60.0
"""How often it is looked for what another process did not live to remove."""

CLEAN_EVERY = 60
"""Of how many looks one also removes old runs: once an hour."""

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Chores:
    """The chores of this process. Runs are kept for `keep_days` once they are over."""

    store: Store
    runs: DurableRuns
    removals: Removals
    departures: Departures
    keep_days: float
    sharing: Sharing | None = None

    async def keep_doing(self) -> None:
        """Do them until cancelled."""
        looks = 0
        while True:
            try:
                if self.sharing is None or await self.sharing.mine("chores"):
                    if looks % CLEAN_EVERY == 0:
                        await self._clean()
                    elif self.sharing is not None:
                        await self._go_on()
                    looks += 1
            except StoreFailed as error:
                log.warning("chores.not_done", why=str(error))
            except Exception:
                log.exception("chores.broke")
            await asyncio.sleep(LOOK_SECONDS)

    async def _go_on(self) -> None:
        await self.departures.take_up()
        await self.removals.take_up()

    async def _clean(self) -> None:
        before = self.store.now() - self.keep_days * DAY
        removed = 0
        await self.store.forget_gestures(before)
        if self.sharing is not None:
            await forget_paces(self.store)
            await forget_workers(self.store)
        while old := await self.store.old(before):
            # Ours last: they are what the others are found by.
            await self.runs.delete(old)
            await self.store.remove([round_id.run for round_id in old])
            removed += len(old)
        if removed:
            log.info("runs.removed", runs=removed, keep_days=self.keep_days)
