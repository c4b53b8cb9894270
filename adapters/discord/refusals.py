"""Refusals: what Discord will refuse anyway is not sent, for it bans a host after 10,000 invalid requests in ten
minutes (its page "Rate Limits")."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from adapters.discord.errors import Need
from adapters.port import PermissionMissing, RateLimited, SendError

WINDOW, MOST_INVALID = 600.0, 5_000
"""Seconds, and how many invalid requests in them are the last: half of what gets a host banned."""

HELD = 60.0
"""Seconds that nothing is tried again where a right was missing. Then one call finds out whether it still is."""

MOST_HELD = 5_000


@dataclass(slots=True)
class _Held:
    error: PermissionMissing
    until: float


def monotonic() -> float:
    """The clock, looked up at each call: a test's time may have been put in its place."""
    return time.monotonic()


class Refusals:
    """Counts invalid requests of the process, and knows where a right is missing."""

    def __init__(self, clock: Callable[[], float] = monotonic, most: int = MOST_INVALID) -> None:
        self._clock, self._most = clock, most
        self._invalid: deque[float] = deque()
        self._held: OrderedDict[tuple[str, Need], _Held] = OrderedDict()

    def hinder(self, channel: str, need: Need) -> SendError | None:
        """Why a call is not worth sending now, or None. Where a right was missing one call a minute is let through."""
        now = self._clock()
        while self._invalid and self._invalid[0] <= now - WINDOW:
            self._invalid.popleft()
        if len(self._invalid) >= self._most:
            return RateLimited(self._invalid[0] + WINDOW - now)
        held = self._held.get((channel, need))
        if held is None:
            return None
        if now < held.until:
            return held.error
        held.until = now + HELD
        return None

    def invalid(self) -> None:
        """A request was invalid."""
        self._invalid.append(self._clock())

    def refused(self, channel: str, need: Need, error: PermissionMissing) -> None:
        """A right is missing in a channel."""
        self._held[channel, need] = _Held(error, self._clock() + HELD)
        if len(self._held) > MOST_HELD:
            self._held.popitem(last=False)

    def granted(self, channel: str, need: Need) -> None:
        """A right is there."""
        self._held.pop((channel, need), None)

    def trace(self) -> aiohttp.TraceConfig:
        """Counts the 429s that the library waits out by itself; for the client's `http_trace`."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._ended)
        return trace

    async def _ended(self, _session: object, _context: object, ended: aiohttp.TraceRequestEndParams) -> None:
        if ended.response.status == 429:
            self.invalid()
