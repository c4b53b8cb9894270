"""The one piece of concurrent code: jobs side by side, each told of as it finishes; and runs as streams of events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import dspy

from teams.failures import CallFailed, CallFailure
from teams.quick import Quick
from teams.retry import CallLimits, call_with_retry, lm_of
from teams.signatures import AnalysisSignature
from teams.stopping import ended

T = TypeVar("T")

Job = Callable[[], Awaitable[T]]


class Settling:
    """The jobs of a `fan_out` under way."""

    def __init__(self, tasks: list[asyncio.Task[None]]) -> None:
        self._tasks = tasks

    async def within(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Wait until all jobs are done, at most `seconds`, and on until there is `enough`. The rest go on until the
        block of `fan_out` ends."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        while not enough() and (under_way := [task for task in self._tasks if not task.done()]):
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)


@asynccontextmanager
async def fan_out(jobs: Mapping[str, Job[T]], told: Callable[[str, T], None]) -> AsyncIterator[Settling]:
    """Run all jobs at once; `told(key, result)` in the order they finish. The block ends when the last one has.

    Jobs give expected failures as values. An exception out of a job is a bug: it cancels the others and is raised.
    """

    async def one(key: str, job: Job[T]) -> None:
        told(key, await job())

    async with asyncio.TaskGroup() as group:
        yield Settling([group.create_task(one(key, job), name=key) for key, job in jobs.items()])


async def asked(module: Any, name: str, *, limits: CallLimits | None = None, **inputs: Any) -> Any:
    """What a module answers, with the adapter that its model needs; its failure as a `CallFailure` value."""
    lm = lm_of(module, inputs)
    try:
        return await call_with_retry(Quick(module, lm), name, limits=limits, **inputs)
    except CallFailed as failed:
        return failed.failure


class Stream(Generic[T]):
    """What a conductor tells, in order. Iterating raises the conductor's bug, if there was one, after the last."""

    def __init__(self, queue: "asyncio.Queue[T | None]", task: "asyncio.Task[None]") -> None:
        self._queue, self._task = queue, task

    def __aiter__(self) -> "Stream[T]":
        return self

    async def __anext__(self) -> T:
        event = await self._queue.get()
        if event is not None:
            return event
        self._queue.put_nowait(None)  # a second iteration ends at once too
        await self._task
        raise StopAsyncIteration


@asynccontextmanager
async def stream(conduct: Callable[[Callable[[T], None]], Coroutine[Any, Any, None]]) -> AsyncIterator[Stream[T]]:
    """Run `conduct(tell)` beside the block, which iterates over what it tells. Leaving the block ends the conductor.

    The consumer is never cancelled by the conductor, nor does a slow consumer slow it.
    """
    queue: asyncio.Queue[T | None] = asyncio.Queue()
    task = asyncio.create_task(conduct(queue.put_nowait))
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        yield Stream(queue, task)
    finally:
        task.cancel()
        await ended(task)


class FanOutTeam(dspy.Module):
    """One predictor, N configurations, all at once.

    A config is `{"perspective": …, "instructions": …}`. Raises `ValueError` when `shared_lm` is None.
    """

    def __init__(self, shared_lm: Any, configs: list[dict[str, Any]]) -> None:
        if shared_lm is None:
            raise ValueError("shared_lm required")
        super().__init__()
        self.lm = shared_lm
        self.configs = configs
        self.analyzer = dspy.ChainOfThought(AnalysisSignature)
        self.analyzer.set_lm(self.lm)

    async def aforward(self, input_data: str) -> dspy.Prediction:
        """`analyses` (also as `results`) in the order asked; `failed` as `{config, error, kind, attempts}`; `error`
        when nothing came back."""
        outcomes: dict[str, Any] = {}
        async with fan_out(self._jobs(input_data), outcomes.__setitem__):
            pass
        in_order = [(config, outcomes[str(index)]) for index, config in enumerate(self.configs)]
        answers = [answer for _, answer in in_order if not isinstance(answer, CallFailure)]
        failed = [failed_entry("config", config, out) for config, out in in_order if isinstance(out, CallFailure)]
        return dspy.Prediction(analyses=answers, results=answers, failed=failed, error=all_failed(answers, failed))

    def run(self, input_data: str) -> Any:
        """`async with team.run(…) as stream`: `(config, prediction or CallFailure)` pairs in the order finished."""

        async def conduct(tell: Callable[[tuple[dict[str, Any], Any]], None]) -> None:
            def told(index: str, outcome: Any) -> None:
                tell((self.configs[int(index)], outcome))

            async with fan_out(self._jobs(input_data), told):
                pass

        return stream(conduct)

    def _jobs(self, input_data: str) -> dict[str, Job[Any]]:
        def job(index: int, config: dict[str, Any]) -> Job[Any]:
            return lambda: asked(
                self.analyzer,
                f"module_{index}",
                input_data=input_data,
                perspective=config["perspective"],
                perspective_instructions=config["instructions"],
            )

        return {str(index): job(index, config) for index, config in enumerate(self.configs)}


def failed_entry(what: str, which: Any, failure: CallFailure) -> dict[str, Any]:
    """One entry of a prediction's `failed` list: `{what: which, error, kind, attempts}`."""
    return {what: which, "error": failure.sentence, "kind": failure.kind.value, "attempts": failure.attempts}


def all_failed(answers: list[Any], failed: list[Any]) -> str | None:
    """The prediction's `error`: a sentence when nothing came back, else None."""
    return None if answers or not failed else f"All {len(failed)} modules failed"
