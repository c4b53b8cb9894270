"""How long the command line takes to answer when no model is needed."""

import asyncio
import os
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from pathlib import Path
from statistics import median

from bench.rows import Options, Row, percentile, verdict

CASE = "startup"
TARGET = 0.4
"""Seconds that --help and --version may take."""

STARTS = 10


async def run(_: Options) -> list[Row]:
    """Wall seconds from start to end, median of ten fresh processes that take turns, with bytecode compiled before.

    Bytecode is kept in a folder of the bench's own, also where PYTHONDONTWRITEBYTECODE would leave it uncompiled.
    """
    script = Path(sys.executable).with_name("panelist")
    if not script.exists():
        raise RuntimeError(f"{script} is missing; install the project here: pip install -e .")
    commands = {
        "panelist --help": (str(script), "--help"),
        "panelist --version": (str(script), "--version"),
        "python -c pass": (sys.executable, "-c", "pass"),
    }
    set_here = "yes" if os.environ.get("PYTHONDONTWRITEBYTECODE") else "no"
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="bench-bytecode-") as folder:
        for command in commands.values():
            await _seconds(command, folder)
        for _turn in range(STARTS):
            for name, command in commands.items():
                times[name].append(await _seconds(command, folder))
    return [
        Row(
            CASE,
            "1",
            name,
            {
                "seconds_median": round(median(found), 3),
                "seconds_p90": round(percentile(found, 0.9), 3),
                "target": TARGET,
                "verdict": verdict(median(found), TARGET),
                "dont_write_bytecode_set": set_here,
            },
        )
        for name, found in times.items()
    ]


async def _seconds(command: tuple[str, ...], bytecode: str) -> float:
    environment = os.environ | {"PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, env=environment)
    async with asyncio.timeout(30):
        code = await process.wait()
    seconds = time.perf_counter() - began
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {code}")
    return seconds
