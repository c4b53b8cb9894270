"""The session with Discord's gateway: one process of several has it, the others wait until it is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import structlog

from adapters.port import FrontEndFailed
from bot.background import come_true
from bot.errors import StoreUnusable
from bot.leases import Leases
from bot.spaces import shard_lease

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""How often it is looked whether a session is free, or is still held."""


def only_one(leases: Leases, shards: int) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Sessions of so many shards, held by this process alone."""
    wanted = [shard_lease(shard) for shard in range(shards)]

    @asynccontextmanager
    async def session() -> AsyncIterator[None]:
        await come_true(all_taken, LOOK_SECONDS)
        log.info("discord.session_held", shards=shards)
        holder = asyncio.current_task()
        assert holder is not None, "a session is held by a task"
        watching = asyncio.create_task(until_taken(holder), name="discord session")
        try:
            yield
        except asyncio.CancelledError:
            if watching.done():
                holder.uncancel()
                raise FrontEndFailed("another process has the session with Discord's gateway now") from None
            raise
        finally:
            watching.cancel()
            for lease in wanted:
                with suppress(StoreUnusable):
                    await leases.unlock(lease)

    async def all_taken() -> bool:
        try:
            for number, lease in enumerate(wanted):
                if not await leases.try_lock(lease):
                    # Two that keep what they have would wait for each other.
                    for taken in wanted[:number]:
                        await leases.unlock(taken)
                    return False
            return True
        except StoreUnusable as error:
            log.warning("discord.session_unknown", why=str(error))
            return False

    async def until_taken(holder: "asyncio.Task[object]") -> None:
        """A lease that is unsure for a while, as the database is gone, is no reason to hang up."""

        async def taken() -> bool:
            return not all(leases.keeps(lease) for lease in wanted)

        await come_true(taken, LOOK_SECONDS)
        holder.cancel()

    return session
