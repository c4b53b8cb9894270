"""How often Slack lets a method be called: buckets that fill without a pause, one for each method and workspace."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_minute` calls in the long run; `burst` at once after a quiet time. `by_channel` counts channels apart."""

    per_minute: float
    burst: int
    by_channel: bool = False


# The numbers per minute are Slack's ("Rate limits": tier 2 is 20+, tier 3 is 50+, tier 4 is 100+; posting is "one
# message per second per channel", short bursts allowed). It documents no burst: a whole minute's worth for the tiers,
# and five posts in a channel, are our choice.
TIER_2, TIER_3, TIER_4 = Rate(20, 20), Rate(50, 50), Rate(100, 100)
POSTING = Rate(60, 5, by_channel=True)
REAL: Mapping[str, Rate] = {
    "chat.postMessage": POSTING,
    "chat.update": TIER_3,
    "chat.delete": TIER_3,
    "chat.postEphemeral": TIER_4,
    "chat.startStream": TIER_2,
    "chat.stopStream": TIER_2,
    "chat.appendStream": TIER_4,
    "conversations.replies": TIER_3,
    "conversations.history": TIER_3,
    "conversations.info": TIER_3,
    "conversations.open": TIER_3,
    "reactions.add": TIER_3,
    "reactions.remove": TIER_2,
    "files.info": TIER_4,
    "files.delete": TIER_3,
    "files.getUploadURLExternal": TIER_4,
    "files.completeUploadExternal": TIER_4,
    "users.info": TIER_4,
    "views.open": TIER_4,
    "views.update": TIER_4,
    "team.info": TIER_3,
    "bots.info": TIER_3,
}
ONE_A_MINUTE = Rate(1, 1)
"""conversations.replies and .history for distributed apps outside the Marketplace, with fifteen items at most."""


@dataclass(slots=True)
class Bucket:
    rate: Rate
    left: float
    at: float

    def wait(self, now: float) -> int:
        """Takes one and gives 0, or takes none and gives the whole seconds to wait, as in `Retry-After`."""
        each = self.rate.per_minute / 60
        self.left = min(self.rate.burst, self.left + (now - self.at) * each)
        self.at = now
        if self.left >= 1 - 1e-9:  # A caller who waits as told is let through, whatever floats make of a third.
            self.left -= 1
            return 0
        return max(1, math.ceil((1 - self.left) / each - 1e-6))


@dataclass(slots=True)
class Limits:
    """Which rates hold. `Limits()` lets everything through, `Limits.real()` is Slack."""

    rates: Mapping[str, Rate] = field(default_factory=dict)
    buckets: dict[tuple[str, str, str], Bucket] = field(default_factory=dict)

    @classmethod
    def real(cls) -> "Limits":
        return cls(REAL)

    def wait(self, method: str, team: str, channel: str, now: float) -> int:
        """Seconds until this call is allowed; 0 where it is, which counts it."""
        if (rate := self.rates.get(method)) is None:
            return 0
        key = (method, team, channel if rate.by_channel else "")
        bucket = self.buckets.setdefault(key, Bucket(rate, rate.burst, now))
        return bucket.wait(now)
