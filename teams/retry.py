"""Retries, once and here: every call to a model goes through `call_with_retry`."""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import structlog

from teams.breaker import Breaker
from teams.failures import CallFailed, CallFailure, CircuitOpen, Fault, translate
from teams.gauges import Gauge, Trying, gauge_of
from teams.model import FailureKind

log = structlog.get_logger()


class Askable(Protocol):
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


_breakers: WeakKeyDictionary[Any, Breaker] = WeakKeyDictionary()


def lm_of(module: Any, inputs: Mapping[str, Any]) -> Any:
    """The model that `module` will ask with these inputs, or None when that is not known."""
    if (lm := inputs.get("lm")) is not None:
        return lm
    predictors = module.predictors() if hasattr(module, "predictors") else []
    return next((found.lm for found in predictors if found.lm is not None), None)


def breaker_of(module: Any, inputs: Mapping[str, Any]) -> Breaker:
    """The breaker shared by all calls to the model that `module` will ask; a fresh one when that is not known."""
    lm = lm_of(module, inputs)
    return Breaker() if lm is None else _breakers.setdefault(lm, Breaker())


_call: ContextVar["_Call | None"] = ContextVar("call", default=None)


def mark_queued(queued: bool) -> None:
    """Say whether the call under way waits in our own queue: that time is not the model's. Engines call this."""
    call = _call.get()
    if call is not None:
        call.mark_queued(queued)


def ends_within(seconds: float) -> bool:
    """Whether the call under way is over within so many seconds in any case: then it needs no clock beside its own."""
    call = _call.get()
    return call is not None and call.ends is not None and call.ends - call.now() <= seconds


def _delay(limits: CallLimits, attempts: int, fault: Fault) -> float:
    backoff = min(limits.longest_delay, limits.first_delay * float(2 ** (attempts - 1))) * limits.draw()
    return backoff if fault.retry_after is None else fault.retry_after + min(backoff, 1.0)


def _without_time(fault: Fault, left: float) -> Fault:
    if fault.retry_after is None:
        return fault
    wait = f"; it asks to wait {fault.retry_after:.0f} s and {max(left, 0):.0f} s were left"
    return replace(fault, sentence=fault.sentence + wait)


async def call_with_retry(module: Askable, name: str, /, *, limits: CallLimits | None = None, **inputs: Any) -> Any:
    """What `module.acall(**inputs)` gives, tried again after transient errors until it answers or `limits` are used up.

    A provider's Retry-After is honoured when it fits into the time left; when it does not, the call fails at once.
    Raises `CallFailed`, chained to the last error. Cancellation passes through and is never retried.
    """
    call = _Call(name, limits or CallLimits(), gauge_of(lm_of(module, inputs)))
    token = _call.set(call)
    try:
        with call.gauge.calling():
            return await call.until_answered(module, inputs)
    finally:
        _call.reset(token)


class _Call:
    """One call with its tries: what a deadline that fires from outside still has to know."""

    def __init__(self, name: str, limits: CallLimits, gauge: Gauge) -> None:
        self.name, self.limits, self.gauge = name, limits, gauge
        self.trying: Trying | None = None
        self.attempts = 0
        self.queued_since: float | None = None
        self.queued_seconds = 0.0
        self.waiting_after: Fault | None = None
        self.now = asyncio.get_running_loop().time
        self.started = self.now()
        self.ends: float | None = None

    def mark_queued(self, queued: bool) -> None:
        now = self.now()
        if self.queued_since is not None:
            self.queued_seconds += now - self.queued_since
        self.queued_since = now if queued else None
        if self.trying is not None:
            self.trying.mark_queued(queued)

    def _mostly_queued(self) -> bool:
        self.mark_queued(self.queued_since is not None)
        return self.queued_seconds > self.limits.seconds / 2

    def failed(self, fault: Fault) -> CallFailed:
        seconds = self.now() - self.started
        failure = CallFailure(fault.kind, fault.sentence, self.attempts, round(seconds, 3))
        return CallFailed(self.name, failure, fault.transient)

    async def until_answered(self, module: Askable, inputs: Mapping[str, Any]) -> Any:
        try:
            async with asyncio.timeout(self.limits.seconds) as deadline:
                self.ends = deadline.when()
                return await self._admitted(module, inputs, deadline)
        except TimeoutError as error:
            raise self.failed(self._out_of_time()) from error
        except CircuitOpen as error:
            raise self.failed(translate(error)) from error

    async def _admitted(self, module: Askable, inputs: Mapping[str, Any], deadline: asyncio.Timeout) -> Any:
        admission = await breaker_of(module, inputs).admit()
        failed: bool | None = None
        try:
            answer = await self._tries(module, inputs, deadline)
            failed = False
            return answer
        except CallFailed as error:
            failed = error.transient
            raise
        except asyncio.CancelledError:
            # The deadline arrives as a cancellation. It speaks against the model only when the model had most of it.
            out_of_time = self.now() >= (deadline.when() or 0.0)
            failed = True if out_of_time and not self._mostly_queued() else None
            raise
        finally:
            admission.settle(failed)

    def _out_of_time(self) -> Fault:
        # Out of time between two tries: then the reason is what the last one met, not the clock.
        if self.waiting_after is not None:
            return self.waiting_after
        where = ", waiting for other calls to end" if self._mostly_queued() else ""
        waited = f"timed out after {self.limits.seconds:g} s{where}"
        return Fault(FailureKind.TIMED_OUT, waited, transient=True)

    async def _tries(self, module: Askable, inputs: Mapping[str, Any], deadline: asyncio.Timeout) -> Any:
        while True:
            self.attempts += 1
            try:
                with self.gauge.trying() as self.trying:
                    return await module.acall(**inputs)
            except Exception as error:  # noqa: BLE001 - the one place where a module's errors become failures
                fault = translate(error)
                self._log(fault, error)
                await self._wait_or_fail(fault, error, deadline)

    def _log(self, fault: Fault, error: Exception) -> None:
        what = {"call": self.name, "kind": fault.kind.value, "attempt": self.attempts, "error": type(error).__name__}
        if fault.unforeseen:
            log.error("call.broke", **what, at=_places(error))
        else:
            log.info("call.failed", **what)

    async def _wait_or_fail(self, fault: Fault, error: Exception, deadline: asyncio.Timeout) -> None:
        retried = fault.transient or fault.kind in self.limits.also_retried
        if not retried or self.attempts >= self.limits.tries:
            raise self.failed(fault) from error
        delay = _delay(self.limits, self.attempts, fault)
        left = (deadline.when() or 0.0) - self.now()
        if delay >= left:
            raise self.failed(_without_time(fault, left)) from error
        self.waiting_after = fault
        await self.limits.sleep(delay)
        self.waiting_after = None


def _places(error: BaseException) -> list[str]:
    """Where an exception and its causes happened. Without their messages, which may quote prompts and keys."""
    places = []
    cause: BaseException | None = error
    while cause is not None:
        frames = [
            f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(cause.__traceback__)[-4:]
        ]
        places.append(f"{type(cause).__name__} at {' > '.join(frames)}")
        cause = cause.__cause__
    return places
