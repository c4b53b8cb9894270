"""What can go wrong with a request, on demand. Each fault is used once, in the order it was scripted, unless it is
scripted to stay."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """Refuses with this status and Discord's error code, and does nothing."""

    status: int
    code: int = 0
    message: str = "scripted"


@dataclass(frozen=True, slots=True)
class Limited:
    """HTTP 429, of the bot as a whole with `everywhere`."""

    retry_after: float = 1.0
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """An HTTP error with something that is no JSON."""

    status: int = 503


@dataclass(frozen=True, slots=True)
class Lost:
    """Carries the request out and cuts the connection instead of answering."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Cuts the connection before anything is done."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Answers as ever, later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Carries the request out and never answers."""


@dataclass(frozen=True, slots=True)
class Masked:
    """Carries the request out and answers with an HTTP error, as something before Discord may."""

    status: int = 502


Fault = Masked | Answer | Limited | Broken | Lost | Cut | Slow | Hang
