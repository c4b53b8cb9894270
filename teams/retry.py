"""Retries, once and here: every call to a model goes through `call_with_retry`."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import structlog

from teams.failures import CallFailed, CallFailure, CircuitOpen, Fault, translate
from teams.model import FailureKind

log = structlog.get_logger()


class Callable_(Protocol):
    """Anything with DSPy's `acall`."""

    async def acall(self, **inputs: Any) -> Any:
        """Ask once."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long and how often one call is tried.

    `seconds` bounds all tries and the waits between them. Delays grow from `first_delay` by doubling up to
    `longest_delay`, each drawn evenly between nothing and that ("full jitter", AWS Architecture Blog, 2015), so that
    six experts refused together do not return together. `also_retried` adds kinds that are not transient by nature.
    """

    seconds: float = 120.0
    tries: int = 3
    first_delay: float = 0.5
    longest_delay: float = 20.0
    also_retried: frozenset[FailureKind] = frozenset()
    draw: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Breaker:
    """Leaves a model alone after `threshold` calls in a row failed within `window` seconds; then lets one call probe.

    It counts calls, not tries: a blip that retries outlast never opens it.
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
        self._probing = False

    def admit(self) -> None:
        """Let a call pass. Raises `CircuitOpen` while the model is left alone."""
        if self._open_until is None:
            return
        wait = self._open_until - self._clock()
        if wait > 0 or self._probing:
            raise CircuitOpen(max(wait, 1.0))
        self._probing = True

    def record(self, failed: bool) -> None:
        """Count what an admitted call came to."""
        self._probing = False
        if not failed:
            self._failed_at.clear()
            self._open_until = None
            return
        now = self._clock()
        self._failed_at = [at for at in self._failed_at if now - at < self._window] + [now]
        if len(self._failed_at) >= self._threshold or self._open_until is not None:
            self._open_until = now + self._rest

    def withdraw(self) -> None:
        """An admitted call was cancelled: it says nothing about the model."""
        self._probing = False


_breakers: WeakKeyDictionary[Any, Breaker] = WeakKeyDictionary()


def breaker_of(module: Any, inputs: Mapping[str, Any]) -> Breaker:
    """The breaker shared by all calls to the model that `module` will ask; a fresh one when that is not known."""
    predictors = module.predictors() if hasattr(module, "predictors") else []
    lm = inputs.get("lm") or next((found.lm for found in predictors if found.lm is not None), None)
    if lm is None:
        return Breaker()
    return _breakers.setdefault(lm, Breaker())


def _delay(limits: CallLimits, attempts: int, fault: Fault) -> float:
    backoff = min(limits.longest_delay, limits.first_delay * float(2 ** (attempts - 1))) * limits.draw()
    return backoff if fault.retry_after is None else fault.retry_after + min(backoff, 1.0)


def _without_time(fault: Fault, left: float) -> Fault:
    if fault.retry_after is None:
        return fault
    wait = f"; it asks to wait {fault.retry_after:.0f} s and {max(left, 0):.0f} s were left"
    return replace(fault, sentence=fault.sentence + wait)


async def call_with_retry(module: Callable_, name: str, /, *, limits: CallLimits | None = None, **inputs: Any) -> Any:
    """What `module.acall(**inputs)` gives, tried again after transient errors until it answers or `limits` are used up.

    A provider's Retry-After is honoured when it fits into the time left; when it does not, the call fails at once.
    Raises `CallFailed`, chained to the last error. Cancellation passes through and is never retried.
    """
    limits = limits or CallLimits()
    breaker = breaker_of(module, inputs)
    call = _Call(name, limits)
    try:
        breaker.admit()
    except CircuitOpen as error:
        raise call.failed(translate(error)) from error
    try:
        answer = await call.until_answered(module, inputs)
    except CallFailed as failed:
        breaker.record(failed=failed.transient)
        raise
    except BaseException:
        breaker.withdraw()
        raise
    breaker.record(failed=False)
    return answer


class _Call:
    """One call with its tries: what a deadline that fires from outside still has to know."""

    def __init__(self, name: str, limits: CallLimits) -> None:
        self.name, self.limits = name, limits
        self.attempts = 0
        self.waiting_after: Fault | None = None
        self.started = asyncio.get_running_loop().time()

    def failed(self, fault: Fault) -> CallFailed:
        seconds = asyncio.get_running_loop().time() - self.started
        failure = CallFailure(fault.kind, fault.sentence, self.attempts, round(seconds, 3))
        return CallFailed(self.name, failure, fault.transient)

    async def until_answered(self, module: Callable_, inputs: Mapping[str, Any]) -> Any:
        try:
            async with asyncio.timeout(self.limits.seconds) as deadline:
                return await self._tries(module, inputs, deadline)
        except TimeoutError as error:
            # Out of time between two tries: then the reason is what the last one met, not the clock.
            timed_out = Fault(FailureKind.TIMED_OUT, f"timed out after {self.limits.seconds:g} s", transient=True)
            raise self.failed(self.waiting_after or timed_out) from error

    async def _tries(self, module: Callable_, inputs: Mapping[str, Any], deadline: asyncio.Timeout) -> Any:
        while True:
            self.attempts += 1
            try:
                return await module.acall(**inputs)
            except Exception as error:  # noqa: BLE001 - the one place where a module's errors become failures
                fault = translate(error)
                await self._wait_or_fail(fault, error, deadline)

    async def _wait_or_fail(self, fault: Fault, error: Exception, deadline: asyncio.Timeout) -> None:
        log.info(
            "call.failed", call=self.name, kind=fault.kind.value, attempt=self.attempts, error=type(error).__name__
        )
        retried = fault.transient or fault.kind in self.limits.also_retried
        if not retried or self.attempts >= self.limits.tries:
            raise self.failed(fault) from error
        delay = _delay(self.limits, self.attempts, fault)
        left = (deadline.when() or 0.0) - asyncio.get_running_loop().time()
        if delay >= left:
            raise self.failed(_without_time(fault, left)) from error
        self.waiting_after = fault
        await self.limits.sleep(delay)
        self.waiting_after = None
