"""What calls come to is counted by tier: whatever ends them, and wherever they wait."""

import asyncio

import pytest
from dspy.utils.exceptions import LMAuthError, LMRateLimitError, LMTransportError

from teams.fanout import asked
from teams.gauges import Gauge, Trying, gauge_of, gauges, of_tier
from teams.lms import forget_lms, get_flash_lm, get_pro_lm, use_models
from teams.model import FailureKind
from teams.retry import CallLimits, call_with_retry, mark_queued
from teams.tiers import ModelChoice, Models


async def at_once(_: float) -> None:
    return None


def counted(numbers: dict[str, float]) -> dict[str, float]:
    """Those that are not zero."""
    return {outcome: number for outcome, number in numbers.items() if number}


LIMITS = CallLimits(seconds=30, tries=3, sleep=at_once)


class Model:
    """Gives, or raises, one outcome a try; a callable is awaited."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)

    async def acall(self, **_: object) -> object:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return await outcome() if callable(outcome) else outcome


class Name:
    """Stands for a model: something that tiers are known of."""


@pytest.fixture
def lm() -> Name:
    return of_tier(Name(), "pro")


@pytest.fixture
def gauge(lm) -> Gauge:
    """The gauge of a tier as it is when nothing was counted yet."""
    gauge = gauge_of(lm)
    for numbers in (gauge.calls, gauge.tries, gauge.seconds):
        numbers.update(dict.fromkeys(numbers, 0))
    assert (gauge.in_flight, gauge.queued) == (0, 0)
    return gauge


async def test_a_call_that_is_answered_at_its_third_try_is_one_call_and_three_tries(lm, gauge):
    busy, down = LMRateLimitError("later"), LMTransportError("no way")
    assert await call_with_retry(Model(busy, down, "yes"), "call", limits=LIMITS, lm=lm) == "yes"
    assert counted(gauge.calls) == {"answered": 1}
    assert counted(gauge.tries) == {"rate_limited": 1, "unavailable": 1, "answered": 1}
    assert gauge.seconds["answered"] > 0


async def test_a_call_that_fails_for_good_counts_under_its_kind(lm, gauge):
    failure = await asked(Model(LMAuthError("no")), "call", limits=LIMITS, lm=lm)
    assert counted(gauge.calls) == {failure.kind.value: 1} == {"refused": 1}
    assert counted(gauge.tries) == {"refused": 1}


async def test_a_call_that_is_out_of_time_is_timed_out_and_its_try_cancelled(lm, gauge):
    await asked(Model(asyncio.Event().wait), "call", limits=CallLimits(seconds=0.01), lm=lm)
    assert counted(gauge.calls) == {"timed_out": 1}
    assert counted(gauge.tries) == {"cancelled": 1}
    assert (gauge.in_flight, gauge.queued) == (0, 0)


async def test_a_call_that_is_stopped_from_outside_is_cancelled(lm, gauge):
    task = asyncio.create_task(call_with_retry(Model(asyncio.Event().wait), "call", limits=LIMITS, lm=lm))
    await asyncio.sleep(0)
    assert gauge.in_flight == 1
    task.cancel()
    await asyncio.wait({task})
    assert (gauge.in_flight, counted(gauge.calls), counted(gauge.tries)) == (0, {"cancelled": 1}, {"cancelled": 1})


async def test_a_try_that_waits_for_a_slot_of_ours_is_queued_and_not_in_flight(lm, gauge):
    slot, answer = asyncio.Event(), asyncio.Event()

    async def waits() -> str:
        mark_queued(True)
        await slot.wait()
        mark_queued(False)
        await answer.wait()
        return "yes"

    task = asyncio.create_task(call_with_retry(Model(waits), "call", limits=LIMITS, lm=lm))
    await asyncio.sleep(0)
    assert (gauge.queued, gauge.in_flight) == (1, 0)
    slot.set()
    await asyncio.sleep(0)
    assert (gauge.queued, gauge.in_flight) == (0, 1)
    answer.set()
    assert await task == "yes"
    assert (gauge.queued, gauge.in_flight) == (0, 0)


async def test_a_deadline_that_strikes_in_the_queue_leaves_nobody_in_it(lm, gauge):
    async def waits() -> None:
        mark_queued(True)
        await asyncio.Event().wait()

    await asked(Model(waits), "call", limits=CallLimits(seconds=0.01), lm=lm)
    assert (gauge.queued, gauge.in_flight, counted(gauge.calls)) == (0, 0, {"timed_out": 1})


async def test_between_two_tries_nothing_is_in_flight(lm, gauge):
    seen = []

    async def between(_: float) -> None:
        seen.append((gauge.in_flight, gauge.queued))

    limits = CallLimits(sleep=between)
    await call_with_retry(Model(LMRateLimitError("later"), "yes"), "call", limits=limits, lm=lm)
    assert seen == [(0, 0)]


def test_a_try_that_is_over_is_not_queued_again():
    gauge = Gauge()
    with gauge.trying() as trying:
        trying.mark_queued(True)
        trying.mark_queued(True)
        assert (gauge.queued, gauge.in_flight) == (1, 0)
    trying.mark_queued(True)
    assert (trying.state, gauge.queued, gauge.in_flight) == ("over", 0, 0)
    assert isinstance(trying, Trying)


def test_a_model_that_has_no_tier_counts_as_other():
    assert gauge_of(None) is gauge_of(Name()) is gauges()["other"]


async def test_the_two_models_of_the_process_count_under_their_tiers():
    await forget_lms()
    use_models(Models(ModelChoice("mock", api_base="http://127.0.0.1:1/v1"), ModelChoice("openai/gpt-5")))
    try:
        assert gauge_of(get_flash_lm()) is gauges()["flash"]
        assert gauge_of(get_pro_lm()) is gauges()["pro"]
    finally:
        await forget_lms()


def test_every_outcome_is_there_from_the_start_so_that_rates_see_the_first():
    assert set(Gauge().calls) == set(Gauge().tries) == {"answered", "cancelled", *(kind.value for kind in FailureKind)}
