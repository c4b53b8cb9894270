"""From what the loads of fanout measured to rows: medians, ratios to the floor and to the project, and what is kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.environments import Peer
from bench.peers.measuring import Load
from bench.rows import Figure, medians, percentile

FLOOR, OURS = "raw_aiohttp", "panelist"

AT, CPU_RATIO, CPU_MS = 100, 3.0, 1.2
"""At so many panels in flight the project's processor time per call may be so many times the floor's (2 is aimed for),
and so many milliseconds."""

MANY, P99_RATIO = 500, 2.0
"""At so many the 99th percentile of its panels may be so many times the floor's."""

TIMES_OURS, TIMES_OURS_FASTEST = 5.0, 2.5
"""What a peer is expected to cost at `AT` panels, in the project's own cost: as it comes, and on its fastest
transport."""

APART = ("panel_ms", "held_in_flight", "loop", "errors", "late", "cpu_ms_per_call")


@dataclass(frozen=True, slots=True)
class Measured:
    """One row's repeats, in the order in which they took turns."""

    name: str
    load: Load
    repeats: tuple[Mapping[str, Any], ...]
    peer: Peer | None = None


def figures(of: Measured, rows: Sequence[Measured]) -> dict[str, Figure]:
    """The figures of one row, `rows` being all that were measured in the same run.

    Failures and peaks are promises, not figures: the worst of the repeats is told, not the median.
    """
    beside = {each.name: each for each in rows if each.load.size == of.load.size}
    loop_of = "_asyncio" if of.load.loop == "asyncio" and f"{FLOOR}_asyncio" in beside else ""
    floor, ours = beside.get(FLOOR + loop_of), beside.get(OURS)
    failed = max(each["failed"] for each in of.repeats)
    # A peer whose process failed has told nothing else.
    ended = [each for each in of.repeats if "loop" in each]
    told: dict[str, Figure] = {
        "cpu_ms_per_call": _rounded(_median([each["cpu_ms_per_call"] for each in of.repeats]), 3),
        "cpu_ratio": _ratio(of, floor, _cpu),
        "times_ours": _ratio(of, ours, _cpu) if of.peer or of.name == "dspy_stock" else None,
        "panel_p50_ms": _rounded(_median([_panel(each, 0.5) for each in of.repeats]), 1),
        "panel_p99_ms": _rounded(_median([_panel(each, 0.99) for each in of.repeats]), 1),
        "p99_ratio": _ratio(of, floor, lambda each: _panel(each, 0.99)),
        **medians([{name: each[name] for name in each if name not in APART} for each in ended]),
        "failed": failed,
        "loop": "/".join(sorted({each["loop"] for each in ended})),
        "repeats": len(of.repeats),
    }
    kept: dict[str, bool] = {}
    if of.load.held:
        peaks = {each["held_in_flight"] for each in of.repeats}
        told |= {"held_in_flight": "/".join(map(str, sorted(peaks))), "expected_in_flight": of.load.held}
        kept |= {"failed": failed == 0, "in_flight": peaks == {of.load.held}}
    if of.peer:
        errors = sum((Counter(each["errors"]) for each in of.repeats), Counter[str]())
        errors[f"no answer in {of.load.patience:g} s"] += sum(each["late"] for each in ended)
        told |= {"errors": ", ".join(f"{name} {count}" for name, count in errors.most_common() if count) or None}
        told |= {"transport": of.load.transport, "versions": of.peer.versions}
    return told | _verdict(of, told, kept)


def _verdict(of: Measured, told: Mapping[str, Any], kept: dict[str, bool]) -> dict[str, Figure]:
    targets: dict[str, Figure] = {}
    if of.name == OURS and of.load.size == AT:
        targets |= {"target_cpu_ratio": CPU_RATIO, "target_cpu_ms": CPU_MS}
        kept |= {
            "cpu_ratio": _at_most(told["cpu_ratio"], CPU_RATIO),
            "cpu_ms": _at_most(told["cpu_ms_per_call"], CPU_MS),
        }
    if of.name == OURS and of.load.size == MANY:
        targets |= {"target_p99_ratio": P99_RATIO}
        kept |= {"p99_ratio": _at_most(told["p99_ratio"], P99_RATIO)}
    if of.peer and of.load.size == AT and of.load.loop == "asyncio":
        least = TIMES_OURS if of.load.transport == "default" else TIMES_OURS_FASTEST
        targets |= {"target_times_ours": least}
        # Who answered nobody has no cost per answer, and is not cheaper for that.
        kept |= {"times_ours": told["times_ours"] is None or told["times_ours"] >= least}
    if not kept:
        return targets
    short = ", ".join(name for name, held in kept.items() if not held)
    return targets | {"verdict": "short" if short else "ok", "short_of": short}


def _ratio(of: Measured, to: Measured | None, figure: Any) -> float | None:
    """The median of the ratios of the repeats that were measured in one turn."""
    if to is None:
        return None
    turns = [(figure(one), figure(other)) for one, other in zip(of.repeats, to.repeats, strict=False)]
    return _rounded(_median([one / other if one is not None and other else None for one, other in turns]), 2)


def _cpu(each: Mapping[str, Any]) -> float | None:
    found: float | None = each["cpu_ms_per_call"]
    return found


def _panel(each: Mapping[str, Any], share: float) -> float | None:
    return percentile(each["panel_ms"], share) if each["panel_ms"] else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _at_most(value: float | None, most: float) -> bool:
    return value is not None and value <= most
