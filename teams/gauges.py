"""What calls to the models come to, in plain numbers by tier, for whoever watches the process.

The numbers begin with the process and are changed on its event loop alone. No metrics library is known here.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeVar
from weakref import WeakKeyDictionary

from teams.failures import CallFailed, translate
from teams.model import FailureKind, Tier

M = TypeVar("M")

ANSWERED, CANCELLED = "answered", "cancelled"
"""What a call comes to where it is none of the kinds of failure. A try that its call's time ends is cancelled too."""


def _nothing() -> dict[str, float]:
    return dict.fromkeys((ANSWERED, CANCELLED, *map(str, FailureKind)), 0)


@dataclass(eq=False, slots=True)
class Gauge:
    """The calls to one tier: tries that a model has, tries that wait for one of our own slots; what calls and their
    tries came to, and the seconds that calls took in all, by `answered`, `cancelled` or the kind of failure."""

    in_flight: int = 0
    queued: int = 0
    calls: dict[str, float] = field(default_factory=_nothing)
    seconds: dict[str, float] = field(default_factory=_nothing)
    tries: dict[str, float] = field(default_factory=_nothing)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Count the call of this block, with all its tries."""
        began, outcome = time.monotonic(), CANCELLED
        try:
            yield
            outcome = ANSWERED
        except CallFailed as failed:
            outcome = failed.failure.kind.value
            raise
        finally:
            self.calls[outcome] += 1
            self.seconds[outcome] += time.monotonic() - began

    @contextmanager
    def trying(self) -> "Iterator[Trying]":
        """Count the try of this block, and have it in flight as long as it lasts."""
        trying, outcome = Trying(self), CANCELLED
        try:
            yield trying
            outcome = ANSWERED
        except Exception as error:
            outcome = translate(error).kind.value
            raise
        finally:
            trying.end()
            self.tries[outcome] += 1


@dataclass(eq=False, slots=True)
class Trying:
    """A try under way: in flight, or queued with us."""

    gauge: Gauge
    state: Literal["in_flight", "queued", "over"] = "in_flight"

    def __post_init__(self) -> None:
        self.gauge.in_flight += 1

    def mark_queued(self, queued: bool) -> None:
        """Say whether it waits for one of our own slots; nothing where it is over."""
        if self.state != "over":
            self._leave()
            self.state = "queued" if queued else "in_flight"
            self.gauge.queued += queued
            self.gauge.in_flight += not queued

    def end(self) -> None:
        """It is over, and counted no more."""
        self._leave()
        self.state = "over"

    def _leave(self) -> None:
        self.gauge.queued -= self.state == "queued"
        self.gauge.in_flight -= self.state == "in_flight"


_gauges: dict[Tier | Literal["other"], Gauge] = {"flash": Gauge(), "pro": Gauge(), "other": Gauge()}
_tiers: WeakKeyDictionary[object, Tier] = WeakKeyDictionary()


def of_tier(lm: M, tier: Tier) -> M:
    """The model, its calls counted under this tier from now on. Those of models without one are under `other`."""
    _tiers[lm] = tier
    return lm


def gauge_of(lm: object) -> Gauge:
    """Where the calls to a model are counted; also for None, a model that nobody knows."""
    return _gauges["other" if lm is None else _tiers.get(lm, "other")]


def gauges() -> Mapping[Tier | Literal["other"], Gauge]:
    """All gauges of the process, by tier."""
    return MappingProxyType(_gauges)
