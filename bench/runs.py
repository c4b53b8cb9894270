"""A thousand durable runs under way in one process: how much longer than the models themselves they take."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.processes import measured, model_server
from bench.rows import Figure, Options, Row, percentile
from bench.runs_load import RunsLoad

CASE = "runs"
SIZES = (100, 300, 1000, 3000)
"""Runs under way at once, where `--sizes` says nothing."""

PER_SECOND = 20
"""Runs begun a second. How many are under way follows from how long the models take, so a smaller size is a faster
model: 25 s for the experts and 25 s for the synthesis at 1,000, a tenth of that at 100."""

STARTED, MANY_STARTED = 1.15, 1.05
"""Runs begun in all, as a multiple of the size: the full number is under way for a while. And from 1,000 on, where that
while is longer."""

ONCE = 3000
"""From so many on there are no repeats: one load takes more than five minutes."""

BASE = 100
"""What the growth of the cost is counted from."""

RATIO = 1.05
"""Target at every size: the 99th percentile of a run's time over the ideal one."""

CPU_MS, LAG_MS, RSS_MB, GROWTH = {100: 24.0}, {1000: 30.0}, {1000: 250.0}, {300: 1.2, 1000: 1.2, 3000: 1.2}
"""Targets by size: processor time a run; the 99th percentile of the loop's lag; the process' memory; and processor time
a run over that at `BASE`."""


async def run(options: Options) -> list[Row]:
    """Fresh processes that take turns, the models in another. A run's time is from asked for to its last post."""
    sizes = options.sizes or SIZES
    found: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    for repeat in range(options.repeats):
        for size in sizes:
            if repeat == 0 or size < ONCE:
                async with model_server(0.0) as base:
                    load = _load(size, base)
                    found[size].append(await measured(load, "bench.runs_load", size / PER_SECOND * 5 + 120))
                print(f"runs: {size} in flight, {found[size][-1]['cpu_ms_per_run']:.1f} ms a run", flush=True)
    costs = {size: median(each["cpu_ms_per_run"] for each in repeats) for size, repeats in found.items()}
    return [Row(CASE, str(size), "durable", figures(size, repeats, costs.get(BASE))) for size, repeats in found.items()]


def _load(size: int, base: str = "") -> RunsLoad:
    begun = round(size * (MANY_STARTED if size >= 1000 else STARTED))
    return RunsLoad("durable", begun, size / PER_SECOND / 2, base, PER_SECOND)


def figures(size: int, repeats: Sequence[dict[str, Any]], base_cost: float | None) -> dict[str, Figure]:
    """Medians over the repeats, and what they come to against the targets of that size. `base_cost` is processor time a
    run at `BASE`. Lost runs are a promise, not a figure: the worst of the repeats is told."""
    ideal = _load(size).ideal
    times = [each["run_s"] or [float("inf")] for each in repeats]
    cost, lost = median(each["cpu_ms_per_run"] for each in repeats), max(each["runs_lost"] for each in repeats)
    p50, p99 = (median(percentile(each, share) for each in times) for share in (0.5, 0.99))
    lag, peak = median(percentile(each["lag_ms"], 0.99) for each in repeats), _median("peak_rss_mb", repeats)
    growth = cost / base_cost if base_cost and size != BASE else None
    kept = {
        "ratio": p99 / ideal <= RATIO,
        "cpu": cost <= CPU_MS.get(size, float("inf")),
        "lag": lag <= LAG_MS.get(size, float("inf")),
        "memory": peak <= RSS_MB.get(size, float("inf")),
        "growth": growth is None or growth <= GROWTH.get(size, float("inf")),
        "lost": lost == 0,
    }
    short = ", ".join(name for name, held in kept.items() if not held)
    return {
        "runs": repeats[0]["runs"],
        "most_in_flight": round(_median("most_in_flight", repeats)),
        "calls_in_flight": round(_median("calls_in_flight", repeats)),
        "cpu_ms_per_run": round(cost, 2),
        "target_cpu_ms": CPU_MS.get(size),
        "growth": None if growth is None else round(growth, 3),
        "target_growth": GROWTH.get(size),
        "lag_p50_ms": round(median(percentile(each["lag_ms"], 0.5) for each in repeats), 1),
        "lag_p99_ms": round(lag, 1),
        "lag_max_ms": round(median(max(each["lag_ms"]) for each in repeats), 1),
        "target_lag_p99_ms": LAG_MS.get(size),
        "rss_before_mb": round(_median("rss_before_mb", repeats), 1),
        "peak_rss_mb": round(peak, 1),
        "target_rss_mb": RSS_MB.get(size),
        "ideal_s": ideal,
        "p50_s": round(p50, 2),
        "p99_s": round(p99, 2),
        "ratio_p99": round(p99 / ideal, 3),
        "target_ratio": RATIO,
        "cpu_share": round(_median("cpu_share", repeats), 3),
        **{f"{thread}_cpu_ms_per_run": round(cpu, 2) for thread, cpu in _by_thread(repeats).items()},
        "runs_lost": lost,
        "loop": "/".join(sorted({each["loop"] for each in repeats})),
        "repeats": len(repeats),
        "verdict": "short" if short else "ok",
        "short_of": short,
    }


def _median(name: str, repeats: Sequence[dict[str, Any]]) -> float:
    return median(each[name] for each in repeats)


def _by_thread(repeats: Sequence[dict[str, Any]]) -> dict[str, float]:
    names = repeats[0]["threads_ms_per_run"]
    return {name: median(each["threads_ms_per_run"][name] for each in repeats) for name in names}
