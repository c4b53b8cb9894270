"""What the run database holds, as values: runs, posts, quotas, and what became of a request. Knows no database."""

from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.port import Invocation, MessageRef, ThreadRef
from bot.brief import Brief
from bot.receipts import RunReceipt
from bot.rounds import RoundId

Status = Literal["accepted", "running", "finished", "stopped", "broken", "quarantined", "unopened"]
"""How a run stands: accepted and waiting for its turn, under way, or over in one of the last five ways."""

ENDED = ("finished", "stopped", "broken", "quarantined", "unopened")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run as the database has it. `boots` counts its starts. Of the crashes since it last got on, to `steps_seen`
    recorded steps, `stuck` counts all and `blamed` those at which it was being worked on."""

    id: str
    round: int
    status: Status
    invocation: Invocation
    brief: Brief
    thread: ThreadRef | None
    boots: int
    stuck: int
    blamed: int
    steps_seen: int
    paused: bool
    stop_by: str | None
    steps: dict[str, str] = field(repr=False)
    events: list[dict[str, Any]] = field(repr=False)
    receipt: RunReceipt
    created_at: float
    started_at: float | None
    ended_at: float | None

    @property
    def round_id(self) -> RoundId:
        """The round that it is in."""
        return RoundId(self.id, self.round)

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status in ENDED

    @property
    def taken_up(self) -> bool:
        """Whether its round had begun in an earlier start, and its thread been opened."""
        return self.status == "running" and self.thread is not None


@dataclass(frozen=True, slots=True)
class Quotas:
    """How many runs may begin in a day; 0 is no limit."""

    person: int = 0
    channel: int = 0
    workspace: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The run is safe: it will be run, whatever becomes of this process."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """This gesture was carried out before."""

    run: str


@dataclass(frozen=True, slots=True)
class OverQuota:
    """So many runs were begun today by, or in, this `whom`."""

    whom: Literal["person", "channel", "workspace"]
    limit: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a round ended, and what it leaves."""

    status: Status
    steps: dict[str, str]
    events: list[dict[str, Any]]
    receipt: RunReceipt


PostState = Literal["sending", "sent", "failed"]


@dataclass(frozen=True, slots=True)
class Posted:
    """One post in the outbox."""

    key: str
    state: PostState
    ref: MessageRef | None = None
