"""Where runs are kept: in a folder of SQLite files, or in a Postgres database. What differs between the two is here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from pydantic import SecretStr

from bot.database import dbos_engine, failure, in_use, probe, sole_process, sqlite_engine, sqlite_reader
from bot.errors import StoreFailed, StoreUnusable

if TYPE_CHECKING:
    from bot.leases import Change, Lease, Leases

FREED_SECONDS = 5.0
"""How long a process waits for the lease of one before it, whose end the server has not noticed yet."""


@dataclass(frozen=True, slots=True)
class InFolder:
    """Two SQLite files in a folder that one process has to itself."""

    folder: Path

    @property
    def file(self) -> Path:
        """The file with our own tables."""
        return self.folder / "runs.sqlite"

    @property
    def steps(self) -> Path:
        """The file with what DBOS records."""
        return self.folder / "steps.sqlite"

    def black_box(self, _: str) -> str:
        """The name of the local file that tells which run a worker was working on."""
        return "black-box"

    def engine(self) -> sa.Engine:
        """An engine for our own tables."""
        return sqlite_engine(self.file)

    def steps_engine(self) -> sa.Engine:
        """An engine for DBOS' tables. Raises `StoreUnusable` where they cannot be written."""
        probe(self.steps)
        return dbos_engine(self.steps)

    def reader(self) -> sa.Engine:
        """An engine that only reads our own tables, also while a process writes."""
        return sqlite_reader(self.file)

    def steps_reader(self) -> sa.Engine | None:
        """An engine that only reads DBOS' tables; None where there are none."""
        return sqlite_reader(self.steps) if self.steps.exists() else None

    def in_use(self) -> bool:
        """Whether a process carries out its runs."""
        return in_use(self.folder)

    @asynccontextmanager
    async def sole(self, _: str) -> AsyncIterator[None]:
        """Have the runs to oneself as long as the block. Raises `StoreUnusable`."""
        with sole_process(self.folder):
            yield None


@dataclass(frozen=True, slots=True)
class InPostgres:
    """A Postgres database that any number of processes share. DBOS has a schema of its own in it, `dbos`."""

    url: SecretStr

    def black_box(self, worker: str) -> str:
        """As in a folder; but processes of one machine share its data folder."""
        return f"black-box-{worker}"

    def engine(self) -> sa.Engine:
        """As in a folder."""
        # Its driver takes a moment to import, and whoever has no Postgres does not wait for it.
        from bot.postgres import postgres_engine

        return postgres_engine(self.url)

    def tokens_engine(self) -> sa.Engine:
        """An engine for the pace that all processes share."""
        from bot.postgres import postgres_tokens_engine

        return postgres_tokens_engine(self.url)

    def steps_engine(self) -> sa.Engine:
        """As in a folder."""
        from bot.postgres import postgres_steps_engine

        engine = postgres_steps_engine(self.url)
        try:
            # DBOS itself would wait for a database that is away, for ever.
            with engine.connect():
                return engine
        except sa.exc.DBAPIError as error:
            engine.dispose()
            what = f"the run database {engine.url.database} cannot be used"
            raise StoreUnusable(str(failure(error, what))) from error

    def reader(self) -> sa.Engine:
        """As in a folder."""
        from bot.postgres import postgres_reader

        return postgres_reader(self.url)

    def steps_reader(self) -> sa.Engine | None:
        """As in a folder."""
        engine = self.reader()
        return engine if _scalar(engine, "SELECT to_regclass('dbos.workflow_status') IS NOT NULL") else None

    def in_use(self) -> bool:
        """Whether any process has its lease. Raises `StoreFailed`."""
        from bot.spaces import WORKERS

        return bool(_scalar(self.reader(), _ANY_LEASE.format(space=WORKERS)))

    @asynccontextmanager
    async def sole(self, worker: str) -> "AsyncIterator[Leases]":
        """Have this worker's name to oneself as long as the block, which is given the leases of the process. Where the
        connection to the database is lost and another process takes the name meanwhile, the block is cancelled.

        Raises `StoreUnusable`, also where the name is in use or was taken.
        """
        from bot.leases import Leases
        from bot.spaces import worker_lease

        lease, block, replaced = worker_lease(worker), asyncio.current_task(), False
        assert block is not None

        def told(which: "Lease", change: "Change") -> None:
            nonlocal replaced
            if which == lease and change == "taken":
                replaced = True
                block.cancel()

        async with Leases(self.url, told) as leases:
            until = asyncio.get_running_loop().time() + FREED_SECONDS
            while not await leases.try_lock(lease):
                if asyncio.get_running_loop().time() > until:
                    raise StoreUnusable(
                        f"another process serves with this DATABASE_URL as {worker}; stop that one first"
                    )
                await asyncio.sleep(0.2)
            try:
                yield leases
            except asyncio.CancelledError:
                if not replaced or block.uncancel():
                    raise
                raise StoreUnusable(
                    f"the connection to the database was lost, and another process took the place of {worker}"
                ) from None


RunsAt = InFolder | InPostgres


def runs_at(folder: Path, url: SecretStr | None) -> RunsAt:
    """Where the runs of a process are that has this folder and this DATABASE_URL."""
    return InFolder(folder) if url is None else InPostgres(url)


_ANY_LEASE = """SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND classid = {space}
AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""


def _scalar(engine: sa.Engine, question: str) -> object:
    try:
        with engine.connect() as connection:
            return connection.exec_driver_sql(question).scalar()
    except sa.exc.DBAPIError as error:
        raise StoreFailed(str(failure(error, f"the run database {engine.url.database} cannot be read"))) from error
