"""Pace: how fast a place is sent to, whoever sends; what matters most goes first."""

import asyncio
import itertools
import math
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field

from adapters.port import Pace

URGENT, ANSWER, BOARD = 0, 1, 2
"""How urgent a send is: what settles a run or failed; an expert's answer; the board."""


@dataclass(eq=False, slots=True)
class _Waiting:
    number: int
    urgency: Callable[[], int]
    awake: asyncio.Event = field(default_factory=asyncio.Event)


class Lane:
    """The way to one place: sends take turns in order of urgency, within the place's pace.

    An urgent send may use all of the pace, an answer all but what is reserved, a board all but twice that.
    """

    def __init__(self, pace: Pace | None) -> None:
        self._pace = pace
        self._sent: deque[float] = deque()
        self._blocked_until = 0.0
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()

    @property
    def in_use(self) -> bool:
        """Whether somebody waits, or has to, or was sent so lately that it counts."""
        now = _now()
        recent = self._pace is not None and any(at > now - self._pace.seconds for at in self._sent)
        return bool(self._waiting) or self._blocked_until > now or recent

    @property
    def paced(self) -> bool:
        """Whether anybody may have to wait for the place."""
        return self._pace is not None

    async def turn(self, urgency: Callable[[], int]) -> None:
        """Wait for a turn. The urgency is asked for again whenever somebody may go, for it can rise meanwhile."""
        me = _Waiting(next(self._numbers), urgency)
        self._waiting.append(me)
        try:
            while (wait := self._wait(me)) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait if math.isfinite(wait) else None):
                        await me.awake.wait()
                me.awake.clear()
            if self._pace is not None:
                self._sent.append(_now())
        finally:
            self._waiting.remove(me)
            self.stir()

    def block(self, seconds: float) -> None:
        """Let nobody go for so long: the place said so."""
        self._blocked_until = max(self._blocked_until, _now() + seconds)

    def stir(self) -> None:
        """Have whoever is first look again; the others need not know."""
        if self._waiting:
            self._first().awake.set()

    def _first(self) -> _Waiting:
        return min(self._waiting, key=lambda other: (other.urgency(), other.number))

    def _wait(self, me: _Waiting) -> float:
        """Seconds until `me` may go; endless while somebody else is first."""
        first = self._first()
        if first is not me:
            # It may have become the first without anybody saying so.
            first.awake.set()
            return math.inf
        now = _now()
        if self._blocked_until > now:
            return self._blocked_until - now
        if self._pace is None:
            return 0.0
        while self._sent and self._sent[0] <= now - self._pace.seconds:
            self._sent.popleft()
        most = max(1, self._pace.most - self._pace.reserved * me.urgency())
        if len(self._sent) < most:
            return 0.0
        return self._sent[len(self._sent) - most] + self._pace.seconds - now


MOST_LANES = 10_000
"""Lanes remembered; those that nothing holds back are forgotten first."""


class Lanes:
    """Lanes by what they lead to."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, Lane] = {}

    def lane(self, to: Hashable, pace: Callable[[], Pace | None]) -> Lane:
        """The one lane that leads there; with this pace where it is new."""
        if to not in self._lanes:
            if len(self._lanes) >= MOST_LANES:
                self._lanes = {other: lane for other, lane in self._lanes.items() if lane.in_use}
            self._lanes[to] = Lane(pace())
        return self._lanes[to]


def _now() -> float:
    return asyncio.get_running_loop().time()
