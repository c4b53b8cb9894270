"""Events pour in while every model hangs: how soon they are acknowledged, over a socket and over HTTP.

Slack waits three seconds. It is measured where it counts: in the fake Slack, from the delivery to the acknowledgement.
An event is acknowledged once its run is committed, so these are acknowledgements of runs that are safe.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.processes import HouseProcess, slack_house
from bench.rows import Figure, Options, Row, percentile
from bench.slack_house import SlackHouse
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_limits import Limits
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import HOME, Channel, User

CASE = "ack"
TARGET_MS = 500.0
"""Milliseconds in which 99 of 100 events are to be acknowledged."""

PER_SECOND = 50
WARMUPS = 10
"""Events delivered before it is measured: the first of a process load what the others find loaded."""

IN_FLIGHT = 200
"""Runs under way at once, as the settings have it by default. The others wait in line; they are acknowledged alike, and
each asker is told so."""

LATENCY = 0.1
"""Seconds that the fake takes for a call."""

SLACK_SECONDS, PATIENCE = 3.0, 30.0
"""How long Slack waits for an acknowledgement, and how long this does."""

Kind = Literal["command", "mention"]
TRANSPORTS = ("socket", "http")


@dataclass(slots=True)
class _Office:
    """The fake Slack with its channels and people, the house behind it, and how long acknowledgements took in
    milliseconds; none for an event that was not acknowledged."""

    slack: FakeSlack
    house: HouseProcess
    channels: list[Channel]
    people: list[User]
    taken: list[tuple[Kind, float | None]] = field(default_factory=list)

    async def deliver(self, number: int) -> None:
        """Every other one is a mention."""
        kind: Kind = "mention" if number % 2 else "command"
        channel, person = self.channels[number // 2 % len(self.channels)], self.people[number % len(self.people)]
        gesture, topic = self.slack.gesture(person, channel), f"Question {number:05d}: should we open on Sundays?"
        if kind == "mention":
            said = self.slack.say(person.id, channel.id, f"<@{HOME.bot_user_id}> panel {topic}")
            payload = payloads.app_mention(gesture, said)
        else:
            payload = payloads.slash_command(gesture, topic)
        began = time.perf_counter()
        acknowledged = await (self._over_http(kind, payload) if self.house.events else self._over_socket(kind, payload))
        self.taken.append((kind, (time.perf_counter() - began) * 1000 if acknowledged else None))

    async def _over_socket(self, kind: Kind, payload: dict[str, Any]) -> bool:
        of_type: Any = "slash_commands" if kind == "command" else "events_api"
        return await self.slack.send_envelope(payload, type=of_type, timeout=PATIENCE) is not None

    async def _over_http(self, kind: Kind, payload: dict[str, Any]) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                of_kind: Any = "command" if kind == "command" else "event"
                return (await self.slack.deliver(self.house.events, payload, of_kind)).status == 200
        except TimeoutError:
            return False

    async def pour(self, first: int, events: int) -> float:
        """Deliver so many at their pace, whatever becomes of those before; how late the latest was, in ms."""
        began, late = time.perf_counter(), 0.0
        async with asyncio.TaskGroup() as group:
            for number in range(events):
                due = began + number / PER_SECOND
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                late = max(late, time.perf_counter() - due)
                group.create_task(self.deliver(first + number))
        return late * 1000


async def run(options: Options) -> list[Row]:
    """A fresh house for each transport, one after the other; CPU is that of its process alone."""
    return [Row(CASE, str(PER_SECOND), transport, await _measured(transport, options)) for transport in TRANSPORTS]


async def _measured(transport: str, options: Options) -> dict[str, Figure]:
    async with FakeSlack() as slack:
        slack.limits, slack.latency = Limits.real(), LATENCY
        channels = [Channel(f"C{number:05d}", f"channel{number}") for number in range(20)]
        people = [User(f"U{number:05d}", f"person{number}") for number in range(100)]
        slack.add(*channels, *people)
        door = {"app_token": slack.app_token} if transport == "socket" else {"signing_secret": slack.signing_secret}
        async with slack_house(SlackHouse(slack.url, HOME.token, hangs=True, in_flight=IN_FLIGHT, **door)) as house:
            office = _Office(slack, house, channels, people)
            await office.pour(0, WARMUPS)
            office.taken.clear()
            before, events, began = await house.figures(), round(options.seconds * PER_SECOND), time.perf_counter()
            late = await office.pour(WARMUPS, events)
            wall, after = time.perf_counter() - began, await house.figures()
    return _figures(office.taken, before, after) | {
        "cpu_share": round((after["cpu_s"] - before["cpu_s"]) / wall, 3),
        "lag_p99_ms": round(after["lag_p99_ms"], 1),
        "peak_rss_mb": round(after["peak_rss_mb"], 1),
        "delivered_late_max_ms": round(late, 1),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def _figures(
    taken: list[tuple[Kind, float | None]], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Figure]:
    in_time = [ms for _, ms in taken if ms is not None]
    times = in_time or [float("inf")]
    p99, started = percentile(times, 0.99), after["statuses"].get("running", 0)
    accepted = sum(after["statuses"].values()) - sum(before["statuses"].values())
    kept = {
        "ack": p99 <= TARGET_MS,
        "acknowledged": len(in_time) == len(taken),
        "late": max(times) <= SLACK_SECONDS * 1000,
        "accepted": accepted == len(taken),
    }
    return {
        "events": len(taken),
        "acknowledged": len(in_time),
        "over_3_s": sum(ms > SLACK_SECONDS * 1000 for ms in in_time),
        "runs_accepted": accepted,
        "runs_under_way": started,
        "runs_in_line": after["statuses"].get("accepted", 0),
        "p50_ms": round(percentile(times, 0.5), 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(max(times), 1),
        "command_p99_ms": _p99_of("command", taken),
        "mention_p99_ms": _p99_of("mention", taken),
        "target_p99_ms": TARGET_MS,
        "verdict": "ok" if all(kept.values()) else "short",
        "short_of": ", ".join(name for name, held in kept.items() if not held),
    }


def _p99_of(kind: Kind, taken: list[tuple[Kind, float | None]]) -> float | None:
    times = [ms for each, ms in taken if each == kind and ms is not None]
    return round(percentile(times, 0.99), 1) if times else None
