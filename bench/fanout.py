"""Many panels at once: what a model call costs the client, and whether all calls that may be in flight are."""

from statistics import median
from typing import Any

from bench.contenders import EXPERTS
from bench.load import Load
from bench.processes import measured, model_server
from bench.rows import Figure, Options, Row, medians, percentile

CASE = "fanout"
LIMIT = 2000
"""The default of FLASH_MAX_PARALLEL_REQUESTS."""

SIZES = (1, 10, 100)
"""Panels in flight, where `--sizes` says nothing."""

STOCK_LIMIT = 100
"""What DSPy's native client has in flight at most (lm15 DEFAULT_MAX_CONNECTIONS)."""


def loads(base: str, sizes: tuple[int, ...]) -> list[tuple[str, Load]]:
    """Every row's name and load. At the largest size panelist is asked to keep to DSPy's number in flight as well."""
    planned = [
        (name, _load(base, name, size, limit))
        for size in sizes
        for name, limit in (("panelist", LIMIT), ("dspy_stock", STOCK_LIMIT), ("raw_aiohttp", LIMIT))
    ]
    return [*planned, (f"panelist_limit_{STOCK_LIMIT}", _load(base, "panelist", max(sizes), STOCK_LIMIT))]


async def run(options: Options) -> list[Row]:
    """Rows of medians over repeats; contenders take turns, so that a busy minute hits them all."""
    async with model_server(options.delay) as base:
        # The mock model keeps the bodies of this panel: the bare client posts them.
        await measured(Load("panelist", base, rounds=1, warmups=0))
        planned = loads(base, options.sizes or SIZES)
        found: list[list[dict[str, Any]]] = [[] for _ in planned]
        for _ in range(options.repeats):
            for (_name, load), repeats in zip(planned, found, strict=True):
                repeats.append(await measured(load))
    return [
        Row(CASE, str(load.size), name, _figures(load, repeats))
        for (name, load), repeats in zip(planned, found, strict=True)
    ]


def _load(base: str, contender: str, size: int, limit: int) -> Load:
    rounds = max(4, 15 // size)
    return Load(contender, base, size, rounds=rounds, limit=limit, held=min(EXPERTS * size, limit))


def _figures(load: Load, repeats: list[dict[str, Any]]) -> dict[str, Figure]:
    peaks = {each["held_in_flight"] for each in repeats}
    middle = medians([{k: v for k, v in each.items() if k not in ("panel_ms", "held_in_flight")} for each in repeats])
    panel = {
        f"panel_{name}_ms": round(median(percentile(each["panel_ms"], share) for each in repeats), 1)
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }
    # Failures and peaks are promises, not figures: the worst of the repeats is told, not the median.
    failed = max(each["failed"] for each in repeats)
    kept = failed == 0 and peaks == {load.held}
    promise: dict[str, Figure] = {"failed": failed, "held_in_flight": "/".join(map(str, sorted(peaks)))}
    return middle | panel | promise | {"expected_in_flight": load.held, "verdict": "ok" if kept else "short"}
