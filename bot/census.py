"""A census of the run database for whoever watches the process: taken seldom, cheap, and holding nobody up.

Counted are runs that are not over, which an index has by their state, and posts of the runs that this process is at.
What is over is counted by the process that ended it: the rows of thirty days are too many to count every few seconds.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from bot.errors import StoreFailed
from bot.schema import metadata, outbox, runs
from bot.stored import Status
from bot.transactions import AT_ONCE, Transacting

OPEN: tuple[Status, ...] = ("accepted", "running")
"""States of a run that is not over."""

FRESH_SECONDS = 5.0
"""How long a census is told again instead of being taken anew."""

WAIT_SECONDS = 1.0
"""How long the database has to answer before it counts as down."""

STUCK_SECONDS = 60.0
"""How long a post may be `sending` before that is worth knowing: far longer than a platform takes for one."""

ASKED_AT_ONCE = 500
"""Runs in one question: each is a variable of the statement."""

HOUR = 3_600.0
TAKEOVERS = metadata.tables.get("takeovers")


@dataclass(frozen=True, slots=True)
class Census:
    """What the run database holds. `stuck` are posts of this process' runs whose sending began over a minute ago and
    has no known end; `takeovers` those of the last hour, None where the database keeps none."""

    open_runs: Mapping[Status, int]
    stuck: int
    takeovers: int | None


class CensusTaker:
    """Takes the census of a run database. `live` are the ids of the runs that this process is at; `takeovers` is the
    table of runs that a worker took over from another, where there is one."""

    def __init__(
        self,
        rows: Transacting,
        live: Callable[[], Sequence[str]],
        *,
        fresh: float = FRESH_SECONDS,
        wait: float = WAIT_SECONDS,
        takeovers: sa.Table | None = TAKEOVERS,
    ) -> None:
        self._rows, self._live, self._fresh, self._wait, self._takeovers = rows, live, fresh, wait, takeovers
        self._last: Census | None = None
        self._fresh_until = 0.0
        self._taking: asyncio.Task[Census] | None = None

    async def census(self) -> Census | None:
        """The census of the last few seconds, or None where the database does not answer."""
        now = asyncio.get_running_loop().time
        if self._taking is None:
            if now() < self._fresh_until:
                return self._last
            self._taking = asyncio.create_task(self._take(), name="census")
        # One that is late is waited for again next time: a database that hangs is not asked over and over.
        taking = self._taking
        await asyncio.wait({taking}, timeout=self._wait)
        if not taking.done():
            return None
        if self._taking is taking:
            self._taking, self._fresh_until = None, now() + self._fresh
            try:
                self._last = taking.result()
            except StoreFailed:
                self._last = None
        return self._last

    async def _take(self) -> Census:
        ids, now = list(self._live()), self._rows.now()
        return await self._rows.do(lambda connection: self._counted(connection, ids, now), AT_ONCE)

    def _counted(self, connection: sa.Connection, live: Sequence[str], now: float) -> Census:
        by_state = sa.select(runs.c.status, sa.func.count()).where(runs.c.status.in_(OPEN)).group_by(runs.c.status)
        counted: dict[Status, int] = {row[0]: row[1] for row in connection.execute(by_state)}
        stuck, before = 0, outbox.c.at < now - STUCK_SECONDS
        for start in range(0, len(live), ASKED_AT_ONCE):
            some = outbox.c.run.in_(live[start : start + ASKED_AT_ONCE])
            stuck += _count(connection, outbox, some, outbox.c.state == "sending", before)
        table, since = self._takeovers, now - HOUR
        takeovers = None if table is None else _count(connection, table, table.c.at >= since)
        return Census({state: counted.get(state, 0) for state in OPEN}, stuck, takeovers)


def _count(connection: sa.Connection, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(*conditions)
    return int(connection.execute(query).scalar_one())
