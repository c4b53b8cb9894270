"""The black box: which run this process was working on at the very moment it ended, however it ended.

Only one task runs at a time on an event loop. Whichever begins to run writes its run into a file that is mapped into
memory, and takes it out when it waits again; what is written there outlives a killed process. So a run that ends its
process, by a crash in native code or by filling the memory, is told from those that were only beside it; a process that
is killed from outside while it waits blames nobody. Threads are not seen.
"""

import asyncio
import mmap
import os
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from pathlib import Path
from typing import Any

from bot.errors import StoreUnusable

_SIZE = 512  # bytes; a longer id is cut, and then blames nobody
_EMPTY = bytes(_SIZE)

_mark: ContextVar[bytes | None] = ContextVar("mark", default=None)
"""What is written while a task works on a run: its id, filled up to the size of the file."""


@contextmanager
def working_on(run_id: str) -> Iterator[None]:
    """Tasks begun in the block, and those that they begin, work on this run."""
    token = _mark.set(run_id.encode()[:_SIZE].ljust(_SIZE, b"\0"))
    try:
        yield
    finally:
        _mark.reset(token)


class BlackBox:
    """One file. `blamed` is the run that was being worked on when the process before this one ended, or empty.

    Raises `StoreUnusable`.
    """

    def __init__(self, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if os.fstat(descriptor).st_size != _SIZE:
                    # Written, not only stretched: a hole on a full disk would end us at the first mark.
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, _EMPTY)
                self._map = mmap.mmap(descriptor, _SIZE)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise StoreUnusable(f"{path} cannot be written: {error}; make room, or put the file aside") from error
        self.blamed = bytes(self._map).rstrip(b"\0").decode(errors="replace")
        self._map[:] = _EMPTY

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the tasks of the running loop that are begun in the block."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(self._task)
        try:
            yield
        finally:
            loop.set_task_factory(before)

    def _task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        context: Context | None = options.get("context")
        mark = _mark.get() if context is None else context.get(_mark)
        if mark is not None:
            work = _Watched(work, self._map, mark)
        return asyncio.Task(work, loop=loop, **options)


class _Watched(Coroutine[Any, Any, Any]):
    """A coroutine that is written into the black box while it runs."""

    __slots__ = ("_map", "_mark", "_work")

    def __init__(self, work: Coroutine[Any, Any, Any], box: mmap.mmap, mark: bytes) -> None:
        self._work, self._map, self._mark = work, box, mark

    def send(self, value: Any) -> Any:
        self._map[:] = self._mark
        try:
            return self._work.send(value)
        finally:
            self._map[:] = _EMPTY

    def throw(self, *error: Any) -> Any:
        self._map[:] = self._mark
        try:
            return self._work.throw(*error)
        finally:
            self._map[:] = _EMPTY

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._work.__await__()
