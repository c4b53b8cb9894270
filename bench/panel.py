"""One warm panel of six: how much longer than the model itself it takes."""

from statistics import median

from bench.peers.measuring import Load
from bench.processes import measured, model_server
from bench.rows import Options, Row, percentile, verdict

CASE = "panel"
TARGET = 1.3
"""The most that a panel's median may take, as a multiple of the model's delay."""

PANELS, WARMUPS = 20, 3


async def run(options: Options) -> list[Row]:
    """Wall time over the model's delay, median and 90th percentile of 20 panels; the bare client shows the floor."""
    rows = []
    async with model_server(options.delay) as base:
        for contender in ("panelist", "raw_aiohttp"):
            figures = await measured(Load(contender, base, rounds=PANELS, warmups=WARMUPS - 1))
            ratios = [each / (options.delay * 1000) for each in figures["panel_ms"]]
            middle = median(ratios)
            rows.append(
                Row(
                    CASE,
                    "1",
                    contender,
                    {
                        "ratio_median": round(middle, 3),
                        "ratio_p90": round(percentile(ratios, 0.9), 3),
                        "target": TARGET,
                        "verdict": verdict(middle, TARGET),
                        "failed": figures["failed"],
                        "loop": figures["loop"],
                    },
                )
            )
    return rows
