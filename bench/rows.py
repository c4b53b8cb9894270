"""What a case measures: rows of figures, as a table for people and nested for results.json."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class Options:
    """What a whole bench is run with. `delay` is the mock model's in seconds; `repeats` are fresh processes per row;
    without `sizes` every case has its own. `panels` and `channels` are those of delivery; for `seconds` ack delivers
    events. With `peers` fanout measures other libraries too; `kill` kills a process `kills` times, and then,
    where there are more `workers` than one, as many workers on one Postgres."""

    sizes: tuple[int, ...] = ()
    repeats: int = 3
    delay: float = 0.2
    panels: int = 20
    channels: int = 1
    seconds: float = 20.0
    peers: bool = False
    kills: int = 20
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one contender at one size. Units are in the figures' names."""

    case: str
    size: str
    contender: str
    figures: Mapping[str, Figure]


def nested(rows: Iterable[Row]) -> dict[str, dict[str, dict[str, dict[str, Figure]]]]:
    """Case → size → contender → figures."""
    cases: dict[str, dict[str, dict[str, dict[str, Figure]]]] = {}
    for row in rows:
        cases.setdefault(row.case, {}).setdefault(row.size, {})[row.contender] = dict(row.figures)
    return cases


def table(rows: Sequence[Row]) -> str:
    """The rows of one case as columns of text, a column for every figure that any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    lines = [["size", "contender", *names]]
    lines += [[row.size, row.contender, *(shown(row.figures.get(name)) for name in names)] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def medians(measured: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    """Figure by figure the median of repeated measurements."""
    return {name: round(median(each[name] for each in measured), 3) for name in (measured[0] if measured else ())}


def verdict(figure: float, target: float) -> str:
    """Whether a figure that should be small is: `ok` or `short`."""
    return "ok" if figure <= target else "short"


def shown(figure: Figure) -> str:
    """A figure as a table has it: three decimals at most."""
    if figure is None:
        return ""
    return f"{figure:,.3f}".rstrip("0").rstrip(".") if isinstance(figure, float) else str(figure)
