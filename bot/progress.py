"""Progress: the fold of a run's events into all that a screen needs. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

from teams.events import (
    ExpertAnswered,
    ExpertFailed,
    ExpertStarted,
    RunEvent,
    RunFinished,
    RunStarted,
    RunStopped,
    SeatProgressed,
    SourceLost,
    SynthesisFailed,
    SynthesisStarted,
    SynthesisWritten,
    Team,
)
from teams.model import ExpertFailure, ExpertResult, Seat, Synthesis

SeatState = Literal["queued", "running", "answered", "late", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class SeatProgress:
    """How one seat stands. `began` is when it was asked; `detail` is how far it is; once it has settled, one of answer
    and failure is set."""

    seat: Seat
    state: SeatState = "queued"
    began: datetime | None = None
    answer: ExpertResult | None = None
    failure: ExpertFailure | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SynthesisProgress:
    """How the synthesis stands: not begun, being written by `model`, written, or failed."""

    model: str = ""
    began: datetime | None = None
    stand_in: bool = False
    written: Synthesis | None = None
    failure: SynthesisFailed | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """All that is known of a run after some of its events. `lost` are the sources that failed, once for each reason."""

    run: str = ""
    team: Team = "panel"
    topic: str = ""
    panel: str = ""
    needed: int = 0
    synthesiser: str | None = None
    seats: tuple[SeatProgress, ...] = ()
    lost: tuple[SourceLost, ...] = ()
    synthesis: SynthesisProgress = SynthesisProgress()
    ended: Literal["", "finished", "stopped", "broken"] = ""
    seconds: float = 0.0
    at: datetime | None = None

    def after(self, event: RunEvent) -> "Progress":
        """This progress and one more event."""
        return _after(replace(self, at=event.at), event)

    @property
    def answered(self) -> tuple[ExpertResult, ...]:
        """The answers so far, in panel order."""
        return tuple(seat.answer for seat in self.seats if seat.answer is not None)

    @property
    def failed(self) -> tuple[ExpertFailure, ...]:
        """The failures so far, in panel order."""
        return tuple(seat.failure for seat in self.seats if seat.failure is not None)

    @property
    def unheard(self) -> tuple[str, ...]:
        """Seats without an answer, in panel order."""
        return tuple(seat.seat.perspective for seat in self.seats if seat.answer is None)

    def broken(self) -> "Progress":
        """This progress, ended by a bug of ours."""
        return replace(self, ended="broken", seats=tuple(_stopped(seat) for seat in self.seats))

    def title(self, perspective: str) -> str:
        """The seat's title for people; the key itself for a seat that is not of this run."""
        return next((seat.seat.title for seat in self.seats if seat.seat.perspective == perspective), perspective)


def _after(progress: Progress, event: RunEvent) -> Progress:
    match event:
        case RunStarted():
            seats = tuple(SeatProgress(seat) for seat in event.seats)
            started = Progress(event.run, event.team, event.topic, event.panel, event.needed, event.synthesiser, seats)
            return replace(started, at=event.at)
        case ExpertStarted():
            return _seated(progress, event.perspective, SeatProgress(_seat(progress, event), "running", event.at))
        case ExpertAnswered():
            state: SeatState = "late" if event.late else "answered"
            return _settled(progress, event, state)
        case ExpertFailed():
            return _settled(progress, event, "failed")
        case SeatProgressed():
            return _detailed(progress, event)
        case SourceLost():
            known = any((lost.where, lost.sentence) == (event.where, event.sentence) for lost in progress.lost)
            return progress if known else replace(progress, lost=(*progress.lost, event))
        case SynthesisStarted():
            return replace(progress, synthesis=SynthesisProgress(event.model, event.at, event.stand_in))
        case SynthesisWritten():
            return replace(progress, synthesis=replace(progress.synthesis, written=event.synthesis))
        case SynthesisFailed():
            return replace(progress, synthesis=replace(progress.synthesis, failure=event))
        case RunFinished():
            return replace(progress, ended="finished", seconds=event.seconds)
        case RunStopped():
            seats = tuple(_stopped(seat) for seat in progress.seats)
            return replace(progress, ended="stopped", seconds=event.seconds, seats=seats)
        case _:
            assert_never(event)


def _seat(progress: Progress, event: ExpertStarted) -> Seat:
    return next(
        (seat.seat for seat in progress.seats if seat.seat.perspective == event.perspective),
        Seat(event.perspective, event.perspective, ""),
    )


def _seated(progress: Progress, perspective: str, new: SeatProgress) -> Progress:
    seats = tuple(new if seat.seat.perspective == perspective else seat for seat in progress.seats)
    return replace(progress, seats=seats)


def _detailed(progress: Progress, event: SeatProgressed) -> Progress:
    old = next((seat for seat in progress.seats if seat.seat.perspective == event.perspective), None)
    return progress if old is None else _seated(progress, event.perspective, replace(old, detail=event.detail))


def _settled(progress: Progress, event: ExpertAnswered | ExpertFailed, state: SeatState) -> Progress:
    old = next((seat for seat in progress.seats if seat.seat.perspective == event.perspective), None)
    if old is None:
        return progress
    match event:
        case ExpertAnswered():
            new = replace(old, state=state, answer=event.answer, failure=None)
        case ExpertFailed():
            new = replace(old, state=state, failure=event.failure, answer=None)
    return _seated(progress, event.perspective, new)


def _stopped(seat: SeatProgress) -> SeatProgress:
    return replace(seat, state="stopped") if seat.state in ("queued", "running") else seat
