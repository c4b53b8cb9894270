"""Records of runs for people and programs: lists, whole records, exports. Reads run databases, also those in use."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from pydantic import ValidationError

from adapters.plain import doc_source
from adapters.port import Doc, Markdown, Table
from adapters.safety import one_line, visible
from bot import render
from bot.errors import StoreFailed
from bot.feedback import Feedback, read_feedback
from bot.progress import Progress
from bot.runs_at import RunsAt
from bot.store import read_runs
from bot.stored import StoredRun
from teams.answers import expert_result
from teams.events import ExpertAnswered, RunEvent, RunStarted, SynthesisWritten, event_from_json
from teams.evidence.claims import CheckedClaim
from teams.evidence.export import evidence_as_json, evidence_as_markdown
from teams.evidence.ledger import Ledger
from teams.model import Seat
from teams.trail import recorded_evidence
from teams.wire import dump

log = structlog.get_logger()
Format = Literal["md", "json"]


@dataclass(frozen=True, slots=True)
class Found:
    """A run and the database that it stands in. `interrupted`: it is not over, and no process is at it."""

    run: StoredRun
    database: RunsAt
    interrupted: bool

    @property
    def state(self) -> str:
        """How it stands, for people."""
        return "interrupted" if self.interrupted else self.run.status


Problem = Callable[[str], object]
"""Told a sentence on each database that cannot be read; the others are read all the same."""


def _logged(sentence: str) -> None:
    log.error("runs.unreadable", why=sentence)


def recent(databases: Sequence[RunsAt], most: int, problem: Problem = _logged) -> list[Found]:
    """The newest runs of all databases, newest first."""
    found = [each for at in databases[: most + 1] for each in _found(at, None, most, problem)]
    return sorted(found, key=lambda each: each.run.created_at, reverse=True)[:most]


def named(databases: Sequence[RunsAt], run_id: str, problem: Problem = _logged) -> list[Found]:
    """The runs whose id is, or else begins with, `run_id`."""
    found = [each for at in databases for each in _found(at, run_id, 50, problem)]
    exact = [each for each in found if each.run.id == run_id]
    return exact or found


def _found(at: RunsAt, run_id: str | None, most: int, problem: Problem) -> list[Found]:
    try:
        runs = read_runs(at.reader(), run_id, most)
        alone = not at.in_use()
    except StoreFailed as error:
        problem(str(error))
        return []
    return [Found(run, at, alone and not run.ended) for run in runs]


def listing(found: Sequence[Found]) -> str:
    """One line a run: when, how it stands, its id, what was asked."""
    if not found:
        return "no runs yet\n"
    return "".join(
        f"{_time(each.run.created_at)}  {each.state:<11} {one_line(each.run.id):<34}"
        f" {one_line(each.run.brief.title)[:80]}\n"
        for each in found
    )


def has_answer(run: StoredRun) -> bool:
    """Whether anybody answered; for research that is over, whether it came to its answer, and be it that there is
    nothing."""
    if run.brief.team == "research":
        return any(event["event"] == SynthesisWritten.__name__ for event in run.events)
    return any(key.startswith("expert:") and "failure" not in json.loads(result) for key, result in run.steps.items())


def exported(found: Found, how: Format) -> str:
    """The whole record: as a Markdown document, or as one JSON object. Raises `StoreFailed`."""
    run, feedback = _with_steps(found), read_feedback(found.database.reader(), found.run.id)
    if how == "json":
        return json.dumps(_plain(run, found.state, feedback), ensure_ascii=False, indent=1) + "\n"
    docs = [*_docs(run, found.state), *_opinions(feedback)]
    return "\n\n".join(doc_source(doc) for doc in docs) + "\n" + _evidence_as_markdown(run)


def _with_steps(found: Found) -> StoredRun:
    """The run with what its round has recorded so far, when it is not over."""
    run = found.run
    if run.ended:
        return run
    # DBOS takes a moment to import, and only a run under way needs it.
    from bot.runs import recorded_steps

    recorded = recorded_steps(found.database, run.round_id)
    return replace(run, steps=run.steps | {key: json.dumps(result) for key, result in recorded.items()})


def _plain(run: StoredRun, state: str, feedback: Sequence[Feedback]) -> dict[str, Any]:
    return {
        "id": run.id,
        "status": state,
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
        **_evidence_as_json(run),
        "feedback": [
            {"part": each.part, "author": each.author, "verdict": each.verdict, "at": _iso(each.at)}
            for each in feedback
        ],
    }


def _docs(run: StoredRun, state: str) -> Iterable[Doc]:
    yield _head(run, state)
    events = [event_from_json(plain) for plain in run.events] if run.ended else list(_so_far(run))
    before = json.loads(run.steps.get("heard:before", '{"heard": []}'))["heard"]
    round_ = render.Round(run.round, tuple(before), run.receipt)
    progress = Progress()
    for event in events:
        progress = progress.after(event)
        for post in render.posts(event, progress, round_):
            yield post.doc
            for file in post.doc.files:
                yield Doc(file.name, (Markdown(file.text),))


def _evidence(run: StoredRun) -> tuple[Ledger, tuple[CheckedClaim, ...]]:
    return recorded_evidence({key: json.loads(result) for key, result in run.steps.items()})


def _evidence_as_json(run: StoredRun) -> dict[str, Any]:
    if run.brief.team != "research":
        return {}
    try:
        return {"evidence": evidence_as_json(*_evidence(run))}
    except ValueError as damaged:
        return {"evidence": {"problem": _damaged(damaged)}}


def _evidence_as_markdown(run: StoredRun) -> str:
    if run.brief.team != "research":
        return ""
    try:
        return "\n" + visible(evidence_as_markdown(*_evidence(run)))
    except ValueError as damaged:
        return f"\n# Evidence\n\n{_damaged(damaged)}\n"


def _damaged(error: ValueError) -> str:
    # What pydantic says quotes the record; the ledger's own words are sentences for people.
    why = "What was recorded cannot be read." if isinstance(error, ValidationError) else str(error)
    return f"The evidence of this run cannot be shown. {why}"


def _so_far(run: StoredRun) -> Iterable[RunEvent]:
    """What a run under way has told, as far as its steps say it."""
    at, panel = datetime.now(UTC), run.brief.panel
    if panel is None:
        return
    seats = tuple(Seat(seat.key, seat.title, "") for seat in panel.perspectives)
    yield RunStarted(at, run.id, "panel", run.brief.topic, panel.name, seats, panel.needed, None)
    for seat in seats:
        recorded = json.loads(run.steps.get(f"expert:{seat.perspective}", "{}"))
        if "fields" in recorded:
            yield ExpertAnswered(at, seat.perspective, expert_result(seat.perspective, recorded))


def _head(run: StoredRun, state: str) -> Doc:
    place = run.invocation.place
    lines = [
        f"Run {run.id}: {state}, round {run.round}",
        f"Asked by {run.invocation.author} in {place.surface} {place.channel}, {_time(run.created_at)} UTC",
        f"Begun {_time(run.started_at)}, ended {_time(run.ended_at)}; starts of the process: {run.boots}",
    ]
    if run.stop_by:
        lines.append(f"Stopped by {run.stop_by}")
    given = {"Profile": run.brief.profile, "Pillars": run.brief.pillars}
    lines += [f"{name}: {text}" for name, text in given.items() if text]
    return Doc(run.brief.title, tuple(Markdown(visible(line)) for line in lines))


def _opinions(feedback: Sequence[Feedback]) -> Iterable[Doc]:
    if feedback:
        rows = tuple((each.part, each.verdict, each.author, f"{_time(each.at)} UTC") for each in feedback)
        yield Doc("Feedback", (Table(("Part", "Verdict", "By", "When"), rows),))


def _time(at: float | None) -> str:
    return "–" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
