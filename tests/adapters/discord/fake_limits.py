"""How often Discord lets a route be called: buckets that are filled anew after a time, told in the headers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds, for each channel, server or webhook apart."""

    limit: int
    seconds: float


# Discord documents no numbers ("Rate Limits": "should not be hard coded"). These are what bots report: five messages
# and five edits in five seconds for a channel.
FREE = Rate(1_000, 1.0)
REAL: Mapping[str, Rate] = {
    "create_message": Rate(5, 5.0),
    "update_message": Rate(5, 5.0),
    "delete_message": Rate(5, 1.0),
    "create_thread_from_message": Rate(50, 300.0),
    "execute_webhook": Rate(5, 2.0),
    "update_original_webhook_message": Rate(5, 2.0),
}


@dataclass(slots=True)
class Bucket:
    rate: Rate
    left: int
    ends: float

    def take(self, now: float) -> bool:
        if now >= self.ends:
            self.left, self.ends = self.rate.limit, now + self.rate.seconds
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True)
class Limits:
    """Which rates hold. `Limits()` lets everything through, `Limits.real()` is what bots see. `over` counts 429s."""

    rates: Mapping[str, Rate] = field(default_factory=dict)
    buckets: dict[tuple[str, str], Bucket] = field(default_factory=dict)
    over: int = 0

    @classmethod
    def real(cls) -> "Limits":
        return cls(REAL)

    def take(self, name: str, major: str, now: float) -> tuple[float, dict[str, str]]:
        """The seconds to wait, 0 where it is let through, and the headers that tell of the bucket."""
        rate = self.rates.get(name, FREE)
        bucket = self.buckets.setdefault((name, major), Bucket(rate, rate.limit, now + rate.seconds))
        taken = bucket.take(now)
        after = max(bucket.ends - now, 0.001)
        headers = {
            "X-RateLimit-Limit": str(rate.limit),
            "X-RateLimit-Remaining": str(max(bucket.left, 0)),
            "X-RateLimit-Reset": f"{now + after:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
            "X-RateLimit-Bucket": md5(name.encode(), usedforsecurity=False).hexdigest(),
        }
        if taken:
            return 0.0, headers
        self.over += 1
        return after, headers
