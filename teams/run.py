"""One run under way: who was heard, what was told, and how it ends. The same for panels and for research."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import dspy

from teams.events import ExpertAnswered, ExpertFailed, RunEvent, RunFinished, RunStarted, RunStopped
from teams.failures import CallFailure
from teams.model import ExpertFailure, ExpertResult, Synthesis
from teams.steps import Json
from teams.stopping import Stopped, until_stopped
from teams.usage import metering
from teams.wire import dump


class Run(ABC):
    """The state that one run gathers, by seat. `answers` holds the fields as the model gave them."""

    def __init__(self, seats: list[str], tell: Callable[[RunEvent], None] | None = None) -> None:
        self.seats = seats
        self.tell = tell or (lambda _: None)
        self.answers: dict[str, Json] = {}
        self.results: dict[str, ExpertResult] = {}
        self.failures: dict[str, CallFailure] = {}
        self.synthesis: Synthesis | None = None
        self._started = asyncio.get_running_loop().time()

    @abstractmethod
    def begun(self) -> RunStarted:
        """The first event."""

    @abstractmethod
    async def work(self) -> None:
        """All the work between the first event and the last."""

    @property
    def heard(self) -> tuple[str, ...]:
        """Seats that have answered so far, in panel order."""
        return tuple(key for key in self.seats if key in self.results)

    @property
    def missing(self) -> tuple[str, ...]:
        """Seats that have not answered so far, in panel order."""
        return tuple(key for key in self.seats if key not in self.results)

    def now(self) -> datetime:
        """The time that events carry."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return round(asyncio.get_running_loop().time() - self._started, 3)

    def seat_failed(self, key: str, failure: CallFailure) -> None:
        """Keep and tell why a seat brought nothing."""
        self.failures[key] = failure
        told = ExpertFailure(key, failure.kind, failure.sentence, failure.attempts, failure.seconds)
        self.tell(ExpertFailed(self.now(), key, told))

    def seat_answered(self, key: str, fields: Json, result: ExpertResult, *, late: bool = False) -> None:
        """Keep and tell what a seat answered."""
        self.answers[key], self.results[key] = fields, result
        self.tell(ExpertAnswered(self.now(), key, result, late=late))

    async def recorded(self, lm: Any, call: Awaitable[Any], fields: Callable[[Any], Json]) -> Json:
        """What a step keeps of a model call: `{fields, model, seconds, usage}`, or `{failure, usage}`."""
        began = asyncio.get_running_loop().time()
        with metering() as meter:
            outcome = await call
        usage = dump(meter.usage)
        if isinstance(outcome, CallFailure):
            return {"failure": dump(outcome), "usage": usage}
        seconds = round(asyncio.get_running_loop().time() - began, 3)
        return {"fields": fields(outcome), "model": lm.model, "seconds": seconds, "usage": usage}


async def run_to_end(run: Run, stop: asyncio.Event | None) -> None:
    """Tell the first event, do the work, tell the one terminal event."""
    run.tell(run.begun())
    try:
        # DSPy's trace would keep the prompts of everybody in this process. Optimisers, which need it, call `aforward`.
        with dspy.context(trace=None):
            await until_stopped(run.work(), stop)
    except Stopped:
        run.tell(RunStopped(run.now(), run.heard, run.missing, run.elapsed()))
        return
    run.tell(RunFinished(run.now(), run.heard, run.missing, run.elapsed()))
