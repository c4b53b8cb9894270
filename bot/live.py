"""A round of a run under way in this process: what is known of it, and what it begins and ends with."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog

from bot import render
from bot.progress import Progress
from bot.receipts import Purse
from bot.steps import RunSteps
from bot.stored import Status, StoredRun
from bot.watching import RoundEnded
from teams.events import RunEvent

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class LiveRun:
    """A round of a run under way in this process."""

    stored: StoredRun
    steps: RunSteps
    purse: Purse
    revisions: Iterator[int]
    restarted: bool
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    pause: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: asyncio.Event = field(default_factory=asyncio.Event)
    progress: Progress = field(default_factory=Progress)
    events: list[RunEvent] = field(default_factory=list)
    over: bool = False
    superseded: bool = False

    @property
    def id(self) -> str:
        """The run's id."""
        return self.stored.id

    @property
    def heard_before(self) -> tuple[str, ...]:
        """Whom the synthesis of the round before had heard."""
        before = self.stored.steps.get("heard")
        return () if before is None else tuple(json.loads(before)["heard"])

    def key(self, part: str) -> str:
        """The key of one of its posts."""
        return render.post_key(self.id, part, self.stored.round)


def revisions(stored: StoredRun) -> Iterator[int]:
    """Revisions of a run's boards in this start: higher than all of the starts before."""
    return itertools.count(stored.boots * 1_000_000 + 1)


def kept(steps: dict[str, str]) -> dict[str, str]:
    """What a further round keeps of the one before: what succeeded, but neither failures nor the synthesis."""
    return {
        key: result
        for key, result in steps.items()
        if not key.startswith(("synthesis", "heard")) and "failure" not in json.loads(result)
    }


def log_end(live: LiveRun, status: str) -> None:
    """Write the one rich line at the end of a run."""
    progress = live.progress
    kinds = sorted({failure.kind.value for failure in progress.failed})
    tell = log.info if progress.answered else log.warning
    tell(
        "run.finished",
        ended=status,
        heard=len(progress.answered),
        seats=len(progress.seats),
        failures=kinds,
        synthesis=progress.synthesis.written is not None,
        seconds=round(progress.seconds, 3),
        calls=live.purse.receipt.calls,
    )


def round_ended(live: LiveRun, status: Status, now: float) -> RoundEnded:
    """The end of a round, for whoever counts it. `now` is in seconds since 1970."""
    began = now if live.stored.started_at is None else live.stored.started_at
    kinds = tuple(failure.kind for failure in live.progress.failed)
    return RoundEnded(live.stored.brief.team, status, now - began, len(live.progress.answered), kinds)
