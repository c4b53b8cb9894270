"""How a process stands when it is asked, as numbers for Prometheus: what is under way, and what its database holds."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.port import FrontEnd, FrontEndFailed
from bot.census import Census, CensusTaker
from teams.gauges import gauges

if TYPE_CHECKING:
    from bot.house import Open

OF_CALLS = ("tier", "outcome")


class Standing(Collector):
    """Collects it. `fronts`, `house` and `taker` are set once they are there; what they would tell is absent before."""

    def __init__(self) -> None:
        self.fronts: Mapping[str, FrontEnd] = {}
        self.house: Open | None = None
        self.taker: CensusTaker | None = None
        self._census: Census | None = None

    async def take_census(self) -> None:
        """Ask the database, for the next `collect`. It takes as long as `CensusTaker` waits, at most."""
        self._census = None if self.taker is None else await self.taker.census()

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        yield _by("version", "panelist_info", "The program", [(version("panelist"), 1)])
        ready = [(name, _is_ready(front)) for name, front in self.fronts.items()]
        yield _by("surface", "panelist_front_end_ready", "Whether a front end is connected", ready)
        yield from _of_models()
        if self.house is not None:
            yield from _of_house(self.house)
            yield _gauge("panelist_database_up", "Whether the run database answers", self._census is not None)
        if self._census is not None:
            yield from _of_database(self._census)


def _of_models() -> Iterator[Metric]:
    by_tier = gauges().items()
    in_flight = [(tier, gauge.in_flight) for tier, gauge in by_tier]
    yield _by("tier", "panelist_model_calls_in_flight", "Tries of calls that a model has", in_flight)
    queued = [(tier, gauge.queued) for tier, gauge in by_tier]
    yield _by("tier", "panelist_model_calls_queued", "Tries of calls that wait for a slot of ours", queued)
    calls = CounterMetricFamily("panelist_model_calls", "Calls that are over, all tries as one", labels=OF_CALLS)
    seconds = CounterMetricFamily("panelist_model_call_seconds", "Seconds they took, waits and all", labels=OF_CALLS)
    tries = CounterMetricFamily("panelist_model_tries", "Tries of calls that are over", labels=OF_CALLS)
    for tier, gauge in by_tier:
        for family, numbers in ((calls, gauge.calls), (seconds, gauge.seconds), (tries, gauge.tries)):
            for outcome, number in numbers.items():
                family.add_metric((tier, outcome), number)
    yield from (calls, seconds, tries)


def _of_house(house: "Open") -> Iterator[Metric]:
    yield _gauge("panelist_rounds_in_flight", "Rounds that this process is at", len(house.conductor.live))
    yield _gauge("panelist_rounds_waiting", "Rounds that wait for room", house.line.waiting)
    yield _gauge("panelist_spent_today_dollars", "Charged since 00:00 UTC", house.ledger.today())
    yield _gauge("panelist_budget_day_dollars", "What a day may cost; 0 is no limit", house.ledger.budgets.day)


def _of_database(census: Census) -> Iterator[Metric]:
    yield _by("state", "panelist_open_runs", "Runs in the database that are not over", census.open_runs.items())
    yield _gauge("panelist_posts_stuck", "Posts of this process' runs sending for over a minute", census.stuck)
    if census.takeovers is not None:
        yield _gauge("panelist_takeovers_last_hour", "Runs taken over from other workers", census.takeovers)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _by(label: str, name: str, what: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=(label,))
    for given, value in values:
        family.add_metric((given,), value)
    return family


def _is_ready(front: FrontEnd) -> bool:
    try:
        return front.health().ready
    except FrontEndFailed:
        return False
