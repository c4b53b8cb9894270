"""The words of a panel: frozen values that cross module boundaries. Knows neither DSPy nor chat."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

Tier = Literal["flash", "pro"]

TOPIC_LIMIT = 4_000
"""The longest topic in characters. A longer one belongs in a document: it would be repeated to every expert."""

HEADLINE_LIMIT = 140
"""The longest headline of an answer in characters: what fits on two lines of a phone."""

CODE = "code"
"""Stands where a model's name would: no model was asked."""


class FailureKind(StrEnum):
    """Why a call to a model brought nothing. One word per reason that a reader could act on differently."""

    TIMED_OUT = "timed_out"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    TOO_LONG = "too_long"
    UNREADABLE = "unreadable"
    CUT_OFF = "cut_off"


@dataclass(frozen=True, slots=True)
class Perspective:
    """One seat of a panel: a job with an evidence duty, not a character.

    `instructions` say what the expert has to find out and what counts as evidence for it.
    """

    key: str
    title: str
    instructions: str
    tier: Tier = "flash"


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """A panel as data. All times are in seconds.

    `run_seconds` bounds the whole run; the last `synthesis_seconds` of it are kept for the synthesis, which then starts
    with whoever has answered. `quorum=None` is the rule of `needed`.
    """

    name: str
    title: str
    description: str
    perspectives: tuple[Perspective, ...]
    synthesis_instructions: str = ""
    quorum: int | None = None
    expert_seconds: float = 120.0
    run_seconds: float = 300.0
    synthesis_seconds: float = 120.0
    allow_pro_fanout: bool = False

    def stretched(self, patience: float) -> "PanelSpec":
        """This panel with `patience` times the time for everything."""
        return replace(
            self,
            expert_seconds=self.expert_seconds * patience,
            run_seconds=self.run_seconds * patience,
            synthesis_seconds=self.synthesis_seconds * patience,
        )

    @property
    def needed(self) -> int:
        """How many answers a synthesis needs: at least half of the experts and at least two."""
        return self.quorum if self.quorum is not None else max(2, -(-len(self.perspectives) // 2))


@dataclass(frozen=True, slots=True)
class PanelInputs:
    """What every expert of a run is given. An empty field is left out of the prompt."""

    topic: str = ""
    research_docs: str = ""
    entity_profile: str = ""
    content_pillars: str = ""


@dataclass(frozen=True, slots=True)
class ExpertResult:
    """One expert's answer. `analysis` is Markdown; `confidence` is the expert's own, from 0 to 1; `seconds` is how
    long the answer took, retries included."""

    perspective: str
    headline: str
    analysis: str
    key_points: tuple[str, ...]
    recommendation: str
    confidence: float
    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ExpertFailure:
    """Why one expert brought nothing. `sentence` is for people and holds no text of model or provider."""

    perspective: str
    kind: FailureKind
    sentence: str
    attempts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Position:
    """What one expert says about a disputed claim."""

    perspective: str
    says: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A claim on which experts differ, and what would settle it."""

    claim: str
    positions: tuple[Position, ...]
    would_settle: str


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What the answers come to together.

    `heard` and `missing` are perspective keys and are set by code, never by a model. `stand_in` says that a weaker
    model wrote it because the one meant for it failed. `confidence` is `panel_confidence` of the answers heard.
    """

    summary: str
    recommendation: str
    agreements: tuple[str, ...]
    disagreements: tuple[Disagreement, ...]
    heard: tuple[str, ...]
    missing: tuple[str, ...]
    model: str
    seconds: float
    confidence: float
    stand_in: bool = False


@dataclass(frozen=True, slots=True)
class Seat:
    """A perspective as the reader meets it: its key, its title and the model that answers."""

    perspective: str
    title: str
    model: str


@dataclass(frozen=True, slots=True)
class Source:
    """One document handed to a run: its name as the asker knows it and its text."""

    name: str
    text: str = field(repr=False)


def panel_confidence(confidences: Sequence[float], seats: int) -> float:
    """The experts' confidence spread over all seats asked: a seat that was not heard counts as none.

    So losing an expert can only lower it. It is a sum over seats, not a probability.
    """
    return round(sum(confidences) / seats, 4) if seats else 0.0
