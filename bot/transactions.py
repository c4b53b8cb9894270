"""Transactions on the run database: in one thread of their own, those that wait together in one.

A burst of answers is one commit, and the event loop never waits for a disk.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa
import structlog

from bot.commits import committed
from bot.database import failure
from bot.errors import StoreFailed
from bot.postgres_errors import loggable, refuses_everybody

log = structlog.get_logger()
T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that a run under way waits for a database that refuses, before it is put off."""

AT_ONCE = 0.0
"""The patience of intake: platforms want to hear within seconds."""

MOST_TOGETHER = 64


class Transacting(Protocol):
    """What statements are run on; `bot.store.Store` is one."""

    def now(self) -> float:
        """Seconds since 1970."""

    async def do(self, work: Callable[[sa.Connection], T], patience: float = PATIENCE) -> T:
        """Run `work` in a transaction; see `Transactions.do`."""


class Transactions:
    """What is done with the run database of this process, by any number of tasks of one event loop; at most so many
    `together` in one transaction. `name` is that of its thread."""

    def __init__(self, engine: sa.Engine, *, name: str = "store", together: int = MOST_TOGETHER) -> None:
        self._engine, self._most = engine, together
        self._closed = False
        self._work: queue.SimpleQueue[_Work[Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finish what was asked and let go of the database."""
        with suppress(StoreFailed):
            await self.do(lambda _: None, AT_ONCE, last=True)
        self._engine.dispose()

    async def do(self, work: Callable[[sa.Connection], T], patience: float = PATIENCE, *, last: bool = False) -> T:
        """Run `work` in a transaction; again for up to `patience` seconds while the database refuses. What it gives is
        committed. Raises `StoreFailed`, and what `work` does."""
        if self._closed:
            raise StoreFailed("the run database was closed; nothing was done")
        self._closed = last
        loop = asyncio.get_running_loop()
        until, wait = loop.time() + patience, 0.1
        while True:
            item: _Work[T] = _Work(work, loop.create_future(), loop, last)
            self._work.put(item)
            try:
                return await item.future
            except StoreFailed:
                if loop.time() + wait > until:
                    raise
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5.0)

    def _serve(self) -> None:
        over, kept = False, _Kept(self._engine)
        while not over:
            together = [self._work.get()]
            while len(together) < self._most and not self._work.empty():
                together.append(self._work.get())
            outcomes = self._carried_out(kept, together)
            over = any(item.last for item in together)
            if over:
                kept.let_go()
            _settle(outcomes)

    def _carried_out(self, kept: "_Kept", together: list["_Work[Any]"]) -> list["_Outcome"]:
        try:
            results = committed(
                self._engine, lambda connection: [item.work(connection) for item in together], kept.transaction
            )
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            if isinstance(error, sa.exc.DBAPIError) and refuses_everybody(error):
                # It would refuse each of them: nobody waits for the others' turn to be told.
                translated = _translated(error)
                return [_Outcome(item, error=translated) for item in together]
            if len(together) > 1:
                return [outcome for item in together for outcome in self._carried_out(kept, [item])]
            return [_Outcome(together[0], error=_translated(error))]
        return [_Outcome(item, result) for item, result in zip(together, results, strict=True)]


class _Kept:
    """The connection that the thread keeps: to take one out of the pool costs more than most of its statements."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine, self._pool = engine, engine.pool
        self._connection: sa.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction, committed at the end of the block. After an error the next has a connection of its own, for
        this one may be what is broken; also after the engine was disposed of, which asks for new ones."""
        if self._pool is not self._engine.pool:
            self.let_go()
            self._pool = self._engine.pool
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                yield self._connection
        except BaseException:
            self.let_go()
            raise

    def let_go(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@dataclass(frozen=True, slots=True)
class _Work(Generic[T]):
    work: Callable[[sa.Connection], T]
    future: "asyncio.Future[T]"
    loop: asyncio.AbstractEventLoop
    last: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    item: _Work[Any]
    result: Any = None
    error: Exception | None = None


def _settle(outcomes: list[_Outcome]) -> None:
    """Tell whoever asked. All of a transaction are told in one go: each call into the loop wakes it up."""

    def settle() -> None:
        for outcome in outcomes:
            future = outcome.item.future
            if future.done():  # cancelled: what was asked for was done all the same
                continue
            if outcome.error is None:
                future.set_result(outcome.result)
            else:
                future.set_exception(outcome.error)

    outcomes[0].item.loop.call_soon_threadsafe(settle)


def _translated(error: Exception) -> Exception:
    if not isinstance(error, sa.exc.DBAPIError):
        return error
    log.warning("store.refused", error=type(error.orig).__name__, why=loggable(error.orig))
    translated = failure(error, "the run database cannot be written")
    translated.__cause__ = error
    return translated
