"""Receipts and budgets: what a run consumed, what that cost, and when no further call is begun.

A budget is kept by reservation: before a call its cost is guessed high and set aside, after it what it did cost is
taken instead. So runs side by side cannot all spend the last dollar; the synthesis of every run is set aside first, so
that what was paid for is still brought together.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.brief import Brief
from bot.rounds import RoundId
from teams.prices import Price
from teams.usage import Usage

UNKNOWN = Price(15 / 1_000_000, 75 / 1_000_000)
"""What a token is charged against a budget where no price is known: more than common models cost in 2026."""

EXPERT_TOKENS = (1_000, 2_000)
"""Tokens guessed for an expert's call: its instructions going in, beside the inputs, and its answer."""

SYNTHESIS_TOKENS = (1_500, 2_000)
"""The same for the synthesis, going in once for each answer."""

CHARACTERS_PER_TOKEN = 3
"""Fewer than the usual four, so that the guess is high."""


@dataclass(frozen=True, slots=True)
class RunReceipt:
    """What the model calls of a run consumed. `cost` in US dollars is None where a price is not known; calls that told
    no usage (`unmetered`) are not in it. `charged` is what counts against budgets: unknown costs are guessed high."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    charged: float = 0.0
    unmetered: int = 0

    def plus(self, usage: Usage, price: Price | None, guess: float) -> "RunReceipt":
        """This receipt and one step more. `guess` is what a call is charged that told no usage."""
        metered = (price or UNKNOWN).of(usage.input_tokens, usage.output_tokens)
        known = price is not None or usage.calls == usage.unmetered
        return RunReceipt(
            self.calls + usage.calls,
            self.input_tokens + usage.input_tokens,
            self.output_tokens + usage.output_tokens,
            self.cost + (metered if price else 0.0) if known and self.cost is not None else None,
            self.charged + metered + usage.unmetered * guess,
            self.unmetered + usage.unmetered,
        )


@dataclass(frozen=True, slots=True)
class Budgets:
    """US dollars that may be spent; 0 is no limit."""

    run: float = 0.0
    day: float = 0.0


@dataclass(frozen=True, slots=True)
class Tariff:
    """The models of the two tiers, and what is known of prices by model."""

    flash: str = ""
    pro: str = ""
    prices: Mapping[str, Price] = field(default_factory=dict)

    def guess(self, step: str, brief: Brief) -> float:
        """What the call of a step may cost, guessed high."""
        seats = brief.panel.perspectives if brief.panel else ()
        if step.startswith("synthesis"):
            into, out = SYNTHESIS_TOKENS
            return self._of(self.pro).of(into * max(len(seats), 1), out)
        dear = any(seat.tier == "pro" and step == f"expert:{seat.key}" for seat in seats)
        inputs = brief.inputs if brief.team == "panel" else None
        given = brief.topic if inputs is None else f"{inputs.topic}{inputs.research_docs}{inputs.entity_profile}"
        into, out = EXPERT_TOKENS
        return self._of(self.pro if dear else self.flash).of(into + len(given) // CHARACTERS_PER_TOKEN, out)

    def _of(self, model: str) -> Price:
        return self.prices.get(model, UNKNOWN)


class Ledger:
    """What the runs of this process may still spend today. `spent` is what was spent before it began."""

    def __init__(
        self,
        tariff: Tariff = Tariff(),
        budgets: Budgets = Budgets(),
        spent: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tariff, self.budgets = tariff, budgets
        self._spent, self._reserved, self._clock = spent, 0.0, clock
        self._day = int(clock() // 86_400)
        # Steps of rounds under way that were spent: a round that is put off and taken up again here spends none twice.
        self._counted: dict[RoundId, set[str]] = {}
        self._under_way: dict[RoundId, float] = {}

    def purse(self, round_id: RoundId, brief: Brief, *, begun: bool = False) -> "Purse":
        """The purse of one round of a run; close it when the round ends here, and `forget` it when it is over. For one
        that was `begun` before something is paid already, so its synthesis is not refused."""
        return Purse(self, round_id, brief, self._counted.setdefault(round_id, set()), begun=begun)

    def forget(self, round_id: RoundId) -> None:
        """The round is over: none of its steps comes again."""
        self._counted.pop(round_id, None)
        self._under_way.pop(round_id, None)

    @property
    def used_up(self) -> bool:
        """Whether nothing is left of today's budget."""
        return bool(self.budgets.day) and self.today() + self._reserved >= self.budgets.day

    def today(self) -> float:
        """What was spent today, in UTC."""
        # A clock that is set back begins no day twice.
        if (day := int(self._clock() // 86_400)) > self._day:
            self._day, self._spent = day, 0.0
        return self._spent

    def fits(self, amount: float) -> bool:
        """Whether today's budget has room for so much more."""
        return not self.budgets.day or self.today() + self._reserved + amount <= self.budgets.day

    def reserve(self, amount: float) -> None:
        """Set so much aside, or release it where it is negative."""
        self._reserved += amount

    def spend(self, amount: float, round_id: RoundId) -> None:
        """Count what a round spent that is under way."""
        self.today()
        self._spent += amount
        self._under_way[round_id] = self._under_way.get(round_id, 0.0) + amount

    @property
    def open(self) -> float:
        """What the rounds under way here have spent, and what is set aside for them."""
        return self._reserved + sum(self._under_way.values())

    def told(self, charged: float, elsewhere: float) -> None:
        """What all rounds that ended today are charged, and what is `open` in other processes."""
        self.today()
        self._spent = charged + elsewhere + sum(self._under_way.values())


class Purse:
    """What one round of a run may spend, and what it did."""

    def __init__(self, ledger: Ledger, round_id: RoundId, brief: Brief, counted: set[str], *, begun: bool) -> None:
        self._ledger, self._round_id, self._brief, self._counted = ledger, round_id, brief, counted
        self.receipt = RunReceipt()
        self._guesses: dict[str, float] = {}
        self._aside = 0.0
        # Set aside from the start: the synthesis, and as many experts as it needs. Else of many runs that begin at once
        # each would hold the money for a synthesis, and none would have any for an expert.
        first = ledger.tariff.guess("expert", brief)
        synthesis, experts = ledger.tariff.guess("synthesis", brief), first * (brief.panel.needed if brief.panel else 1)
        self._no_run = None if begun or ledger.fits(synthesis + experts) else self._day_used_up()
        self._pot = 0.0 if self._no_run else experts
        if self._no_run is None:
            self._set_aside(synthesis + experts)

    def asked_for(self, brief: Brief) -> None:
        """Guess calls by this brief from now on: its documents came later."""
        self._brief = brief

    def refusal(self, step: str) -> str | None:
        """Why the call of a step is not begun, or None when it is: then its cost is set aside until `settle`."""
        guess = self._ledger.tariff.guess(step, self._brief)
        refusal = self._no_run
        if refusal is None and not step.startswith("synthesis"):
            refusal = self._taken(guess)
        if refusal is None:
            self._guesses[step] = guess
        return refusal

    def _taken(self, guess: float) -> str | None:
        """Set the cost of an expert's call aside, from what was set aside for experts if there is some. Or why not."""
        budget = self._ledger.budgets.run
        if budget and self.receipt.charged + self._aside - self._pot + guess > budget:
            return f"not asked: the budget of a run, ${budget:.2f}, has no room for another call"
        from_pot = min(self._pot, guess)
        if not self._ledger.fits(guess - from_pot):
            return self._day_used_up()
        self._pot -= from_pot
        self._set_aside(guess - from_pot)
        return None

    def _day_used_up(self) -> str:
        return f"not asked: today's budget, ${self._ledger.budgets.day:.2f}, is used up until 00:00 UTC"

    def settle(self, step: str, usage: Usage, *, last: bool = True) -> None:
        """Count what the call of a step consumed, also one that was recorded before this process began. Not the `last`
        of the step: it was cut off, and may be made again."""
        tariff = self._ledger.tariff
        guess = self._guesses.pop(step, None)
        if guess is not None and not step.startswith("synthesis"):
            self._set_aside(-guess)
        before = self.receipt.charged
        per_call = guess if guess is not None else tariff.guess(step, self._brief)
        self.receipt = self.receipt.plus(usage, tariff.prices.get(usage.model), per_call)
        if step not in self._counted:
            self._ledger.spend(self.receipt.charged - before, self._round_id)
        if last:
            self._counted.add(step)

    def close(self) -> None:
        """Release what is set aside."""
        self._set_aside(-self._aside)

    def _set_aside(self, amount: float) -> None:
        self._aside += amount
        self._ledger.reserve(amount)
