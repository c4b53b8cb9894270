"""What happens in a process, as values for whoever counts it. They name kinds, never a channel, a person or a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bot.stored import Status
from teams.events import Team
from teams.model import FailureKind


@dataclass(frozen=True, slots=True)
class RoundBegun:
    """A round of a run got under way; `again`: it had begun in an earlier start of a process."""

    team: Team
    again: bool


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """A round of a run is over. `seconds` since it first began; how many experts answered, and why others did not."""

    team: Team
    ending: Status
    seconds: float
    answered: int
    failures: tuple[FailureKind, ...]


PostOutcome = Literal["sent", "found", "not_shown"]
"""What a post comes to; `found`: an earlier process, or a send without a known end, had posted it."""


@dataclass(frozen=True, slots=True)
class PostSettled:
    """A post stands in its thread, or never will; so many `seconds` after it was put."""

    surface: str
    outcome: PostOutcome
    seconds: float


@dataclass(frozen=True, slots=True)
class PostUnsure:
    """A post was found to be `sending`: the process that sent it ended before it knew whether it stands."""

    surface: str


@dataclass(frozen=True, slots=True)
class SendEnded:
    """One send to a platform ended: what it was, and `sent` or what it met."""

    surface: str
    what: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What somebody asked is safe after so many seconds, or was refused because it could not be made safe."""

    surface: str
    safe: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class LoopLagged:
    """A timer of the event loop fired so many seconds late."""

    seconds: float


Happening = RoundBegun | RoundEnded | PostSettled | PostUnsure | SendEnded | TakenIn | LoopLagged
Watch = Callable[[Happening], None]
"""Told what happens, at once and in the event loop: it must be quick and raise nothing."""


def unwatched(_: Happening) -> None:
    """Nobody counts."""
