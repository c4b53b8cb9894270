"""Leases: names that this process alone holds, across all processes on one Postgres database.

Each is an advisory lock of one session: the server frees it when the session ends, however that happens. So whoever can
take the lease of another knows that the other is gone, or is cut off from the database. A process that is frozen keeps
its leases as long as its machine answers for it.
"""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, LiteralString, Self, TypeVar

import psycopg
import structlog
from pydantic import SecretStr

from bot.errors import StoreUnusable
from bot.postgres import parameters
from bot.postgres_errors import meaning

log = structlog.get_logger()
T = TypeVar("T")

BEAT_SECONDS = 1.0
"""How often it is seen whether the session lives; a server that ends it cannot tell us otherwise."""

ANSWER_SECONDS = 10.0
"""How long the server may take to answer before the session counts as lost."""

AGAIN_SECONDS = 3.0
"""How long a lease of before is asked for again: whoever looks whether we are dead holds it for a moment."""

MOST_WAIT = 5.0
"""Seconds between two tries to connect again, at most."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A name within a space of names; spaces are numbered by whoever uses them."""

    space: int
    name: str

    @property
    def numbers(self) -> tuple[int, int]:
        """The two numbers, of 32 bits with a sign, that Postgres' advisory locks take."""
        return self.space, zlib.crc32(self.name.encode()) - 2**31


Change = Literal["unsure", "held", "taken"]
"""What became of a lease that was held: its session ended, so that another may take it; it was taken again before
anybody else did; another holds it, and it is ours no more."""

Told = Callable[[Lease, Change], None]


class Leases:
    """The leases of this process, on one connection of their own.

    As a block: `async with Leases(url, told) as leases`. When the connection ends, `told` hears of each lease that it
    is `unsure`; on the next connection all are taken again before anything else. Raises `StoreUnusable`.

    The connection has a thread of its own: all others may be waiting for a database that is away, and whoever comes
    back late finds its leases taken.
    """

    def __init__(self, url: SecretStr, told: Told = lambda _, __: None) -> None:
        self._url, self._told = url, told
        self._held: dict[Lease, None] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="leases")
        self._connection: psycopg.Connection[Any] | None = None
        self._session: tuple[Any, ...] | None = None
        self._sound = False
        self._asking = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._renew()
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        self._watching = asyncio.create_task(self._watch(), name="leases")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        with suppress(StoreUnusable):
            # Whoever waits for them need not wait until the server notices that we are gone.
            await self._ask("SELECT pg_advisory_unlock_all()")
        self._sound = False
        with suppress(StoreUnusable):
            await self._do(self._close)
        self._thread.shutdown(wait=False)

    def holds(self, lease: Lease) -> bool:
        """Whether it is held, as far as is known: not while its session is in doubt."""
        return self._sound and lease in self._held

    def keeps(self, lease: Lease) -> bool:
        """Whether it is held, or may be again: its session is lost, and nobody else is known to have it."""
        return lease in self._held

    async def try_lock(self, lease: Lease) -> bool:
        """Take a lease if nobody has it; held already, it stays so. Raises `StoreUnusable` without a session."""
        # Postgres counts how often a session takes a lock: each is asked for once.
        async with self._asking:
            if self.holds(lease):
                return True
            taken = bool(await self._ask("SELECT pg_try_advisory_lock(%s, %s)", lease.numbers))
            if taken:
                self._held[lease] = None
            return taken

    async def unlock(self, lease: Lease) -> None:
        """Let go of a lease. Raises `StoreUnusable` while there is no session; that has let go of it then."""
        if lease in self._held:
            del self._held[lease]
            await self._ask("SELECT pg_advisory_unlock(%s, %s)", lease.numbers)

    async def _watch(self) -> None:
        wait = BEAT_SECONDS
        while True:
            await asyncio.sleep(wait)
            try:
                if self._sound:
                    await self._ask("SELECT 1")
                else:
                    await self._renew()
                wait = BEAT_SECONDS
            except StoreUnusable as error:
                log.warning("leases.in_doubt", why=str(error), held=len(self._held))
                wait = min(wait * 1.5, MOST_WAIT)

    async def _renew(self) -> None:
        held = list(self._held)
        again = await self._do(lambda: self._connect(held))
        self._sound = True
        for lease in held:
            if lease not in self._held:
                await self._ask("SELECT pg_advisory_unlock(%s, %s)", lease.numbers)
            elif lease in again or await self._taken_again(lease):
                self._told(lease, "held")
            else:
                del self._held[lease]
                log.error("lease.taken", space=lease.space, name=lease.name)
                self._told(lease, "taken")

    async def _taken_again(self, lease: Lease) -> bool:
        until = asyncio.get_running_loop().time() + AGAIN_SECONDS
        while not await self._ask("SELECT pg_try_advisory_lock(%s, %s)", lease.numbers):
            if asyncio.get_running_loop().time() > until:
                return False
            await asyncio.sleep(0.2)
        return True

    async def _ask(self, question: LiteralString, values: tuple[Any, ...] = ()) -> Any:
        if not self._sound:
            raise StoreUnusable("the connection that leases are held on is lost; it is being made again")
        return await self._do(lambda: self._answer(question, values))

    async def _do(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread of the connection. What goes wrong puts all leases in doubt."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (psycopg.Error, TimeoutError) as error:
            if self._sound:
                self._sound = False
                for lease in self._held:
                    self._told(lease, "unsure")
            why = meaning(error) if isinstance(error, psycopg.Error) else "the database does not answer"
            raise StoreUnusable(f"the leases of this process cannot be held: {why}") from error

    # In the thread

    def _connect(self, held: Sequence[Lease]) -> set[Lease]:
        """Begin a session, and take these leases again; those that were free."""
        self._close()
        self._connection = psycopg.connect(**parameters(self._url), autocommit=True)
        # Whatever the server would do with sessions that are idle: this one is, for its whole life.
        self._answer("SELECT set_config('idle_session_timeout', '0', false)")
        if self._session is not None:
            # One that is half open still has our leases.
            self._answer(_END, self._session)
        self._session = self._connection.execute(_SESSION).fetchone()
        return {each for each in held if self._answer("SELECT pg_try_advisory_lock(%s, %s)", each.numbers)}

    def _answer(self, question: LiteralString, values: tuple[Any, ...] = ()) -> Any:
        assert self._connection is not None
        row = self._connection.execute(question, values).fetchone()
        return None if row is None else row[0]

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


_SESSION = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
# With the time, for process ids come again.
_END = "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
