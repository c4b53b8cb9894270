"""Work in the background: begun for nobody who waits, and ended with the process."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any

import structlog

log = structlog.get_logger()


class Background:
    """Tasks that are begun with `spawn` and end with `close`, if not before."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Begin `work` in the background. What breaks it is logged, unless it is called an "arrival": whoever waits for
        one is told."""
        # Often begun from within a run that is over; what is begun now is not its doing.
        task = asyncio.get_running_loop().create_task(work, name=name, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self) -> None:
        """End what is done in the background; what was to be started is started at the next start of the process."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and task.get_name() != "arrival":
            log.error("background.broke", task=task.get_name(), exc_info=error)


async def come_true(asked: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Ask every so many seconds until it is so: what other processes do tells nobody here."""
    while not await asked():  # noqa: ASYNC110 - no event crosses processes
        await asyncio.sleep(seconds)
