"""The house of a process that runs panels: database, courier, conductor and intake, put together and taken apart."""

import asyncio
import gc
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import structlog

from adapters.port import FrontEnd
from bot.asking import reach_of
from bot.blackbox import BlackBox
from bot.conduct import Conductor, Work
from bot.courier import Courier
from bot.database import sole_process, sqlite_engine
from bot.departure import Departures
from bot.errors import StoreFailed, StoreUnusable
from bot.intake import Intake, Parts
from bot.line import Line
from bot.migrations import migrate
from bot.model_teams import Teams
from bot.reading import Reader, Readers
from bot.receipts import Budgets, Ledger, Tariff
from bot.removal import Removals
from bot.rules import Rules
from bot.runs import DurableRuns
from bot.store import Store, database_of, day_start
from bot.watching import Watch, unwatched
from teams.catalog import Catalog
from teams.reading import read_document
from teams.sources.kit import ResearchKit

log = structlog.get_logger()

CLEAN_SECONDS = 3_600.0
"""How often old runs are looked for."""

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a house is built from. `keep_days` is how long runs are kept once they are over; `read` turns documents that
    are fetched into text; `kit` is what research can search, and what reads links; `reached` is told every point of a
    send between which the process could end; `watch` is told what happens, for whoever counts it."""

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


@dataclass(frozen=True, slots=True)
class Open:
    """A house in use."""

    intake: Intake
    conductor: Conductor
    store: Store
    courier: Courier
    removals: Removals
    line: Line
    ledger: Ledger


@asynccontextmanager
async def open_house(plan: Plan, fronts: Mapping[str, FrontEnd]) -> AsyncIterator[Open]:
    """A house on the run databases in `plan.folder`, which this process alone uses as long as the block. What was under
    way is taken up; what is still under way when the block ends stays so in the database.

    Raises `StoreUnusable`.
    """
    with sole_process(plan.folder):
        engine = sqlite_engine(database_of(plan.folder))
        migrate(engine)
        store = Store(engine)
        try:
            spent = await store.charged_since(day_start(time.time()))
            courier = Courier(fronts, store, reached=plan.reached, watch=plan.watch)
            ledger = Ledger(plan.tariff, plan.budgets, spent)
            box = BlackBox(plan.folder / "black-box")
            reach = reach_of(plan.kit)
            work = Work(plan.teams, Readers(plan.read, plan.kit.pages), reach.searches)
            conductor = Conductor(store, courier, work, ledger, status=plan.status, blamed=box.blamed)
            runs = DurableRuns(plan.folder / "steps.sqlite", conductor.conduct)
            line = Line(store, runs, plan.rules.runs_in_flight, plan.rules.runs_waiting)
            removals = Removals(store, courier, runs, line)
            departures = Departures(store, conductor, runs, line)
            conductor.ended, conductor.watch = line.over, plan.watch
            running = (store, courier, conductor, line, plan.catalog, ledger)
            parts = Parts(*running, removals, departures, plan.rules, plan.status, reach)
            with box.watching(), _collected_seldom():
                async with runs:
                    try:
                        await departures.take_up()
                        await line.take_up(conductor.abandon)
                        await removals.take_up()
                        line.spawn(_clean(store, runs, plan.keep_days), "clean")
                        yield Open(Intake(parts), conductor, store, courier, removals, line, ledger)
                    finally:
                        await line.close()
        finally:
            await store.close()


@contextmanager
def _collected_seldom() -> Iterator[None]:
    """Have the garbage collector look seldom, and never at what was there before: with hundreds of runs in flight it
    otherwise walks over all of them again and again. Reference counts free nearly everything all the same."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _clean(store: Store, runs: DurableRuns, keep_days: float) -> None:
    while True:
        try:
            removed = 0
            await store.forget_gestures(store.now() - keep_days * DAY)
            while old := await store.old(store.now() - keep_days * DAY):
                # Ours last: they are what the others are found by.
                await runs.delete(old)
                await store.remove([round_id.run for round_id in old])
                removed += len(old)
            if removed:
                log.info("runs.removed", runs=removed, keep_days=keep_days)
        except StoreFailed as error:
            log.warning("runs.not_removed", why=str(error))
        await asyncio.sleep(CLEAN_SECONDS)


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


def run_databases(home: Path) -> list[Path]:
    """All files with runs, that of `panelist serve` first, then the newest."""
    once = sorted((home / "runs" / "once").glob("*/runs.sqlite"), reverse=True)
    return [path for path in (database_of(served_folder(home)), *once) if path.exists()]
