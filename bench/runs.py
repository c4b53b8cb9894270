"""A thousand durable runs under way in one process: how much longer than the models themselves they take."""

from typing import Any

from bench.processes import measured, model_server
from bench.rows import Figure, Options, Row, percentile
from bench.runs_load import RunsLoad

CASE = "runs"
SIZES = (100, 1000)
"""Runs under way at once, where `--sizes` says nothing."""

PER_SECOND = 20
"""Runs begun a second. How many are under way follows from how long the models take, so a smaller size is a faster
model: 25 s for the experts and 25 s for the synthesis at 1,000, a tenth of that at 100."""

STARTED = 1.15
"""Runs begun in all, as a multiple of the size: the full number is under way for a while."""

RATIO, LAG_MS, RSS_MB = 1.05, 50.0, 250.0
"""Targets: the 99th percentile of a run's time over the ideal one; the same of the loop's lag; the process' memory."""


async def run(options: Options) -> list[Row]:
    """One fresh process per size, the models in another. A run's time is from asked for to its last post."""
    rows = []
    for size in options.sizes or SIZES:
        async with model_server(0.0) as base:
            load = RunsLoad("durable", round(size * STARTED), size / PER_SECOND / 2, base, PER_SECOND)
            figures = await measured(load, "bench.runs_load", size / PER_SECOND * 5 + 120)
        rows.append(Row(CASE, str(size), load.contender, _figures(load, figures)))
    return rows


def _figures(load: RunsLoad, found: dict[str, Any]) -> dict[str, Figure]:
    run_s, lag_ms = found["run_s"] or [float("inf")], found["lag_ms"]
    p50, p99 = percentile(run_s, 0.5), percentile(run_s, 0.99)
    lag, peak = percentile(lag_ms, 0.99), found["peak_rss_mb"]
    kept = {
        "ratio": p99 / load.ideal <= RATIO,
        "lag": lag <= LAG_MS,
        "memory": peak <= RSS_MB,
        "lost": found["runs_lost"] == 0,
    }
    return {
        "runs": found["runs"],
        "most_in_flight": found["most_in_flight"],
        "calls_in_flight": found["calls_in_flight"],
        "ideal_s": load.ideal,
        "p50_s": round(p50, 2),
        "p99_s": round(p99, 2),
        "ratio_p50": round(p50 / load.ideal, 3),
        "ratio_p99": round(p99 / load.ideal, 3),
        "target_ratio": RATIO,
        "lag_p50_ms": round(percentile(lag_ms, 0.5), 1),
        "lag_p99_ms": round(lag, 1),
        "lag_max_ms": round(max(lag_ms), 1),
        "target_lag_p99_ms": LAG_MS,
        "rss_before_mb": round(found["rss_before_mb"], 1),
        "peak_rss_mb": round(peak, 1),
        "target_rss_mb": RSS_MB,
        "cpu_ms_per_run": round(found["cpu_ms_per_run"], 2),
        "cpu_share": round(found["cpu_share"], 3),
        "runs_lost": found["runs_lost"],
        "verdict": "ok" if all(kept.values()) else "short",
        "short_of": ", ".join(name for name, held in kept.items() if not held),
    }
