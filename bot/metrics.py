"""What happens in a process, counted for Prometheus, and the page that it is read from.

docs/operations.md says what each number tells. Labels are kinds out of short lists, never a channel, a person, a run or
anything that somebody wrote.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, assert_never, get_args

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from adapters.port import FrontEnd
from bot.census import FRESH_SECONDS, CensusTaker
from bot.metrics_now import Standing
from bot.stored import ENDED
from bot.watched import SENDS, WatchedFrontEnd
from bot.watching import (
    Happening,
    LoopLagged,
    PostOutcome,
    PostSettled,
    PostUnsure,
    RoundBegun,
    RoundEnded,
    SendEnded,
    TakenIn,
)
from teams.events import Team
from teams.gauges import ANSWERED
from teams.model import FailureKind

if TYPE_CHECKING:
    from bot.house import Open

INSTANTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds in seconds for what should take none; platforms want to hear within three."""

DELIVERIES = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Bounds in seconds until a post stands; it is tried for 900."""

ROUNDS = (1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1_200.0, 1_800.0)
"""Bounds in seconds for a round of a run."""


class Metrics:
    """The numbers of one process, in a registry of its own. What its database holds is counted at most every `fresh`
    seconds."""

    def __init__(self, fresh: float = FRESH_SECONDS) -> None:
        # The time at which each number began would be another series for each; they begin with the process.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._standing, self._fresh = Standing(), fresh
        counter = partial(Counter, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        self._begun = counter("panelist_rounds_begun", "Rounds of runs taken up, by start", ("team", "start"))
        self._ended = counter("panelist_rounds_ended", "Rounds of runs that are over", ("team", "ending"))
        self._seconds = histogram("panelist_round_seconds", "First start to end of a round", ("team",), buckets=ROUNDS)
        self._experts = counter("panelist_experts", "Seats of rounds that are over", ("team", "outcome"))
        self._posts = counter("panelist_posts", "Posts, roots included, that are settled", ("surface", "outcome"))
        self._lag = histogram(
            "panelist_delivery_lag_seconds", "From put to standing in the thread", ("surface",), buckets=DELIVERIES
        )
        self._unsure = counter("panelist_posts_ambiguous", "Posts found with a sending that has no end", ("surface",))
        self._sends = counter("panelist_sends", "Sends to a platform", ("surface", "what", "outcome"))
        self._send_seconds = histogram(
            "panelist_send_seconds", "How long a platform took for a send", ("surface",), buckets=INSTANTS
        )
        self._taken_in = histogram(
            "panelist_taken_in_seconds",
            "From taken in to safe, when it is acknowledged",
            ("surface",),
            buckets=INSTANTS,
        )
        self._refused = counter("panelist_not_taken_in", "Gestures that could not be made safe", ("surface",))
        self._loop_lag = histogram("panelist_loop_lag_seconds", "How late timers of the loop fire", buckets=INSTANTS)
        self._registry.register(self._standing)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._begin_with_teams()

    def watched(self, fronts: Mapping[str, FrontEnd]) -> dict[str, FrontEnd]:
        """The front ends, with what is sent to them counted."""
        self._standing.fronts = fronts
        for surface in fronts:
            self._begin_with(surface)
        return {name: WatchedFrontEnd(front, self.watch) for name, front in fronts.items()}

    def opened(self, house: "Open") -> None:
        """The house is open: its runs can be counted."""
        self._standing.house = house
        live = house.conductor.live
        self._standing.taker = CensusTaker(house.store, lambda: [round_id.run for round_id in live], fresh=self._fresh)

    def watch(self, what: Happening) -> None:
        """Count what happens."""
        match what:
            case RoundBegun(team, again):
                self._begun.labels(team, "again" if again else "first").inc()
            case RoundEnded():
                self._round_ended(what)
            case PostSettled(surface, outcome, seconds):
                self._posts.labels(surface, outcome).inc()
                if outcome != "not_shown":
                    self._lag.labels(surface).observe(seconds)
            case PostUnsure(surface):
                self._unsure.labels(surface).inc()
            case SendEnded(surface, sent, outcome, seconds):
                self._sends.labels(surface, sent, outcome).inc()
                self._send_seconds.labels(surface).observe(seconds)
            case TakenIn(surface, safe, seconds):
                self._taken_in.labels(surface).observe(seconds)
                if not safe:
                    self._refused.labels(surface).inc()
            case LoopLagged(seconds):
                self._loop_lag.observe(seconds)
            case _:
                assert_never(what)

    def _round_ended(self, round_: RoundEnded) -> None:
        self._ended.labels(round_.team, round_.ending).inc()
        self._seconds.labels(round_.team).observe(round_.seconds)
        self._experts.labels(round_.team, ANSWERED).inc(round_.answered)
        for kind in round_.failures:
            self._experts.labels(round_.team, kind.value).inc()

    @property
    def route(self) -> web.RouteDef:
        """Where Prometheus reads all this."""
        return web.get("/metrics", self._page)

    async def _page(self, _: web.Request) -> web.Response:
        await self._standing.take_census()
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"}
        return web.Response(body=generate_latest(self._registry), headers=headers)

    # A number that is missing until the first of its kind happens would hide that one: rates begin with the second.

    def _begin_with_teams(self) -> None:
        for team in get_args(Team):
            self._seconds.labels(team)
            for ending in ENDED:
                self._ended.labels(team, ending)
            for outcome in (ANSWERED, *FailureKind):
                self._experts.labels(team, str(outcome))
            for start in ("first", "again"):
                self._begun.labels(team, start)

    def _begin_with(self, surface: str) -> None:
        for labelled in (self._lag, self._unsure, self._send_seconds, self._taken_in, self._refused):
            labelled.labels(surface)
        for outcome in get_args(PostOutcome):
            self._posts.labels(surface, outcome)
        for sent in SENDS:
            for outcome in ("sent", "rate_limited"):
                self._sends.labels(surface, sent, outcome)
