"""bench/results.json: what each case measured last, with when, by which command, on what machine and which versions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rows import Row, nested

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Made:
    """How figures came about: when (UTC), by which command, and on what."""

    date: str
    command: str
    machine: Mapping[str, object]


def read(path: Path = RESULTS) -> dict[str, Any]:
    """What is there; empty where there is nothing yet, and where an older bench wrote it."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if "made" in found else {}


def merged(before: Mapping[str, Any], rows: Sequence[Row], made: Made) -> dict[str, Any]:
    """`before` with the cases of `rows` measured anew; a case is replaced whole, the others stay as they are."""
    cases = nested(rows)
    how = {"date": made.date, "command": made.command, "machine": dict(made.machine)}
    return {
        "date": made.date,
        "machine": dict(made.machine),
        "made": {**before.get("made", {}), **dict.fromkeys(cases, how)},
        "cases": {**before.get("cases", {}), **cases},
    }


def write(results: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Keep results, whole or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(results, indent=2) + "\n")
    draft.replace(path)
