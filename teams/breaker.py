"""The circuit breaker: a model that keeps failing is left alone for a while, until one call finds it well."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from teams.failures import CircuitOpen


class Breaker:
    """Leaves a model alone after `threshold` calls in a row failed within `window` seconds; then lets one call probe.

    It counts calls, not tries: a blip that retries outlast never opens it. Calls that arrive during a probe wait for
    its outcome, so that the first panel after an outage is asked whole.
    """

    def __init__(
        self,
        threshold: int = 5,
        window: float = 60.0,
        rest: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold, self._window, self._rest, self._clock = threshold, window, rest, clock
        self._failed_at: list[float] = []
        self._open_until: float | None = None
        self._probe: asyncio.Future[None] | None = None

    async def admit(self) -> "Admission":
        """Let a call pass. Raises `CircuitOpen` while the model is left alone."""
        while self._open_until is not None:
            wait = self._open_until - self._clock()
            if wait > 0:
                raise CircuitOpen(wait)
            if self._probe is None:
                self._probe = asyncio.get_running_loop().create_future()
                return Admission(self, probe=self._probe)
            if self._probe.get_loop() is not asyncio.get_running_loop():
                raise CircuitOpen(1.0)
            await asyncio.shield(self._probe)
        return Admission(self, probe=None)

    def settle(self, admission: "Admission", failed: bool | None) -> None:
        """Count what an admitted call came to; None says nothing about the model. While the circuit is open, only the
        probe counts: older calls know an older state."""
        if admission.probe is not None:
            self._probe = None
            admission.probe.set_result(None)
        elif self._open_until is not None:
            return
        if failed:
            now = self._clock()
            self._failed_at = [at for at in self._failed_at if now - at < self._window] + [now]
            if len(self._failed_at) >= self._threshold or self._open_until is not None:
                self._open_until = now + self._rest
        elif failed is False:
            self._failed_at.clear()
            self._open_until = None


@dataclass(frozen=True, slots=True)
class Admission:
    """One call that a breaker let pass; `probe` is set on the one that finds out whether the model is well again."""

    breaker: Breaker
    probe: "asyncio.Future[None] | None"

    def settle(self, failed: bool | None) -> None:
        """See `Breaker.settle`."""
        self.breaker.settle(self, failed)
