"""The kill loop as a case: what a served process that is killed again and again has lost, doubled or paid twice."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from bench.kill_loop import FINISH_SECONDS
from bench.rows import Figure, Options, Row

CASE = "kill"
KILL_SECONDS = 60.0
"""How long one kill may take, with the start before it."""

SEED = 7
"""The moments are the same in every bench, counted from a start; what is under way then is not."""

ZERO = ("runs_lost", "posts_lost", "posts_doubled", "recorded_calls_repeated", "quarantined")
"""Counts that have to be 0."""


async def run(options: Options) -> list[Row]:
    """`options.kills` kills of one process, with as many runs asked for; and as many of several workers, where those
    are wanted."""
    kills = str(options.kills)
    rows = [Row(CASE, kills, "panelist", await _counted("kill_loop.py", options.kills))]
    if options.workers > 1:
        counts = await _counted("kill_workers.py", options.kills, "--workers", str(options.workers))
        rows.append(Row(CASE, kills, f"panelist, {options.workers} workers", counts))
    return rows


async def _counted(script: str, kills: int, *words: str) -> dict[str, Figure]:
    path = Path(__file__).with_name(script)
    command = (sys.executable, str(path), "--kills", str(kills), "--seed", str(SEED), *words)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        async with asyncio.timeout(kills * KILL_SECONDS + FINISH_SECONDS):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode not in (0, 1):
        raise RuntimeError(f"the kill loop ended with exit code {process.returncode}")
    counts: dict[str, Figure] = json.loads(out.splitlines()[-1])
    short = ", ".join(name for name in ZERO if counts[name])
    return counts | {"verdict": "short" if short else "ok", "short_of": short}
