"""Pace: how fast a place is sent to, whoever sends; what matters most goes first."""

import asyncio
import itertools
import math
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from adapters.port import Pace

URGENT, ANSWER, BOARD = 0, 1, 2
"""How urgent a send is: what opens, settles or ends a run; an expert's answer; the board."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: a send takes a token, and another comes every `each` seconds until there are `burst`.

    It is kept as the time at which it is full again, so that nothing has to fill it ("Generic cell rate algorithm").
    Times are those of one clock, in seconds.
    """

    burst: int = 1
    each: float = 0.0
    reserved: int = 0
    full_at: float = -math.inf

    @classmethod
    def of(cls, pace: Pace | None) -> "Bucket":
        """A full one. Without a pace tokens come in no time."""
        return cls() if pace is None else cls(pace.burst, 60 / pace.per_minute, pace.reserved)

    def opens(self, *, urgent: bool) -> float:
        """From when on a send may take a token: any is for an urgent one, others leave what is reserved."""
        left = 0 if urgent else self.reserved
        return self.full_at - (self.burst - 1 - left) * self.each

    def taken(self, at: float) -> "Bucket":
        """With one token less from `at` on."""
        return Bucket(self.burst, self.each, self.reserved, max(self.full_at, at) + self.each)

    def held(self, until: float) -> "Bucket":
        """Without a token before `until`, when there is one and no more: a place that refuses has nothing left, and a
        burst right after its wait would be refused again."""
        return replace(self, full_at=max(self.full_at, until + (self.burst - 1) * self.each))


@dataclass(frozen=True, slots=True)
class Refill:
    """What became of asking for a token, and in how many seconds the bucket is full again."""

    taken: bool
    full_in: float


class Shared(Protocol):
    """A bucket that other processes take tokens from as well; `bot.shared_pace.SharedBucket` is one."""

    async def take(self, *, urgent: bool) -> Refill:
        """Take a token if there is one: any for an urgent send, others leave what is reserved."""

    async def hold(self, seconds: float) -> None:
        """Have no token for so long, and then one and no more."""


@dataclass(eq=False, slots=True)
class _Waiting:
    number: int
    urgency: Callable[[], int]
    awake: asyncio.Event = field(default_factory=asyncio.Event)


class Lane:
    """The way to one place: the most urgent goes first, among equals the first to come, each with a token of the
    place's bucket. Only who is urgent takes what is reserved there. Where other processes send there too the bucket is
    `shared`, and this one what was last known of it."""

    def __init__(self, pace: Pace | None, shared: Shared | None = None) -> None:
        self._bucket, self._shared = Bucket.of(pace), shared
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()

    @property
    def in_use(self) -> bool:
        """Whether somebody waits, or the bucket is not full."""
        return bool(self._waiting) or self._bucket.full_at > _now()

    @property
    def paced(self) -> bool:
        """Whether anybody may have to wait for the place."""
        return self._bucket.each > 0

    async def turn(self, urgency: Callable[[], int]) -> None:
        """Wait for a turn. The urgency is asked for again whenever somebody may go, for it can rise meanwhile. Raises
        what a shared bucket does."""
        if not self._waiting and self._shared is None and self._opens_in(urgency()) <= 0:
            self._bucket = self._bucket.taken(_now())
            return
        me = _Waiting(next(self._numbers), urgency)
        self._waiting.append(me)
        try:
            while True:
                while (wait := self._wait(me)) > 0:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait if math.isfinite(wait) else None):
                            await me.awake.wait()
                    me.awake.clear()
                if await self._took(urgent=me.urgency() == URGENT):
                    return
        finally:
            self._waiting.remove(me)
            self.stir()

    async def block(self, seconds: float) -> None:
        """Let nobody go for so long: the place said so. Raises what a shared bucket does."""
        self._bucket = self._bucket.held(_now() + seconds)
        if self._shared is not None:
            await self._shared.hold(seconds)

    def stir(self) -> None:
        """Have whoever is first look again; the others need not know."""
        if self._waiting:
            self._first().awake.set()

    async def _took(self, *, urgent: bool) -> bool:
        if self._shared is None:
            self._bucket = self._bucket.taken(_now())
            return True
        refill = await self._shared.take(urgent=urgent)
        self._bucket = replace(self._bucket, full_at=_now() + refill.full_in)
        return refill.taken

    def _first(self) -> _Waiting:
        return min(self._waiting, key=lambda other: (other.urgency(), other.number))

    def _wait(self, me: _Waiting) -> float:
        """Seconds until `me` may go; endless while somebody else is first."""
        first = self._first()
        if first is not me:
            # It may have become the first without anybody saying so.
            first.awake.set()
            return math.inf
        return self._opens_in(me.urgency())

    def _opens_in(self, urgency: int) -> float:
        return self._bucket.opens(urgent=urgency == URGENT) - _now()


MOST_LANES = 10_000
"""Lanes remembered; those that nothing holds back are forgotten first."""


class Lanes:
    """Lanes by what they lead to. `shared` gives the bucket that other processes use too, where there are any."""

    def __init__(self, shared: "Callable[[Hashable, Pace], Shared] | None" = None) -> None:
        self._lanes: dict[Hashable, Lane] = {}
        self._shared = shared

    def lane(self, to: Hashable, pace: Callable[[], Pace | None]) -> Lane:
        """The one lane that leads there; with this pace where it is new."""
        if to not in self._lanes:
            if len(self._lanes) >= MOST_LANES:
                self._lanes = {other: lane for other, lane in self._lanes.items() if lane.in_use}
            there = pace()
            shared = None if self._shared is None or there is None else self._shared(to, there)
            self._lanes[to] = Lane(there, shared)
        return self._lanes[to]


def _now() -> float:
    return asyncio.get_running_loop().time()
