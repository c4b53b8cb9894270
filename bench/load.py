"""One load in this process: panels in flight on a mock model, and what they cost. `python -m bench.load '{…}'`."""

import asyncio
import gc
import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.contenders import CONTENDERS, EXPERTS, AskPanel


@dataclass(frozen=True, slots=True)
class Load:
    """`size` panels in flight all the time, each asked again `rounds` times over, after `warmups` rounds unmeasured.

    With `held` the mock model then holds one more round back until that many calls are in flight: with a fixed delay
    alone, a busy client would have its first answers before its last question is out.
    """

    contender: str
    base: str
    size: int = 1
    rounds: int = 10
    warmups: int = 2
    limit: int = 2000
    held: int = 0

    @property
    def label(self) -> str:
        """For an error message."""
        return f"{self.contender} at {self.size}"


async def measure(load: Load) -> dict[str, Any]:
    """Figures of the load; `panel_ms` has every panel, `failed` counts experts that did not answer."""
    async with (
        aiohttp.ClientSession(load.base.removesuffix("v1")) as control,
        CONTENDERS[load.contender](load.base, load.limit) as ask,
    ):
        await _asked(ask, 1, load.warmups)
        await _asked(ask, load.size, 1)
        gc.collect()
        before = memory_mb("VmRSS")
        await _reset(control, 0)
        cpu, began = cpu_seconds(), time.perf_counter()
        times, failed = await _asked(ask, load.size, load.rounds)
        wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
        peak, memory = await _peak(control), memory_mb("VmHWM")
        calls = load.size * load.rounds * EXPERTS
        figures = {
            "cpu_ms_per_call": cpu * 1000 / calls,
            "calls_per_s": calls / wall,
            "cpu_share": cpu / wall,
            "rss_before_mb": before,
            "peak_rss_mb": memory,
            "peak_in_flight": peak,
            "failed": failed,
            "panel_ms": [seconds * 1000 for seconds in times],
        }
        if load.held:
            await _reset(control, load.held)
            _, failed = await _asked(ask, load.size, 1)
            figures |= {"held_in_flight": await _peak(control), "failed": figures["failed"] + failed}
        return figures


async def _asked(ask: AskPanel, size: int, rounds: int) -> tuple[list[float], int]:
    """The seconds of every panel, and how many experts failed."""
    times: list[float] = []
    failed = 0

    async def again_and_again() -> None:
        nonlocal failed
        for _ in range(rounds):
            began = time.perf_counter()
            failed += await ask()
            times.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(size):
            group.create_task(again_and_again())
    return times, failed


async def _reset(control: aiohttp.ClientSession, hold: int) -> None:
    async with control.post("/reset", params={"hold": hold}):
        pass


async def _peak(control: aiohttp.ClientSession) -> int:
    async with control.get("/stats") as reply:
        return int((await reply.json())["peak"])


def cpu_seconds() -> float:
    """Seconds of processor time, user and system, of this process with all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_mb(name: str) -> float:
    """`VmRSS` or `VmHWM` of this process in MB. Linux gives a child its parent's `ru_maxrss`, so /proc goes first."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        unit = 1024 * 1024 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Load(**json.loads(sys.argv[1]))))))
