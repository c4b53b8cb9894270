"""The house of a process that runs panels: database, courier, conductor and intake, put together and taken apart."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import structlog
from pydantic import SecretStr

from adapters.port import FrontEnd
from bot.asking import reach_of
from bot.blackbox import BlackBox
from bot.chores import DAY, Chores
from bot.conduct import Conductor, Work
from bot.courier import Courier
from bot.database import make_folder, sole_process
from bot.departure import Departures
from bot.errors import StoreFailed, StoreUnusable
from bot.garbage import collected_seldom
from bot.intake import Intake, Parts
from bot.leases import Leases
from bot.line import Line
from bot.migrations import migrate
from bot.model_teams import Teams
from bot.ownership import Member, Role
from bot.reading import Reader, Readers
from bot.receipts import Budgets, Ledger, Tariff
from bot.removal import Removals
from bot.rules import Rules
from bot.runs import RUN_PLAN, DurableRuns
from bot.runs_at import InFolder, InPostgres, RunsAt, runs_at
from bot.shared_line import SharedLine
from bot.sharing import Sharing
from bot.store import Store, day_start
from bot.transactions import Transactions
from bot.watching import Watch, unwatched
from teams.catalog import Catalog
from teams.reading import read_document
from teams.sources.kit import ResearchKit

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a house is built from. `keep_days` is how long runs are kept once they are over; `read` turns documents that
    are fetched into text; `kit` is what research can search, and what reads links; `reached` is told every point of a
    send between which the process could end; `watch` is told what happens, for whoever counts it. Runs are in the
    `folder`, or else in the Postgres that `database` names; what belongs to this machine alone is in the folder.
    `worker` is the name of the process among those that share a database, and `role` what it does there."""

    folder: Path
    teams: Teams
    catalog: Catalog
    rules: Rules = Rules()
    tariff: Tariff = Tariff()
    budgets: Budgets = Budgets()
    status: tuple[str, ...] = ()
    keep_days: float = 30.0
    read: Reader = read_document
    kit: ResearchKit = ResearchKit()
    reached: Callable[[str], None] = lambda _: None
    watch: Watch = unwatched
    database: SecretStr | None = None
    worker: str = "worker-0"
    role: Role = "all"


@dataclass(frozen=True, slots=True)
class Open:
    """A house in use. `leases` are there where its database is shared."""

    intake: Intake
    conductor: Conductor
    store: Store
    courier: Courier
    removals: Removals
    line: Line
    ledger: Ledger
    leases: Leases | None = None


@asynccontextmanager
async def open_house(plan: Plan, fronts: Mapping[str, FrontEnd]) -> AsyncIterator[Open]:
    """A house on the plan's run databases, with runs that this process has to itself as long as the block. What was
    under way is taken up; what is still under way when the block ends stays so in the database.

    Raises `StoreUnusable`.
    """
    at = runs_at(plan.folder, plan.database)
    make_folder(plan.folder)
    async with at.sole(plan.worker) as leases:
        sharing = None if leases is None else Sharing(leases, Member.new(plan.worker, plan.role, RUN_PLAN))
        engine = at.engine()
        migrate(engine)
        store = Store(engine, owner="" if sharing is None else sharing.me.token)
        tokens = Transactions(at.tokens_engine(), name="tokens", together=1) if isinstance(at, InPostgres) else None
        try:
            spent = await store.charged_since(day_start(time.time()))
            shared = None if sharing is None or tokens is None else sharing.buckets(tokens)
            courier = Courier(fronts, store, reached=plan.reached, watch=plan.watch, shared=shared)
            ledger = Ledger(plan.tariff, plan.budgets, spent)
            box = BlackBox(plan.folder / at.black_box(plan.worker))
            reach = reach_of(plan.kit)
            work = Work(plan.teams, Readers(plan.read, plan.kit.pages), reach.searches)
            # Among others it is noted at once below, whoever has the run by now: here it would count twice.
            blamed = box.blamed if sharing is None else ""
            conductor = Conductor(store, courier, work, ledger, status=plan.status, blamed=blamed)
            carries = sharing is None or sharing.carries
            runs = DurableRuns(at, conductor.conduct, executor=plan.worker, carries=carries)
            runs.ours = store.owns if store.shared else None
            line = _line(plan.rules, store, runs, conductor, sharing)
            removals = Removals(store, courier, runs, line, sharing)
            departures = Departures(store, conductor, runs, line)
            conductor.begun, conductor.ended, conductor.watch = line.begun, line.over, plan.watch
            running = (store, courier, conductor, line, plan.catalog, ledger)
            parts = Parts(*running, removals, departures, plan.rules, plan.status, reach)
            chores = Chores(store, runs, removals, departures, plan.keep_days, sharing)
            with box.watching(), collected_seldom():
                async with runs:
                    try:
                        if isinstance(line, SharedLine) and sharing is not None:
                            await store.blame(box.blamed)
                            line.spawn(sharing.presence(runs, conductor, line, ledger).keep(), "presence")
                        await departures.take_up()
                        await line.take_up(conductor.abandon)
                        await removals.take_up()
                        line.spawn(chores.keep_doing(), "chores")
                        yield Open(Intake(parts), conductor, store, courier, removals, line, ledger, leases)
                    finally:
                        await line.close()
            if isinstance(line, SharedLine):
                with suppress(StoreFailed):
                    # Whoever goes on with what is left need not wait until this process counts as dead.
                    await line.ownership.leave()
        finally:
            if tokens is not None:
                await tokens.close()
            await store.close()


def _line(rules: Rules, store: Store, runs: DurableRuns, conductor: Conductor, sharing: Sharing | None) -> Line:
    if sharing is None:
        return Line(store, runs, rules.runs_in_flight, rules.runs_waiting)
    return sharing.line(store, runs, conductor, rules)


def served_folder(home: Path) -> Path:
    """The folder of the run databases of `panelist serve`."""
    return home / "runs" / "serve"


@asynccontextmanager
async def folder_of_its_own(home: Path, keep_days: float, again: Path | None = None) -> AsyncIterator[Path]:
    """A folder of run databases for one process that serves nobody else; those of long ago are removed. `again` is one
    whose process was killed."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = again or home / "runs" / "once" / f"{stamp}-{uuid4().hex[:8]}"
    await asyncio.to_thread(_remove_old, home / "runs" / "once", keep_days)
    yield folder
    # The record is in the other file; nobody takes up a run whose terminal is gone.
    for name in ("steps.sqlite", "steps.sqlite-wal", "steps.sqlite-shm", "black-box", "lock", "pid"):
        (folder / name).unlink(missing_ok=True)


def _remove_old(once: Path, keep_days: float) -> None:
    before = time.time() - keep_days * DAY
    with suppress(OSError):
        for folder in once.iterdir():
            if folder.stat().st_mtime < before:
                with suppress(StoreUnusable), sole_process(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def run_databases(home: Path, url: SecretStr | None = None) -> list[RunsAt]:
    """All that runs are kept in, that of `panelist serve` first, then the newest; `url` is its DATABASE_URL."""
    served = runs_at(served_folder(home), url)
    once = sorted((home / "runs" / "once").glob("*/runs.sqlite"), reverse=True)
    there = isinstance(served, InPostgres) or served.file.exists()
    return [*([served] if there else []), *(InFolder(file.parent) for file in once)]
