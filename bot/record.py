"""Records of runs for people and programs: lists, whole records, exports. Reads run databases, also those in use."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from adapters.plain import doc_source
from adapters.port import Doc, Markdown
from adapters.safety import one_line, visible
from bot import render
from bot.database import sqlite_reader
from bot.progress import Progress
from bot.store import read_runs
from bot.stored import StoredRun
from teams.events import event_from_json
from teams.wire import dump

Format = Literal["md", "json"]


def recent(databases: Sequence[Path], most: int) -> list[StoredRun]:
    """The newest runs of all databases, newest first. Raises `StoreFailed`."""
    found = [run for path in databases[: most + 1] for run in read_runs(sqlite_reader(path), most=most)]
    return sorted(found, key=lambda run: run.created_at, reverse=True)[:most]


def named(databases: Sequence[Path], run_id: str) -> list[StoredRun]:
    """The runs whose id is, or else begins with, `run_id`. Raises `StoreFailed`."""
    found = [run for path in databases for run in read_runs(sqlite_reader(path), run_id)]
    exact = [run for run in found if run.id == run_id]
    return exact or found


def listing(runs: Sequence[StoredRun]) -> str:
    """One line a run: when, how it stands, its id, what was asked."""
    if not runs:
        return "no runs yet\n"
    return "".join(
        f"{_time(run.created_at)}  {run.status:<11} {one_line(run.id):<34} {one_line(run.brief.title)[:80]}\n"
        for run in runs
    )


def has_answer(run: StoredRun) -> bool:
    """Whether anybody answered; for research, whether it came to its answer."""
    wanted = "synthesis" if run.brief.team == "research" else "expert:"
    return any(key.startswith(wanted) and "failure" not in json.loads(result) for key, result in run.steps.items())


def exported(run: StoredRun, how: Format) -> str:
    """The whole record: as a Markdown document, or as one JSON object."""
    if how == "json":
        return json.dumps(_plain(run), ensure_ascii=False, indent=1) + "\n"
    return "\n\n".join(doc_source(doc) for doc in _docs(run)) + "\n"


def _plain(run: StoredRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "status": run.status,
        "round": run.round,
        "asked": dump(run.invocation),
        "brief": dump(run.brief),
        "created_at": _iso(run.created_at),
        "started_at": _iso(run.started_at),
        "ended_at": _iso(run.ended_at),
        "starts": run.boots,
        "stopped_by": run.stop_by,
        "receipt": asdict(run.receipt),
        "events": run.events,
        "steps": {key: json.loads(result) for key, result in run.steps.items()},
    }


def _docs(run: StoredRun) -> Iterable[Doc]:
    yield _head(run)
    round_ = render.Round(run.round, (), run.receipt)
    progress = Progress()
    for plain in run.events:
        event = event_from_json(plain)
        progress = progress.after(event)
        for post in render.posts(event, progress, round_):
            yield post.doc
            for file in post.doc.files:
                yield Doc(file.name, (Markdown(file.text),))


def _head(run: StoredRun) -> Doc:
    place = run.invocation.place
    lines = [
        f"Run {run.id}: {run.status}, round {run.round}",
        f"Asked by {run.invocation.author} in {place.surface} {place.channel}, {_time(run.created_at)} UTC",
        f"Begun {_time(run.started_at)}, ended {_time(run.ended_at)}; starts of the process: {run.boots}",
    ]
    if run.stop_by:
        lines.append(f"Stopped by {run.stop_by}")
    return Doc(run.brief.title, tuple(Markdown(visible(line)) for line in lines))


def _time(at: float | None) -> str:
    return "–" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
