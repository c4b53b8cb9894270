"""One load of whole runs in this process, and what they cost. `python -m bench.runs_load '{…}'`."""

import asyncio
import gc
import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench import loops
from bench.askers import ASKERS, AskRun, scripted_teams, served_teams
from bench.front import CountingFrontEnd
from bench.peers.measuring import cpu_seconds, many_files, memory_mb

POSTS = 9
"""Root, six experts, synthesis, roster."""

TICK = 0.01
"""Seconds between two looks at how late the event loop is."""


@dataclass(frozen=True, slots=True)
class RunsLoad:
    """`size` runs, `rounds` times over, after `warmups` runs unmeasured: `per_second` of them begun, or with 0 all at
    once. `delay` is the model's in seconds; without `base` the model is in this process.

    `one_core` keeps the process on a single core. Threads that hand Python's lock from core to core cost more, and how
    much more differs from hour to hour on a virtual machine.
    """

    contender: str
    size: int
    delay: float
    base: str = ""
    per_second: float = 0.0
    rounds: int = 1
    warmups: int = 10
    one_core: bool = False

    @property
    def ideal(self) -> float:
        """Seconds that a run takes of which nothing but the models takes any: experts, then the synthesis."""
        return 2 * self.delay

    @property
    def label(self) -> str:
        """For an error message."""
        return f"{self.contender} with {self.size} runs"


class _Asked:
    """Runs asked for so far: their seconds, and how many were under way at once."""

    def __init__(self, ask: AskRun, name: str, patience: float) -> None:
        self._ask, self._name, self._patience = ask, name, patience
        self._number = self._going = 0
        self.most = 0
        self.seconds: list[float] = []

    async def round(self, size: int, per_second: float) -> None:
        """Ask for `size` runs and wait until they are over, or out of patience."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(size):
                if per_second:
                    await asyncio.sleep(began + number / per_second - time.perf_counter())
                group.create_task(self._one())

    async def _one(self) -> None:
        self._number += 1
        self._going += 1
        self.most = max(self.most, self._going)
        began = time.perf_counter()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._ask(f"{self._name}-{self._number:05d}")
                self.seconds.append(time.perf_counter() - began)
        self._going -= 1


async def measure(load: RunsLoad) -> dict[str, Any]:
    """Figures of the load; `run_s` has every run's seconds, from asked to its last post; `lag_ms` every tick's lag."""
    front = CountingFrontEnd()
    teams = served_teams(load.base) if load.base else scripted_teams(load.delay)
    async with teams as experts, ASKERS[load.contender](experts, front) as ask:
        warming = _Asked(ask, "warm-up", 60.0)
        await _model(load, delay=0.01)
        await warming.round(load.warmups, 0.0)
        await _model(load, delay=load.delay)
        # Threads that the engine has on demand are there now, and none of the warm-up counts.
        gc.collect()
        asked = _Asked(ask, "run", load.ideal * 3 + 60.0)
        lags: list[float] = []
        before = memory_mb("VmRSS")
        threads, cpu, began = _by_thread(), cpu_seconds(), time.perf_counter()
        ticking = asyncio.create_task(_tick(lags))
        for _ in range(load.rounds):
            await asked.round(load.size, load.per_second)
        # The last post is not the end: the run is noted as finished behind it.
        await asyncio.sleep(0.2)
        wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
        threads = {name: used - threads.get(name, 0.0) for name, used in _by_thread().items()}
        ticking.cancel()
        peak = memory_mb("VmHWM")
        calls = await _model(load)
    runs = load.size * load.rounds
    whole = sum(shown.posts == POSTS and shown.settled for key, shown in front.runs.items() if key.startswith("run"))
    return {
        "runs": runs,
        "runs_lost": runs - whole,
        "most_in_flight": asked.most,
        "calls_in_flight": calls,
        "cpu_ms_per_run": cpu * 1000 / runs,
        "cpu_share": cpu / wall,
        "runs_per_s": runs / wall,
        "threads_ms_per_run": {name: used * 1000 / runs for name, used in threads.items()},
        "rss_before_mb": before,
        "peak_rss_mb": peak,
        "run_s": asked.seconds,
        "lag_ms": [lag * 1000 for lag in lags],
        "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
    }


async def _tick(lags: list[float]) -> None:
    # Not the loop's own clock: uvloop's goes by whole milliseconds, and stands still while callbacks run.
    while True:
        due = time.perf_counter() + TICK
        await asyncio.sleep(TICK)
        lags.append(max(0.0, time.perf_counter() - due))


async def _model(load: RunsLoad, delay: float | None = None) -> int | None:
    """Set the model server's delay, or have the most calls that were in flight since."""
    if not load.base:
        return None
    async with aiohttp.ClientSession(load.base.removesuffix("v1")) as control:
        if delay is not None:
            async with control.post("/reset", params={"delay": delay}):
                return None
        async with control.get("/stats") as reply:
            return int((await reply.json())["peak"])


def _by_thread() -> dict[str, float]:
    """Seconds of processor time of the loop's thread, of the store's, and of all others together: nearly all DBOS'."""
    used = {"loop": 0.0, "store": 0.0, "other": 0.0}
    for thread in threading.enumerate():
        try:
            spent = int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]) / 1e9
        except OSError:
            continue
        main = thread is threading.main_thread()
        used["loop" if main else "store" if thread.name == "store" else "other"] += spent
    return used


async def _measure_alone(load: RunsLoad) -> dict[str, Any]:
    from bot.log import configure_logs

    if load.one_core:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    many_files()
    configure_logs("warning")
    return await measure(load)


if __name__ == "__main__":
    print(json.dumps(loops.run(_measure_alone(RunsLoad(**json.loads(sys.argv[1]))))))
