"""Departure: the bot was removed from a workspace, and all that is kept of it goes, whatever happens to the process.

Where the departed tenant ends in `/`, that is every workspace below it (`adapters.port.Departed`).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from adapters.port import Departed
from bot.conduct import Conductor
from bot.errors import StoreFailed
from bot.inserts import insert_new
from bot.line import AGAIN_SECONDS, Line
from bot.removal import Record
from bot.rounds import RoundId
from bot.schema import departures, place_settings, runs
from bot.store import Store
from bot.stored import ENDED
from bot.transactions import AT_ONCE, PATIENCE

log = structlog.get_logger()

AT_A_TIME = 200
"""Runs that are removed in one transaction."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A workspace that the bot was removed from `at` that time: what is younger belongs to a new installation."""

    surface: str
    tenant: str
    at: float

    @property
    def runs(self) -> tuple[sa.ColumnElement[bool], ...]:
        """Which runs are meant."""
        return (*self.within(runs), runs.c.created_at <= self.at)

    def within(self, table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        """Which rows of a table are of those who departed."""
        tenant: sa.ColumnElement[str] = table.c.tenant
        if self.tenant.endswith("/"):
            # LIKE would take small letters for capitals.
            tenant = sa.func.substr(tenant, 1, len(self.tenant))
        return (table.c.surface == self.surface, tenant == self.tenant)


class Departures:
    """The departures of this process."""

    def __init__(self, store: Store, conductor: Conductor, record: Record, line: Line) -> None:
        self._store, self._conductor, self._record, self._line = store, conductor, record, line
        self._going: set[Departure] = set()

    async def take(self, departed: Departed) -> None:
        """Commit that a workspace is gone: no run of it begins or goes on from here. Its rows go in the background.
        Raises `StoreFailed`."""
        now = self._store.now()
        # A platform's clock may be ahead of ours; what comes after this moment is of a new installation all the same.
        at = now if departed.at is None else min(departed.at, now)
        await self._begin(Departure(departed.surface, departed.tenant, at), AT_ONCE)

    async def take_up(self) -> None:
        """Go on with what the process before this one did not live to remove. Raises `StoreFailed`."""
        known = sa.select(departures).order_by(departures.c.at)
        for row in await self._store.do(lambda connection: list(connection.execute(known))):
            await self._begin(Departure(row.surface, row.tenant, row.at), PATIENCE)

    async def _begin(self, departure: Departure, patience: float) -> None:
        under_way = await self._store.do(lambda connection: _noted(connection, departure), patience)
        log.info("workspace.departed", front_end=departure.surface, runs_under_way=len(under_way))
        for round_id in under_way:
            self._conductor.drop(round_id)
        if departure not in self._going:
            self._going.add(departure)
            task = self._line.spawn(self._until_done(departure), f"depart {departure.tenant}")
            task.add_done_callback(lambda _: self._going.discard(departure))

    async def _until_done(self, departure: Departure) -> None:
        while True:
            try:
                removed = 0
                while some := await self._some(departure):
                    await self._line.left(some)
                    await self._record.delete(some)
                    await self._store.remove([round_id.run for round_id in some])
                    removed += len(some)
                await self._store.do(lambda connection: _forgotten(connection, departure))
                log.info("workspace.removed", front_end=departure.surface, runs=removed)
                return
            except StoreFailed as error:
                log.error("workspace.not_removed", why=str(error), again_in=AGAIN_SECONDS)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _some(self, departure: Departure) -> list[RoundId]:
        query = sa.select(runs.c.id, runs.c.round).where(*departure.runs).limit(AT_A_TIME)
        return _round_ids(await self._store.do(lambda connection: list(connection.execute(query))))


def _noted(connection: sa.Connection, departure: Departure) -> list[RoundId]:
    """Write the departure down and end what is not over; the rounds that may be under way here."""
    if not insert_new(connection, departures, asdict(departure)):
        earlier = (departures.c.surface == departure.surface, departures.c.tenant == departure.tenant)
        newest = sa.update(departures).where(*earlier, departures.c.at < departure.at).values(at=departure.at)
        connection.execute(newest)
    going = (*departure.runs, runs.c.status.not_in(ENDED))
    # None of them may begin while this looks.
    all_going = connection.execute(sa.select(runs.c.id, runs.c.round, runs.c.status).where(*going).with_for_update())
    begun = [row for row in all_going if row.status == "running"]
    ended = {"status": "stopped", "ended_at": departure.at, "stop_by": sa.func.coalesce(runs.c.stop_by, "departure")}
    connection.execute(sa.update(runs).where(*going).values(ended))
    return _round_ids(begun)


def _forgotten(connection: sa.Connection, departure: Departure) -> None:
    """Remove what places of the workspace remember, and that it departed; but not what came later."""
    for table in (place_settings, departures):
        connection.execute(sa.delete(table).where(*departure.within(table), table.c.at <= departure.at))


def _round_ids(rows: Iterable[Any]) -> list[RoundId]:
    return [RoundId(row.id, row.round) for row in rows]
