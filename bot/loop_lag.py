"""How late the event loop is: a timer that notes by how much it fires too late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.watching import LoopLagged, Watch
from teams.stopping import ended

EVERY_SECONDS = 0.25
"""How often it is looked. A tick costs some 45 µs of CPU, so all of them a fiftieth of a percent of a core."""


@asynccontextmanager
async def watching_the_loop(watch: Watch, every: float = EVERY_SECONDS) -> AsyncIterator[None]:
    """Tell `watch` every so many seconds how late the loop of this block is."""
    task = asyncio.create_task(_tick(watch, every), name="loop lag")
    try:
        yield
    finally:
        task.cancel()
        await ended(task)


async def _tick(watch: Watch, every: float) -> None:
    now = asyncio.get_running_loop().time
    while True:
        due = now() + every
        await asyncio.sleep(every)
        watch(LoopLagged(max(0.0, now() - due)))
