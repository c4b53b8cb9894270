"""What can go wrong with a call, on demand. Each fault is used once, in the order it was scripted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """Refuses with this error, and does nothing."""

    error: str


@dataclass(frozen=True, slots=True)
class Limited:
    """HTTP 429."""

    retry_after: int = 1


@dataclass(frozen=True, slots=True)
class Broken:
    """An HTTP error with something that is no JSON."""

    status: int = 503


@dataclass(frozen=True, slots=True)
class Lost:
    """Carries the call out and cuts the connection instead of answering."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Cuts the connection before anything is done."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Answers as ever, later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Carries the call out and never answers."""


@dataclass(frozen=True, slots=True)
class Page:
    """HTTP 200 with a page for people."""


Fault = Answer | Limited | Broken | Lost | Cut | Slow | Hang | Page
