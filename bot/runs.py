"""Durable runs: each round of a run is a DBOS workflow, each paid call of it a step; a run goes on where a dead process
left it.

DBOS is known here and nowhere else. Its rules, each paid for: launched inside the running loop; steps reserved in a
fixed order under distinct names; a version set by hand; eight threads; its own exceptions never swallowed.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, SetWorkflowID
from dbos._error import DBOSException

from bot.blackbox import working_on
from bot.database import translated
from bot.errors import PutOff, StoreFailed, StoreUnusable, sole
from bot.rounds import RoundId
from bot.runs_at import RunsAt
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

ASKED_AT_ONCE = 500
"""Ids in one question to DBOS: each is a variable of the statement."""

Standing = Literal["going", "over", "other"]
"""How DBOS has a round: to be finished by this process, over, or begun by a version with another plan."""


class StepRecord(Protocol):
    """How one execution of a round records its steps."""

    async def before(self) -> dict[str, Json]:
        """What was recorded before this execution began."""

    def reserve(self) -> "Reservation":
        """The next place in the order of steps."""


class Reservation(Protocol):
    """A place in the order of steps, used at most once."""

    async def record(self, key: str, result: Json) -> Json:
        """Record what a step came to under `key`; what is recorded there. Raises `StoreFailed`."""


Conduct = Callable[[RoundId, StepRecord], Coroutine[Any, Any, None]]
"""Carries out one round of a run. Raises `PutOff` to leave it under way."""


class _Serializer(DBOSPortableJSONSerializer):
    """Plain JSON, and never a database's refusal: DBOS would record it as what the step came to, were there room."""

    def name(self) -> str:
        return "panelist_json"

    def serialize(self, value: Any) -> str:
        if isinstance(value, sa.exc.DBAPIError):
            raise value
        if isinstance(value, BaseException):
            return super().serialize({"error": type(value).__name__})
        return super().serialize(value)


@dataclass(frozen=True, slots=True)
class _Reserved:
    slot: Any

    async def record(self, key: str, result: Json) -> Json:
        # DBOS is given what came of it, not what is to be done: around a coroutine it goes to a thread three times,
        # around a function once. What was recorded before this execution is known, so nothing is done in vain.
        with translated("the step could not be recorded"):
            recorded: Json = await self.slot.run_async({"name": key}, lambda: result)
        return recorded


@dataclass(frozen=True, slots=True)
class _WorkflowSteps:
    round_id: RoundId

    async def before(self) -> dict[str, Json]:
        with translated("the run's steps could not be read"):
            return _results(await _apart(DBOS.list_workflow_steps_async(str(self.round_id))))

    def reserve(self) -> Reservation:
        return _Reserved(DBOS.reserve_step())


class DurableRuns:
    """The workflows of this process. One per process at a time, for so it is with DBOS.

    As a block: `async with DurableRuns(at, conduct) as runs`. What was under way is taken up when it is entered; one
    that does not `carry` takes nothing up that others left. Raises `StoreUnusable`.
    """

    def __init__(self, at: RunsAt, conduct: Conduct, *, executor: str = "worker-0", carries: bool = True) -> None:
        self._at, self._conduct, self._executor, self._carries = at, conduct, executor, carries
        self._engine: sa.Engine | None = None
        self._under_way: dict[RoundId, asyncio.Task[Any]] = {}
        self._not_left: dict[RoundId, asyncio.Task[Any]] = {}
        self._put_off: set[RoundId] = set()
        self._resuming: asyncio.Task[None] | None = None
        self._workflow: Any = None
        self.ours: Callable[[str], Coroutine[Any, Any, bool]] | None = None
        """Asked whether a run is still this process', where another may have it by now. Raises `StoreFailed`."""

    async def __aenter__(self) -> Self:
        engine = self._engine = self._at.steps_engine()
        DBOS(
            config={
                "name": "panelist",
                # All that DBOS starts again comes by a queue of its own, which every process serves: one that carries
                # nothing out has to be of another version.
                "application_version": RUN_PLAN if self._carries else f"{RUN_PLAN}, not carried out",
                "executor_id": self._executor,
                "max_executor_threads": THREADS,
                "system_database_engine": engine,
                # On Postgres it would wake up a hundred times a second for what runs never use.
                "use_listen_notify": False,
                "serializer": _Serializer(),
                # Its log lines may quote steps, and so prompts. What matters of them is logged here.
                "log_level": "CRITICAL",
                "notification_listener_polling_interval_sec": 0.25,
            }
        )

        # The number of crashes is ours to count: it tells those of the process from those of the run.
        @DBOS.workflow(name="run", max_recovery_attempts=None)
        async def run(run_id: str, round_: int) -> None:
            await self._run(RoundId(run_id, round_))

        self._workflow = run
        try:
            with translated(f"the run database {engine.url.database} cannot be used"):
                DBOS.launch()
        except BaseException as error:
            await self._destroy()
            if isinstance(error, StoreFailed):
                raise StoreUnusable(str(error)) from error
            raise
        self._resuming = asyncio.create_task(self._resume_what_was_put_off(), name="resume runs")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for task in (self._resuming, *self._under_way.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._destroy()

    async def _destroy(self) -> None:
        # It blocks and ends the threads that asyncio.to_thread uses here, so it needs one of its own.
        with ThreadPoolExecutor(1) as pool:
            await asyncio.get_running_loop().run_in_executor(pool, lambda: DBOS.destroy(destroy_registry=True))
        if self._engine is not None:
            self._engine.dispose()
        # Whatever still needs a thread on this loop gets a pool that is alive.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))

    async def start(self, round_id: RoundId) -> None:
        """Start a round of a run. Starting it again does nothing. Raises `StoreFailed`."""

        async def start() -> None:
            with SetWorkflowID(str(round_id)):
                await DBOS.start_workflow_async(self._workflow, round_id.run, round_id.number)

        with translated("the run could not be started"):
            await _apart(start())

    async def standing(self, rounds: Sequence[RoundId]) -> dict[RoundId, Standing]:
        """How those of the rounds stand that were ever started. Raises `StoreFailed`."""
        by_id = {str(round_id): round_id for round_id in rounds}
        ids = list(by_id)
        found: dict[RoundId, Standing] = {}
        # To DBOS, no ids are no condition: an empty question would be one for all.
        for start in range(0, len(ids), ASKED_AT_ONCE):
            some = ids[start : start + ASKED_AT_ONCE]
            with translated("runs could not be looked up"):
                workflows = await _apart(
                    DBOS.list_workflows_async(workflow_ids=some, load_input=False, load_output=False)
                )
            found |= {by_id[each.workflow_id]: _standing(each) for each in workflows}
        return found

    async def left(self, rounds: Sequence[RoundId]) -> None:
        """Wait until none of the rounds is carried out here, and how each ended is recorded."""
        tasks = [task for round_id in rounds if (task := self._not_left.get(round_id)) is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def take_over(self, rounds: Sequence[RoundId]) -> None:
        """Have rounds that were begun elsewhere go on in whichever process takes them first. Raises `StoreFailed`."""
        if rounds:
            with translated("runs could not be taken over"):
                await _apart(DBOS.resume_workflows_async([str(round_id) for round_id in rounds]))

    async def cancel(self, rounds: Sequence[RoundId]) -> None:
        """Have nobody go on with rounds that were begun. Raises `StoreFailed`."""
        if rounds:
            with translated("runs could not be cancelled"):
                await _apart(DBOS.cancel_workflows_async([str(round_id) for round_id in rounds]))

    async def plans_of(self, rounds: Sequence[RoundId]) -> dict[RoundId, str]:
        """The order of steps that each round was begun with. Raises `StoreFailed`."""
        by_id = {str(round_id): round_id for round_id in rounds}
        if not by_id:
            return {}
        with translated("runs could not be looked up"):
            found = await _apart(
                DBOS.list_workflows_async(workflow_ids=list(by_id), load_input=False, load_output=False)
            )
        return {by_id[each.workflow_id]: each.app_version or "" for each in found}

    async def delete(self, rounds: Sequence[RoundId]) -> None:
        """Remove all that was recorded of runs; each with its last round. Raises `StoreFailed`."""
        ids = [str(RoundId(last.run, n)) for last in rounds for n in range(1, last.number + 1)]
        for start in range(0, len(ids), ASKED_AT_ONCE):
            with translated("old runs could not be removed"):
                await _apart(DBOS.delete_workflows_async(ids[start : start + ASKED_AT_ONCE]))

    async def _run(self, round_id: RoundId) -> None:
        """The workflow. Whatever leaves it but a cancellation is its end, so a run that is put off is cancelled."""
        task = asyncio.current_task()
        assert task is not None
        self._under_way[round_id] = self._not_left[round_id] = task
        task.add_done_callback(lambda ended: self._forget(round_id, ended))
        try:
            # A task of its own, which the black box sees.
            with working_on(round_id.run):
                await asyncio.create_task(self._conduct(round_id, _WorkflowSteps(round_id)), name=f"run {round_id}")
        except BaseException as error:
            alone = sole(error)
            if isinstance(alone, StoreFailed):
                log.error("run.put_off", run=str(round_id), why=str(alone), again_in=RESUME_SECONDS)
                self._put_off.add(round_id)
                raise asyncio.CancelledError from error
            if isinstance(alone, PutOff):
                raise asyncio.CancelledError from error
            # DBOS knows its own exceptions only when they come alone.
            if alone is not error:
                raise alone from error
            raise
        finally:
            del self._under_way[round_id]

    def _forget(self, round_id: RoundId, ended: "asyncio.Task[Any]") -> None:
        if self._not_left.get(round_id) is ended:
            del self._not_left[round_id]

    async def _resume_what_was_put_off(self) -> None:
        while True:
            await asyncio.sleep(RESUME_SECONDS)
            again, self._put_off = self._put_off, set()
            if not again:
                continue
            try:
                if self.ours is not None:
                    again = {round_id for round_id in again if await self.ours(round_id.run)}
                if again:
                    await DBOS.resume_workflows_async([str(round_id) for round_id in again])
                log.info("runs.taken_up", runs=len(again))
            except Exception as error:  # noqa: BLE001 - whatever it is, they are tried again
                log.warning("runs.not_taken_up", runs=len(again), error=type(error).__name__)
                self._put_off |= again


def recorded_steps(at: RunsAt, round_id: RoundId) -> dict[str, Json]:
    """The results so far of a round that may be under way in another process. Raises `StoreFailed`."""
    engine = at.steps_reader()
    if engine is None:
        return {}
    client = DBOSClient(system_database_engine=engine, serializer=_Serializer(), retry_connection_errors=False)
    try:
        with translated(f"{engine.url.database} cannot be read"):
            return _results(client.list_workflow_steps(str(round_id)))
    finally:
        client.destroy()


def is_engines_own(error: BaseException) -> bool:
    """Whether DBOS raised it, to tell itself something."""
    return isinstance(sole(error), DBOSException)


def _results(steps: Any) -> dict[str, Json]:
    return {step["function_name"]: step["output"] for step in steps if step["output"] is not None}


def _standing(workflow: Any) -> Standing:
    if workflow.status not in ("PENDING", "ENQUEUED", "DELAYED"):
        return "over"
    return "going" if workflow.app_version in (None, RUN_PLAN) else "other"


async def _apart(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` outside of any workflow, where DBOS would make a step or a child of it."""
    return await asyncio.create_task(work, context=contextvars.Context())
