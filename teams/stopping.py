"""Work that can be stopped from outside: cancelled, waited for, and told apart from work that ended by itself."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The work was stopped from outside while it was under way."""


async def until_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event | None) -> T:
    """What `work` gives. When `stop` is set first, `work` is cancelled and, once it has ended, `Stopped` is raised."""
    if stop is None:
        return await work
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        stopping.cancel()
        working.cancel()
        await ended(working, stopping)
    if not working.cancelled():
        # It ended by itself after all, perhaps by a bug on its way out, which must not be lost.
        return working.result()
    raise Stopped


async def ended(*tasks: "asyncio.Future[Any]") -> None:
    """Wait until all tasks have ended, however often the waiting itself is cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while under_way := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(under_way)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
