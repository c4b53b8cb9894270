"""Durable runs: each run is a DBOS workflow, each paid call of it a step; a run goes on where a dead process left it.

DBOS is known here and nowhere else. Its rules, each paid for: launched inside the running loop; steps reserved in a
fixed order under distinct names; a version set by hand; eight threads; its own exceptions never swallowed.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, SetWorkflowID
from dbos._error import DBOSException

from bot.blackbox import working_on
from bot.database import dbos_engine, failure, sqlite_reader
from bot.stored import StoreFailed, StoreUnusable
from teams.steps import Json

log = structlog.get_logger()
T = TypeVar("T")

RUN_PLAN = "1"
"""The version of the order of a run's steps. Change it when that changes: runs begun before then cannot be taken up by
this code, and are reported."""

THREADS = 8
"""DBOS' own threads. Without a bound, 300 runs at once took 1,411."""

RESUME_SECONDS = 10.0
"""How often runs that were put off, for their database refused, are tried again."""


class PutOff(Exception):
    """The run ends here for now and is taken up again later: it stays under way in the database."""


class StepRecord(Protocol):
    """How one execution of a run records its steps."""

    async def before(self) -> dict[str, Json]:
        """What was recorded before this execution began."""

    def reserve(self) -> "Reservation":
        """The next place in the order of steps."""


class Reservation(Protocol):
    """A place in the order of steps, used at most once."""

    async def run(self, key: str, fn: Callable[[], Awaitable[Json]]) -> Json:
        """Await `fn` and record what it gives under `key`."""


Conduct = Callable[[str, int, StepRecord], Coroutine[Any, Any, None]]
"""Carries out one round of a run. Raises `PutOff` to leave it under way."""


@dataclass(frozen=True, slots=True)
class _Reserved:
    slot: Any

    async def run(self, key: str, fn: Callable[[], Awaitable[Json]]) -> Json:
        async def step() -> Json:
            return await fn()

        try:
            result: Json = await self.slot.run_async({"name": key}, step)
        except sa.exc.DBAPIError as error:
            raise failure(error, "the step could not be recorded") from error
        return result


@dataclass(frozen=True, slots=True)
class _WorkflowSteps:
    workflow: str

    async def before(self) -> dict[str, Json]:
        try:
            steps = await _apart(DBOS.list_workflow_steps_async(self.workflow))
        except sa.exc.DBAPIError as error:
            raise failure(error, "the run's steps could not be read") from error
        return {step["function_name"]: step["output"] for step in steps if step["output"] is not None}

    def reserve(self) -> Reservation:
        return _Reserved(DBOS.reserve_step())


class DurableRuns:
    """The workflows of this process. One per process at a time, for so it is with DBOS.

    As a block: `async with DurableRuns(path, conduct) as runs`. What was under way is taken up when it is entered.
    """

    def __init__(self, path: Path, conduct: Conduct, *, executor: str = "worker-0") -> None:
        self._path, self._conduct, self._executor = path, conduct, executor
        self._under_way: dict[str, asyncio.Task[Any]] = {}
        self._put_off = asyncio.Event()
        self._resuming: asyncio.Task[None] | None = None
        self._workflow: Any = None

    async def __aenter__(self) -> Self:
        DBOS(
            config={
                "name": "panelist",
                "application_version": RUN_PLAN,
                "executor_id": self._executor,
                "max_executor_threads": THREADS,
                "system_database_engine": dbos_engine(self._path),
                "serializer": DBOSPortableJSONSerializer(),
                # Its log lines may quote steps, and so prompts. What matters of them is logged here.
                "log_level": "CRITICAL",
                "notification_listener_polling_interval_sec": 0.25,
            }
        )

        # The number of crashes is ours to count: it tells those of the process from those of the run.
        @DBOS.workflow(name="run", max_recovery_attempts=None)
        async def run(run_id: str, round_: int) -> None:
            await self._run(run_id, round_)

        self._workflow = run
        try:
            DBOS.launch()
        except sa.exc.DBAPIError as error:
            await self._destroy()
            raise StoreUnusable(str(failure(error, f"the run database {self._path} cannot be used"))) from error
        await self._report_strangers()
        self._resuming = asyncio.create_task(self._resume_what_was_put_off(), name="resume runs")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._destroy()

    async def _destroy(self) -> None:
        # It blocks and ends the threads that asyncio.to_thread uses here, so it needs one of its own.
        with ThreadPoolExecutor(1) as pool:
            await asyncio.get_running_loop().run_in_executor(pool, lambda: DBOS.destroy(destroy_registry=True))
        # Whatever still needs a thread on this loop gets a pool that is alive.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))

    async def start(self, run_id: str, round_: int) -> None:
        """Start a round of a run. Starting it again does nothing. Raises `StoreFailed`."""

        async def start() -> None:
            with SetWorkflowID(workflow_id(run_id, round_)):
                await DBOS.start_workflow_async(self._workflow, run_id, round_)

        try:
            await _apart(start())
        except sa.exc.DBAPIError as error:
            raise failure(error, "the run could not be started") from error

    async def known(self, rounds: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        """Those of the rounds that were started before, in this process or in one before it."""
        ids = {workflow_id(run_id, round_): (run_id, round_) for run_id, round_ in rounds}
        if not ids:  # to DBOS, no ids are no condition
            return set()
        found = await _apart(DBOS.list_workflows_async(workflow_ids=list(ids), load_input=False, load_output=False))
        return {ids[workflow.workflow_id] for workflow in found}

    async def delete(self, rounds: Sequence[tuple[str, int]]) -> None:
        """Remove all that was recorded of runs; each with its last round."""
        ids = [workflow_id(run_id, n) for run_id, last in rounds for n in range(1, last + 1)]
        try:
            if ids:
                await _apart(DBOS.delete_workflows_async(ids))
        except sa.exc.DBAPIError as error:
            raise failure(error, "old runs could not be removed") from error

    async def _run(self, run_id: str, round_: int) -> None:
        """The workflow. Whatever leaves it but a cancellation is its end, so a run that is put off is cancelled."""
        task = asyncio.current_task()
        assert task is not None
        workflow = workflow_id(run_id, round_)
        self._under_way[workflow] = task
        try:
            # A task of its own, which the black box sees.
            with working_on(run_id):
                await asyncio.create_task(self._conduct(run_id, round_, _WorkflowSteps(workflow)), name=f"run {run_id}")
        except BaseException as error:
            alone = sole(error)
            if isinstance(alone, StoreFailed):
                log.error("run.put_off", run=run_id, why=str(alone))
                self._put_off.set()
                raise asyncio.CancelledError from error
            if isinstance(alone, PutOff):
                raise asyncio.CancelledError from error
            # DBOS knows its own exceptions only when they come alone.
            if alone is not error:
                raise alone from error
            raise
        finally:
            del self._under_way[workflow]

    async def _report_strangers(self) -> None:
        """Say which runs were begun by another version, so that none is stranded in silence."""
        pending = await _apart(
            DBOS.list_workflows_async(status=["PENDING", "ENQUEUED"], load_input=False, load_output=False)
        )
        for stranger in pending:
            if stranger.app_version not in (None, RUN_PLAN):
                log.error(
                    "run.stranded",
                    run=stranger.workflow_id,
                    plan=stranger.app_version,
                    what="another version of panelist began this run and has to finish it; or ask again",
                )

    async def _resume_what_was_put_off(self) -> None:
        while True:
            await self._put_off.wait()
            await asyncio.sleep(RESUME_SECONDS)
            self._put_off.clear()
            try:
                await self._resume()
            except (StoreFailed, sa.exc.DBAPIError):
                self._put_off.set()

    async def _resume(self) -> None:
        pending = await DBOS.list_workflows_async(
            status="PENDING", app_version=RUN_PLAN, executor_id=self._executor, load_input=False, load_output=False
        )
        ids = [workflow.workflow_id for workflow in pending if workflow.workflow_id not in self._under_way]
        if ids:
            log.info("runs.taken_up", runs=len(ids))
            await DBOS.resume_workflows_async(ids)


def recorded_steps(path: Path, run_id: str, round_: int) -> dict[str, Json]:
    """The results so far of a round that may be under way in another process. Raises `StoreFailed`."""
    client = DBOSClient(system_database_engine=sqlite_reader(path), serializer=DBOSPortableJSONSerializer())
    try:
        steps = client.list_workflow_steps(workflow_id(run_id, round_))
    except sa.exc.DBAPIError as error:
        raise failure(error, f"{path} cannot be read") from error
    finally:
        client.destroy()
    return {step["function_name"]: step["output"] for step in steps if step["output"] is not None}


def workflow_id(run_id: str, round_: int) -> str:
    """The id of a round's workflow: the run's own id for the first."""
    return run_id if round_ == 1 else f"{run_id}#{round_}"


def sole(error: BaseException) -> BaseException:
    """The exception that groups were made around. Of several, one that is not an `Exception`, as DBOS' own are not, or
    else one of ours that puts the run off, or else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [sole(each) for each in error.exceptions]
    base = [each for each in inner if not isinstance(each, Exception)]
    ours = [each for each in inner if isinstance(each, PutOff | StoreFailed)]
    return (base or ours or inner)[0]


def is_engines_own(error: BaseException) -> bool:
    """Whether DBOS raised it, to tell itself something."""
    return isinstance(sole(error), DBOSException)


async def _apart(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` outside of any workflow, where DBOS would make a step of it."""
    return await asyncio.create_task(work, context=contextvars.Context())
