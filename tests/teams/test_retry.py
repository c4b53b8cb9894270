"""Retries: once, here, for what is transient, within one budget, never in step with one another."""

import asyncio

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams.breaker import Breaker
from teams.failures import CallFailed, CircuitOpen
from teams.model import FailureKind
from teams.retry import CallLimits, call_with_retry
from teams.scripted import played, scripted_lm

lm15 = dspy.lm15


class Flaky:
    """A module that raises what it is given, in order, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def acall(self, **_):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


class Sleeps:
    """A sleep that only remembers."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)


def server_error(**given):
    from dspy.utils.exceptions import LMServerError

    return LMServerError("CANARY", **{"status": 500} | given)


def limited(retry_after: float | None = None):
    from dspy.utils.exceptions import LMRateLimitError

    return LMRateLimitError("CANARY", status=429, retry_after=retry_after)


async def test_a_transient_error_is_tried_again_and_the_answer_stands():
    module, sleeps = Flaky(server_error(), server_error()), Sleeps()
    assert await call_with_retry(module, "x", limits=CallLimits(sleep=sleeps, draw=lambda: 1.0)) == "answer"
    assert sleeps.asked == [0.5, 1.0]


async def test_a_permanent_error_is_not_tried_again():
    from dspy.utils.exceptions import LMAuthError

    module = Flaky(LMAuthError("CANARY", status=401))
    with pytest.raises(CallFailed) as caught:
        await call_with_retry(module, "x")
    assert module.calls == caught.value.failure.attempts == 1
    assert "CANARY" not in str(caught.value)


async def test_fault_39_a_call_makes_at_most_its_tries_and_a_panel_at_most_three_each():
    module, sleeps = Flaky(*[server_error() for _ in range(50)]), Sleeps()
    with pytest.raises(CallFailed) as caught:
        await call_with_retry(module, "x", limits=CallLimits(sleep=sleeps))
    assert module.calls == caught.value.failure.attempts == 3


async def test_fault_39_dspy_adds_no_retry_of_its_own():
    async def fails(_):
        raise lm15.ServerError("no", status=500)

    lm = scripted_lm(fails)
    predictor = dspy.Predict("question -> answer")
    predictor.set_lm(lm)
    with pytest.raises(CallFailed):
        await call_with_retry(predictor, "x", limits=CallLimits(sleep=Sleeps()), question="q")
    assert len(played(lm).asked) == 3


async def test_retry_after_is_honoured_while_it_fits():
    module, sleeps = Flaky(limited(retry_after=7)), Sleeps()
    await call_with_retry(module, "x", limits=CallLimits(sleep=sleeps, draw=lambda: 0.0))
    assert sleeps.asked == [7.0]


async def test_a_retry_after_beyond_the_time_left_fails_at_once():
    module, sleeps = Flaky(limited(retry_after=120)), Sleeps()
    with pytest.raises(CallFailed) as caught:
        await call_with_retry(module, "x", limits=CallLimits(seconds=60, sleep=sleeps))
    assert sleeps.asked == []
    assert caught.value.failure.kind is FailureKind.RATE_LIMITED
    assert caught.value.failure.sentence.endswith("it asks to wait 120 s and 60 s were left")


@given(st.integers(1, 12), st.floats(0, 1, exclude_max=True))
def test_delays_are_jittered_and_bounded(tries, drawn):
    sleeps = Sleeps()
    module = Flaky(*[server_error() for _ in range(20)])
    limits = CallLimits(seconds=1e6, tries=tries, draw=lambda: drawn, sleep=sleeps)
    with pytest.raises(CallFailed):
        asyncio.run(call_with_retry(module, "x", limits=limits))
    for attempt, slept in enumerate(sleeps.asked):
        assert 0 <= slept <= min(limits.longest_delay, limits.first_delay * 2**attempt)


async def test_the_deadline_bounds_all_tries_together():
    class Hangs:
        async def acall(self, **_):
            await asyncio.Event().wait()

    with pytest.raises(CallFailed) as caught:
        await call_with_retry(Hangs(), "x", limits=CallLimits(seconds=0.05))
    assert (caught.value.failure.kind, caught.value.failure.sentence) == ("timed_out", "timed out after 0.05 s")
    assert caught.value.failure.attempts == 1


async def test_out_of_time_between_two_tries_the_reason_is_what_the_last_one_met():
    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    with pytest.raises(CallFailed) as caught:
        await call_with_retry(
            Flaky(server_error()), "x", limits=CallLimits(seconds=0.6, draw=lambda: 0.1, sleep=forever)
        )
    failure = caught.value.failure
    assert (failure.kind, failure.sentence) == ("unavailable", "the model's server failed (500)")


async def test_cancellation_passes_through():
    class Hangs:
        async def acall(self, **_):
            await asyncio.Event().wait()

    task = asyncio.create_task(call_with_retry(Hangs(), "x"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_unreadable_answer_is_tried_again_only_where_the_limits_say_so():
    async def junk(_):
        return "no fields at all"

    lm = scripted_lm(junk)
    predictor = dspy.Predict("question -> answer, reason")
    predictor.set_lm(lm)
    for also, tries in ((frozenset(), 1), (frozenset({FailureKind.UNREADABLE}), 3)):
        before = len(played(lm).asked)
        with dspy.context(adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)), pytest.raises(CallFailed):
            limits = CallLimits(sleep=Sleeps(), also_retried=also)
            await call_with_retry(predictor, "x", limits=limits, question="q")
        assert len(played(lm).asked) - before == tries


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        (await breaker.admit()).settle(failed=True)


async def test_fault_39_the_circuit_opens_after_five_failed_calls_and_one_probe_closes_it():
    clock = Clock()
    breaker = Breaker(clock=clock)
    await fail(breaker, 5)
    with pytest.raises(CircuitOpen):
        await breaker.admit()

    clock.now = 31
    probe = await breaker.admit()
    others = [asyncio.create_task(breaker.admit()) for _ in range(5)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in others)
    probe.settle(failed=False)
    assert [admission.probe for admission in await asyncio.gather(*others)] == [None] * 5


async def test_the_circuit_stays_closed_for_failures_far_apart_or_broken_by_an_answer():
    clock = Clock()
    breaker = Breaker(clock=clock)
    for _ in range(20):
        await fail(breaker, 1)
        clock.now += 16
    await fail(breaker, 1)
    (await breaker.admit()).settle(failed=False)
    await fail(breaker, 4)
    await breaker.admit()


async def test_a_failed_probe_keeps_the_circuit_open_for_all_who_waited():
    clock = Clock()
    breaker = Breaker(clock=clock)
    await fail(breaker, 5)
    clock.now = 31
    probe = await breaker.admit()
    waiting = asyncio.create_task(breaker.admit())
    await asyncio.sleep(0)
    probe.settle(failed=True)
    with pytest.raises(CircuitOpen):
        await waiting


async def test_only_the_probe_says_whether_the_model_is_well_again():
    clock = Clock()
    breaker = Breaker(clock=clock)
    older = [await breaker.admit() for _ in range(3)]
    await fail(breaker, 5)
    for admission, outcome in zip(older, (False, None, True), strict=True):
        admission.settle(failed=outcome)
    with pytest.raises(CircuitOpen):
        await breaker.admit()

    clock.now = 31
    cancelled = await breaker.admit()
    cancelled.settle(failed=None)
    assert (await breaker.admit()).probe is not None


async def test_fault_39_a_dead_model_is_left_alone_after_one_panel():
    async def fails(_):
        raise lm15.ServerError("no", status=500)

    lm = scripted_lm(fails)
    predictor = dspy.Predict("question -> answer")
    predictor.set_lm(lm)
    limits = CallLimits(sleep=Sleeps())
    for _ in range(5):
        with pytest.raises(CallFailed):
            await call_with_retry(predictor, "x", limits=limits, question="q")
    asked = len(played(lm).asked)

    with pytest.raises(CallFailed) as caught:
        await call_with_retry(predictor, "x", limits=limits, question="q")
    assert len(played(lm).asked) == asked == 15
    assert caught.value.failure.attempts == 0
    assert caught.value.failure.kind is FailureKind.UNAVAILABLE
