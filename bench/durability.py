"""What durability costs: a run in the durable house against the same run in memory, in processor time."""

import os
from statistics import median
from typing import Any

from bench.processes import measured
from bench.rows import Options, Row, percentile, verdict
from bench.runs_load import RunsLoad

CASE = "durability"
TARGET = 16.0
"""Milliseconds of processor time that a run may cost more than in memory."""

SIZE = 100
"""Runs under way at once, all begun at the same moment."""

ROUNDS = {"durable": 5, "memory": 10}
"""Of 100 runs each. In memory a round is over sooner, so there are more of them."""


async def run(options: Options) -> list[Row]:
    """Medians over repeats in fresh processes that take turns, on all cores and on one (the steady figures).

    The models are in the process and answer after `options.delay`. Three columns say where it is spent: in the event
    loop, in the store, and in others, which is DBOS.
    """
    wheres = {"": False, "_one_core": True} if hasattr(os, "sched_setaffinity") else {"": False}
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(options.repeats):
        for where, one_core in wheres.items():
            for name, rounds in ROUNDS.items():
                load = RunsLoad(name, SIZE, options.delay, rounds=rounds, warmups=20, one_core=one_core)
                found.setdefault(name + where, []).append(await measured(load, "bench.runs_load"))
    figures = {name: _figures(repeats) for name, repeats in found.items()}
    for where in wheres:
        figures["difference" + where] = _difference(figures["durable" + where], figures["memory" + where])
    # Nothing is served on one core: those rows are for comparing changes, and meet or miss no target.
    difference = figures["difference"]
    figures["difference"] = difference | {
        "target": TARGET,
        "verdict": verdict(difference["cpu_ms_per_run"], TARGET),
    }
    return [Row(CASE, str(SIZE), name, found_by) for name, found_by in figures.items()]


def _difference(durable: dict[str, Any], memory: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in durable if name.endswith("cpu_ms_per_run")]
    return {name: round(durable[name] - memory[name], 2) for name in names}


def _figures(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    total = [each["cpu_ms_per_run"] for each in repeats]
    threads = {
        f"{thread}_cpu_ms_per_run": round(median(each["threads_ms_per_run"][thread] for each in repeats), 2)
        for thread in repeats[0]["threads_ms_per_run"]
    }
    return {
        "cpu_ms_per_run": round(median(total), 2),
        "lowest": round(min(total), 2),
        "highest": round(max(total), 2),
        **threads,
        "run_p50_s": round(median(percentile(each["run_s"], 0.5) for each in repeats), 2),
        "runs_lost": max(each["runs_lost"] for each in repeats),
        "loop": "/".join(sorted({each["loop"] for each in repeats})),
    }
