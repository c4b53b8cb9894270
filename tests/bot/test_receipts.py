"""Budgets and receipts: never overspent by more than a call, and exactly what the providers told."""

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.receipts import UNKNOWN, Budgets, Ledger, Purse, RunReceipt, Tariff
from bot.rounds import RoundId
from teams.model import Source
from teams.prices import Price
from teams.usage import Usage
from tests.stores import BRIEF, DAY, NOON, SPEC, Clock

SEATS = tuple(f"expert:{seat.key}" for seat in SPEC.perspectives)
CHEAP = Price(1 / 1_000_000, 4 / 1_000_000)
TARIFF = Tariff("flash", "pro", {"flash": CHEAP, "pro": Price(1 / 1_000_000, 5 / 1_000_000)})
LIST = Tariff(
    "flash", "pro", {"flash": Price(0.3 / 1_000_000, 2.5 / 1_000_000), "pro": Price(1.25 / 1_000_000, 10 / 1_000_000)}
)
"""As models of 2026 cost."""


_numbers = itertools.count()


def opened(books: Ledger, brief=BRIEF) -> Purse:
    """The purse of another round."""
    return books.purse(RoundId(f"run-{next(_numbers)}", 1), brief)


def ledger(day: float = 0.0, run: float = 0.0, tariff: Tariff = TARIFF, **given) -> Ledger:
    return Ledger(tariff, Budgets(run, day), clock=given.pop("clock", Clock()), **given)


def cost_of(usage: Usage, tariff: Tariff = TARIFF) -> float:
    return tariff.prices[usage.model].of(usage.input_tokens, usage.output_tokens)


# Budgets


class Round:
    """One round of a run, played step by step: all experts side by side, then the synthesis of those that answered."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.purse = ledger, opened(ledger)
        self.to_ask, self.in_flight, self.asked, self.refused = list(SEATS), [], [], []
        self.synthesis = ""
        self.over = False

    def moves(self) -> list:
        """What may happen next."""
        if self.over:
            return []
        return [self.ask] * len(self.to_ask) + [self.answer] * len(self.in_flight) or [self.synthesise]

    def ask(self, draw: random.Random) -> None:
        step = self.to_ask.pop(draw.randrange(len(self.to_ask)))
        if self.purse.refusal(step) is None:
            self.in_flight.append(step)
            self.asked.append(step)
        else:
            self.refused.append(step)

    def answer(self, draw: random.Random) -> None:
        step = self.in_flight.pop(draw.randrange(len(self.in_flight)))
        self.purse.settle(step, self.used(step, "flash", draw))

    def synthesise(self, draw: random.Random) -> None:
        if self.asked:
            self.synthesis = "refused" if self.purse.refusal("synthesis") else "written"
            self.purse.settle("synthesis", self.used("synthesis", "pro", draw))
        self.purse.close()
        self.over = True

    def used(self, step: str, model: str, draw: random.Random) -> Usage:
        """What a call used: up to what was guessed for it, now and then just that."""
        guess = self.ledger.tariff.guess(step, BRIEF)
        share = draw.choice([0.0, draw.random(), 1.0])
        return Usage(model, 1, 0, int(guess * share / self.ledger.tariff.prices[model].output))


@pytest.mark.parametrize("day", [0.7, 1.0, 2.0, 1_000.0])
@pytest.mark.parametrize("seed", range(8))
def test_fault_44_fifty_runs_side_by_side_never_overspend_and_each_writes_its_synthesis(seed, day):
    draw = random.Random(seed)
    books = ledger(day=day)
    rounds = [Round(books) for _ in range(50)]
    while moving := [one for one in rounds if one.moves()]:
        one = draw.choice(moving)
        draw.choice(one.moves())(draw)
        assert books.today() <= day + 1e-9

    assert {one.synthesis for one in rounds if one.asked} <= {"written"}
    assert sum(len(one.asked) + len(one.refused) for one in rounds) == 150
    assert books.today() == pytest.approx(sum(one.purse.receipt.charged for one in rounds))
    assert books.fits(day - books.today() - 1e-9), "what was set aside is not free again"
    if day == 1_000.0:
        assert not any(one.refused for one in rounds)


def test_fault_44_a_budget_of_a_dollar_is_used_up_and_then_refuses():
    books = ledger(day=1.0)
    asked = refused = 0
    while not refused:
        one = Round(books)
        while moves := one.moves():
            # All ask before one answers, and each call takes what was guessed for it.
            moves[0](DEAR)
        asked, refused = asked + len(one.asked), refused + len(one.refused)
    assert 0.9 < books.today() <= 1.0
    assert asked > 60


class _Dear(random.Random):
    """Draws the most expensive course of things."""

    def choice(self, options):
        return options[-1]


DEAR = _Dear()


def test_fault_44_fifty_runs_that_begin_at_once_get_what_the_budget_has_room_for():
    books = ledger(day=1.0, tariff=LIST)
    purses = [opened(books, replace(BRIEF, panel=replace(SPEC, perspectives=SPEC.perspectives * 2))) for _ in range(50)]
    admitted = [step for purse in purses for step in SEATS if purse.refusal(step) is None]
    assert admitted, "the syntheses of fifty runs are set aside, so no expert is asked and nothing is spent at all"


def test_fault_44_a_refusal_says_which_budget_and_when_it_begins_anew():
    purse = opened(ledger(day=0.03))
    assert purse.refusal(SEATS[0]) is None
    assert purse.refusal(SEATS[1]) == "not asked: today's budget, $0.03, is used up until 00:00 UTC"
    purse = opened(ledger(run=0.03))
    assert purse.refusal(SEATS[0]) is None
    assert purse.refusal(SEATS[1]) == "not asked: the budget of a run, $0.03, has no room for another call"


def test_the_budget_of_a_run_is_for_that_run_alone_and_keeps_room_for_its_synthesis():
    books = ledger(run=0.03)
    for _ in range(3):
        purse = opened(books)
        assert purse.refusal(SEATS[0]) is None
        assert purse.refusal(SEATS[1]) is not None
        assert purse.refusal("synthesis") is None
        purse.settle(SEATS[0], Usage("flash", 1, 1_000, 2_000))
        purse.settle("synthesis", Usage("pro", 1, 4_500, 2_000))
        assert purse.receipt.charged <= 0.03


def test_what_a_call_did_not_use_of_its_guess_is_free_for_the_next():
    purse = opened(ledger(day=0.025))
    assert purse.refusal(SEATS[0]) is None
    assert purse.refusal(SEATS[1]) is not None
    purse.settle(SEATS[0], Usage("flash", 1, 10, 10))
    assert purse.refusal(SEATS[1]) is None


def test_what_a_round_set_aside_is_free_when_it_is_over_also_for_calls_that_never_ended():
    books = ledger(day=0.03)
    purse = opened(books)
    assert purse.refusal(SEATS[0]) is None
    assert not books.fits(0.02)
    purse.close()
    assert books.fits(0.03)
    assert books.today() == 0.0


def test_without_budgets_nothing_is_refused_and_all_is_counted():
    books = ledger()
    purse = opened(books)
    assert [purse.refusal(step) for step in (*SEATS, "synthesis")] == [None] * 4
    purse.settle(SEATS[0], Usage("flash", 1, 1_000_000, 1_000_000))
    assert books.today() == pytest.approx(5.0)
    assert not books.used_up


def test_a_day_is_used_up_when_all_of_it_is_spent_or_set_aside():
    books = ledger(day=0.03)
    assert not books.used_up
    purse = opened(books)
    purse.settle(SEATS[0], Usage("flash", 1, 5_000, 0))
    assert not books.used_up
    purse.settle(SEATS[1], Usage("flash", 1, 5_000, 0))
    assert books.used_up


def test_what_was_spent_before_the_process_began_counts():
    books = ledger(day=1.0, spent=0.995)
    assert opened(books).refusal(SEATS[0]) is not None
    assert books.today() == 0.995


def test_a_budget_begins_anew_at_midnight_utc_and_not_before():
    clock = Clock(NOON)
    books = ledger(day=1.0, spent=0.9, clock=clock)
    purse = opened(books)
    purse.settle(SEATS[0], Usage("flash", 1, 100_000, 0))
    assert books.used_up
    clock.now = NOON + DAY / 2 - 0.001
    assert books.used_up
    assert books.today() == pytest.approx(1.0)
    clock.now = NOON + DAY / 2
    assert not books.used_up
    assert books.today() == 0.0
    purse.settle(SEATS[1], Usage("flash", 1, 100_000, 0))
    assert books.today() == pytest.approx(0.1)
    assert purse.receipt.charged == pytest.approx(0.2)


def test_what_is_set_aside_stays_so_over_midnight():
    clock = Clock(NOON)
    books = ledger(day=0.03, clock=clock)
    purse = opened(books)
    assert purse.refusal(SEATS[0]) is None
    clock.now += DAY
    assert not books.fits(0.02)
    purse.close()
    assert books.fits(0.02)


def test_fault_20_a_clock_that_is_set_back_over_midnight_gives_no_second_budget():
    clock = Clock(NOON + DAY / 2 + 1)
    books = ledger(day=1.0, clock=clock)
    opened(books).settle(SEATS[0], Usage("flash", 1, 900_000, 0))
    for now in (NOON + DAY / 2 - 1, NOON + DAY / 2 + 2):
        clock.now = now
        books.today()
    assert books.today() == pytest.approx(0.9)


# Receipts

usages = st.builds(
    Usage,
    st.sampled_from(["flash", "pro"]),
    st.integers(0, 5),
    st.integers(0, 200_000),
    st.integers(0, 20_000),
)


@given(st.lists(usages, max_size=12))
def test_fault_44_a_receipt_is_the_exact_sum_of_what_the_providers_told(used):
    purse = opened(ledger())
    for number, usage in enumerate(used):
        purse.settle(f"expert:{number}", usage)
    receipt = purse.receipt
    assert receipt.calls == sum(usage.calls for usage in used)
    assert receipt.input_tokens == sum(usage.input_tokens for usage in used)
    assert receipt.output_tokens == sum(usage.output_tokens for usage in used)
    assert receipt.unmetered == 0
    assert receipt.cost == pytest.approx(sum(map(cost_of, used)), rel=1e-12, abs=0)
    assert receipt.charged == receipt.cost


def test_a_step_that_was_recorded_before_this_process_counts_like_any_other():
    books = ledger(day=1.0)
    purse = opened(books)
    purse.settle(SEATS[0], Usage("flash", 2, 1_000, 1_000))  # a replay: nobody asked whether it may
    assert purse.receipt == RunReceipt(2, 1_000, 1_000, pytest.approx(0.005), pytest.approx(0.005), 0)
    assert books.today() == pytest.approx(0.005)


def test_a_round_that_is_put_off_and_taken_up_again_is_charged_once_and_has_its_whole_receipt():
    books = ledger(day=1.0)
    round_id, used = RoundId("run", 1), Usage("flash", 1, 1_000, 1_000)
    for taken_up in range(3):
        purse = books.purse(round_id, BRIEF)
        for step in SEATS[: taken_up + 1]:
            purse.settle(step, used)
        purse.close()
    assert purse.receipt.calls == 3
    assert purse.receipt.charged == pytest.approx(0.015)
    assert books.today() == pytest.approx(0.015)
    books.forget(round_id)
    books.purse(RoundId("run", 2), BRIEF).settle(SEATS[0], used)
    assert books.today() == pytest.approx(0.020)


def test_fault_45_without_a_price_the_cost_is_unknown_and_a_high_one_is_charged():
    books = ledger(day=1.0, tariff=Tariff("flash", "nobody/knows", {"flash": CHEAP}))
    purse = opened(books)
    purse.settle(SEATS[0], Usage("flash", 1, 1_000, 1_000))
    assert purse.receipt.cost == pytest.approx(0.005)
    purse.settle("synthesis", Usage("nobody/knows", 1, 1_000, 1_000))
    assert purse.receipt.cost is None
    assert purse.receipt.charged == pytest.approx(0.005 + UNKNOWN.of(1_000, 1_000))
    assert books.today() == pytest.approx(purse.receipt.charged)
    purse.settle(SEATS[1], Usage("flash", 1, 1_000, 1_000))
    assert purse.receipt.cost is None, "once a part is unknown, so is the sum"
    assert (purse.receipt.input_tokens, purse.receipt.output_tokens) == (3_000, 3_000)


def test_fault_45_the_high_price_is_above_those_of_common_models():
    assert UNKNOWN.of(1_000_000, 0) == pytest.approx(15.0)
    assert UNKNOWN.of(0, 1_000_000) == pytest.approx(75.0)


@pytest.mark.parametrize("asked", [True, False])
def test_fault_45_calls_that_told_no_usage_are_charged_what_was_guessed_for_them(asked):
    books = ledger(day=1.0)
    purse = opened(books)
    guess = TARIFF.guess(SEATS[0], BRIEF)
    if asked:
        assert purse.refusal(SEATS[0]) is None
    purse.settle(SEATS[0], Usage("flash", 3, 1_000, 1_000, unmetered=2))
    assert (purse.receipt.calls, purse.receipt.unmetered) == (3, 2)
    assert purse.receipt.cost == pytest.approx(0.005)
    assert purse.receipt.charged == pytest.approx(0.005 + 2 * guess)
    assert books.today() == purse.receipt.charged


# Guesses


@pytest.mark.parametrize(
    ("step", "least"),
    [
        (SEATS[0], Usage("flash", 1, 500, 1_500)),
        ("synthesis", Usage("pro", 1, 3 * 1_000, 1_500)),
        ("synthesis:stand-in", Usage("pro", 1, 3 * 1_000, 1_500)),
    ],
)
def test_a_guess_is_above_what_such_a_call_usually_costs(step, least):
    assert TARIFF.guess(step, BRIEF) > cost_of(least)


def test_a_guess_grows_with_what_the_experts_are_given_to_read():
    long = replace(BRIEF, sources=(Source("long.md", "word " * 60_000),))
    more = TARIFF.guess(SEATS[0], long) - TARIFF.guess(SEATS[0], BRIEF)
    assert more > cost_of(Usage("flash", 1, 300_000 // 4, 0))


def test_a_seat_of_the_strong_model_is_guessed_at_its_price():
    tariff = Tariff("flash", "pro", {"flash": CHEAP, "pro": Price(CHEAP.input * 10, CHEAP.output * 10)})
    seats = tuple(replace(seat, tier="pro" if seat.key == "b" else "flash") for seat in SPEC.perspectives)
    brief = replace(BRIEF, panel=replace(SPEC, perspectives=seats))
    a, b, _ = (tariff.guess(step, brief) for step in SEATS)
    assert b == pytest.approx(10 * a)


def test_a_model_without_a_price_is_guessed_at_the_high_one():
    assert Tariff("x", "y").guess(SEATS[0], BRIEF) > 10 * TARIFF.guess(SEATS[0], BRIEF)


def test_a_purse_begins_with_what_a_synthesis_needs_set_aside_and_an_empty_receipt():
    books = ledger(day=1.0)
    purse = opened(books)
    aside = TARIFF.guess("synthesis", BRIEF) + SPEC.needed * TARIFF.guess(SEATS[0], BRIEF)
    assert purse.receipt == RunReceipt()
    assert not books.fits(1.0 - aside + 1e-9)
    assert books.fits(1.0 - aside - 1e-9)
