"""The board of a direct message as Slack's own plan: one stream per thread, one writer, ended before Slack ends it.

Slack's helper for streams is not safe for several callers at once, and Slack ends a stream after about five minutes,
whether by age or by silence. So all writes of a thread take turns here, and a timer, not the next change, rotates it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from adapters.port import Board, SendError, ThreadRef
from adapters.slack.tasks import Plan, chunks, closed, plan_of

log = structlog.get_logger()

ROTATE_SECONDS = 240.0

Chunks = list[dict[str, Any]]


class StreamCalls(Protocol):
    """The three calls of a stream. Each gives what went wrong, if something did."""

    async def start_stream(self, thread: ThreadRef, chunks: Chunks) -> str | SendError:
        """Begin a stream; its timestamp."""

    async def append_stream(self, thread: ThreadRef, ts: str, chunks: Chunks) -> SendError | None:
        """Add to a stream."""

    async def stop_stream(self, thread: ThreadRef, ts: str, chunks: Chunks, *, over: bool) -> SendError | None:
        """End a stream; `over` says whether the run has ended too."""


@dataclass(eq=False, slots=True)
class PlanStream:
    """One thread's plan. `ids` are the timestamps of all its segments."""

    calls: StreamCalls
    thread: ThreadRef
    seconds: float = ROTATE_SECONDS
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ids: list[str] = field(default_factory=list)
    _ts: str = ""
    _plan: Plan | None = None
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _timer: asyncio.Task[None] | None = None

    async def show(self, board: Board) -> SendError | None:
        """Show the state of a board; an error means that this thread takes no stream, and its board has to be shown
        in another way."""
        async with self._writing:
            plan = plan_of(board)
            error = await self._written(plan)
            if error is not None or board.finished:
                self._end_timer()
            if error is None and board.finished:
                # What is left open would turn into a red error card.
                error = await self.calls.stop_stream(self.thread, self._ts, closed(plan), over=True)
                self._ts = ""
            return error

    async def close(self) -> None:
        """End the timer, and the segment under way with its open tasks closed: the process that follows begins anew."""
        self._end_timer()
        async with self._writing:
            if self._ts and self._plan is not None:
                await self.calls.stop_stream(self.thread, self._ts, closed(self._plan), over=False)
                self._ts = ""

    async def _written(self, plan: Plan) -> SendError | None:
        if not self._ts:
            return await self._begun(plan)
        new = chunks(self._plan, plan)
        self._plan = plan
        return await self.calls.append_stream(self.thread, self._ts, new) if new else None

    async def _begun(self, plan: Plan) -> SendError | None:
        begun = await self.calls.start_stream(self.thread, chunks(None, plan))
        if not isinstance(begun, str):
            return begun
        self._ts, self._plan = begun, plan
        self.ids.append(begun)
        if self._timer is None:
            self._timer = asyncio.create_task(self._rotating(), name=f"plan {self.thread.thread}")
        return None

    async def _rotating(self) -> None:
        while True:
            await self.sleep(self.seconds)
            async with self._writing:
                if not self._ts or self._plan is None:
                    continue
                plan = self._plan
                error = await self.calls.stop_stream(self.thread, self._ts, closed(plan), over=False)
                self._ts = ""
                error = error or await self._begun(plan)
                if error is not None:
                    # The next board tries again, and falls back if that fails too.
                    log.warning("plan.not_rotated", error=type(error).__name__)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
