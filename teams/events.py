"""What a run tells, as it happens: frozen values in the past tense. Documented for users in docs/events.md.

A run tells `RunStarted` first and exactly one of `RunFinished` and `RunStopped` last.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from teams.model import ExpertFailure, ExpertResult, FailureKind, Seat, Synthesis

Team = Literal["panel", "research"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began. `needed` answers make a quorum; `synthesiser` is the model that will write the synthesis, if any."""

    at: datetime
    run: str
    team: Team
    topic: str
    panel: str
    seats: tuple[Seat, ...]
    needed: int
    synthesiser: str | None


@dataclass(frozen=True, slots=True)
class ExpertStarted:
    """One expert is being asked."""

    at: datetime
    perspective: str


@dataclass(frozen=True, slots=True)
class ExpertAnswered:
    """One expert answered. `late` says that a synthesis was begun without this answer."""

    at: datetime
    perspective: str
    answer: ExpertResult
    late: bool = False


@dataclass(frozen=True, slots=True)
class ExpertFailed:
    """One expert brought nothing, and why."""

    at: datetime
    perspective: str
    failure: ExpertFailure


@dataclass(frozen=True, slots=True)
class SeatProgressed:
    """How far a seat that is being asked has got, for people: "3 searches, 2 pages read"."""

    at: datetime
    perspective: str
    detail: str


@dataclass(frozen=True, slots=True)
class SourceLost:
    """A source could not be searched or read. `where` is its URL, path or name; `sentence` says why."""

    at: datetime
    where: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SynthesisStarted:
    """A model began to write the synthesis. `stand_in` says that the one meant for it had failed."""

    at: datetime
    model: str
    stand_in: bool = False


@dataclass(frozen=True, slots=True)
class SynthesisWritten:
    """The synthesis is there."""

    at: datetime
    synthesis: Synthesis


@dataclass(frozen=True, slots=True)
class SynthesisFailed:
    """There will be no synthesis. `kind` is None when none was attempted: too few experts answered, or a stage of
    research failed that it depends on."""

    at: datetime
    kind: FailureKind | None
    sentence: str
    attempts: int


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over. `heard` and `missing` are perspective keys in panel order."""

    at: datetime
    heard: tuple[str, ...]
    missing: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class RunStopped:
    """Somebody stopped the run: what had come back is kept, no further call is in flight."""

    at: datetime
    heard: tuple[str, ...]
    missing: tuple[str, ...]
    seconds: float


RunEvent = (
    RunStarted
    | ExpertStarted
    | ExpertAnswered
    | ExpertFailed
    | SeatProgressed
    | SourceLost
    | SynthesisStarted
    | SynthesisWritten
    | SynthesisFailed
    | RunFinished
    | RunStopped
)


def event_from_json(plain: dict[str, Any]) -> RunEvent:
    """The event that `event_to_json` made `plain` from. Raises `KeyError` for the name of none."""
    from teams.wire import load

    kinds = {kind.__name__: kind for kind in get_args(RunEvent)}
    event: RunEvent = load(kinds[plain["event"]], {key: value for key, value in plain.items() if key != "event"})
    return event


def event_to_json(event: RunEvent) -> dict[str, Any]:
    """The event as plain JSON: `{"event": "ExpertAnswered", "at": "2026-…Z", …}`, fields in the order of the class."""
    from teams.wire import dump

    return {"event": type(event).__name__, **dump(event)}
