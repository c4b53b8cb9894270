"""How soon an expert's answer is read: from when it leaves the model to when its post reaches Slack.

The mock model writes into each answer when it left, and the fake Slack, in this process, knows when each call came;
both go by one clock. The whole house is between them. Every panel has a channel of its own and posts go out as fast as
they come, so that it is not the pace of a channel that is measured; boards keep theirs.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp

from bench.peers.measuring import EXPERTS
from bench.processes import model_server, slack_house
from bench.rows import Figure, Options, Row, percentile
from bench.slack_house import SlackHouse
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_limits import REAL, Limits
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import HOME, Call, Channel, User

CASE = "first_answer"
SIZES = (1, 100)
"""Panels in flight, where `--sizes` says nothing."""

TARGETS_MS = {1: 150.0, 100: 400.0}
"""Milliseconds within which 99 of 100 answers are to be posted."""

ALONE, ALONE_SECONDS = 30, 0.5
"""Panels asked one after the other, and how far apart their answers may lie."""

SPREAD_SECONDS = 10.0
"""Over how long the starts of many panels are spread, and the answers of each."""

POST = "chat.postMessage"
_STAMP = re.compile(r"left-at-(\d{16})")


async def run(options: Options) -> list[Row]:
    """A fresh house for each size."""
    return [Row(CASE, str(size), "slack_socket", await _measured(size)) for size in options.sizes or SIZES]


async def _measured(size: int) -> dict[str, Figure]:
    panels = ALONE if size == 1 else size
    channels = [Channel(f"C{number:05d}", f"channel{number}") for number in range(panels + 1)]
    boards = {method: rate for method, rate in REAL.items() if method != POST}
    async with model_server(0.0) as model, FakeSlack() as slack:
        slack.limits = Limits(boards)
        slack.add(*channels)
        settings = SlackHouse(slack.url, HOME.token, app_token=slack.app_token, model=model, paced=False)
        async with slack_house(settings) as house:
            await _spread(model, 0.0)
            await _asked(slack, channels[panels])
            await _rosters(slack, 1)
            slack.calls.clear()
            await _spread(model, ALONE_SECONDS if size == 1 else SPREAD_SECONDS)
            before, began = await house.figures(), time.perf_counter()
            if size == 1:
                for number, channel in enumerate(channels[:panels], 1):
                    await _asked(slack, channel)
                    await _rosters(slack, number)
            else:
                await _poured(slack, channels[:panels])
            wall, after = time.perf_counter() - began, await house.figures()
    return _figures(size, panels, slack.calls) | {
        "cpu_share": round((after["cpu_s"] - before["cpu_s"]) / wall, 3),
        "lag_p99_ms": round(after["lag_p99_ms"], 1),
        "lag_max_ms": round(after["lag_max_ms"], 1),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


async def _spread(model: str, seconds: float) -> None:
    async with aiohttp.ClientSession() as control:
        settings = {"delay": "0.2", "spread": str(seconds), "stamped": "1"}
        async with control.post(f"{model.removesuffix('/v1')}/reset", params=settings):
            pass


async def _asked(slack: FakeSlack, channel: Channel) -> None:
    person = User(channel.id.replace("C", "U"), f"person of {channel.name}")
    slack.add(person)
    payload = payloads.slash_command(slack.gesture(person, channel), "Should we open on Sundays?")
    if await slack.send_envelope(payload, type="slash_commands") is None:
        raise RuntimeError("a command was not acknowledged")


async def _poured(slack: FakeSlack, channels: Sequence[Channel]) -> None:
    """Ask for a panel in each channel, evenly over `SPREAD_SECONDS`, and wait until all are over."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, channel in enumerate(channels):
            due = began + number * SPREAD_SECONDS / len(channels)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(_asked(slack, channel))
    await _rosters(slack, len(channels))


async def _rosters(slack: FakeSlack, panels: int) -> None:
    """Wait until so many runs have posted their last."""
    async with asyncio.timeout(60 + 3 * SPREAD_SECONDS):
        while sum(_key(call).endswith("/roster") for call in slack.asked(POST)) < panels:  # noqa: ASYNC110 - the fake has none
            await asyncio.sleep(0.05)


def _key(call: Call) -> str:
    metadata: Any = call.body.get("metadata") or {}
    return str(metadata.get("event_payload", {}).get("key", ""))


def waited(calls: Iterable[Call]) -> dict[str, list[float]]:
    """By run the milliseconds of each expert's answer from leaving the model to the first call that posted it, in the
    order in which they left."""
    posted: dict[str, dict[int, float]] = {}
    for call in calls:
        run, _, part = _key(call).partition("/")
        found = _STAMP.search(json.dumps(call.body)) if part.startswith("expert/") else None
        if call.method == POST and found is not None:
            posted.setdefault(run, {}).setdefault(int(found[1]), call.at)
    return {run: [at * 1000 - left / 1000 for left, at in sorted(each.items())] for run, each in posted.items()}


def _figures(size: int, panels: int, calls: Sequence[Call]) -> dict[str, Figure]:
    by_run = waited(calls)
    times = [ms for each in by_run.values() for ms in each] or [float("inf")]
    firsts = [each[0] for each in by_run.values()] or [float("inf")]
    target, p99 = TARGETS_MS.get(size), percentile(times, 0.99)
    figures: dict[str, Figure] = {
        "panels": panels,
        "answers": sum(map(len, by_run.values())),
        "lost": panels * EXPERTS - sum(map(len, by_run.values())),
        "p50_ms": round(percentile(times, 0.5), 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(max(times), 1),
        "panels_first_p50_ms": round(percentile(firsts, 0.5), 1),
        "panels_first_p99_ms": round(percentile(firsts, 0.99), 1),
    }
    if target is None:
        return figures
    kept = {"p99": p99 <= target, "lost": not figures["lost"]}
    short = ", ".join(name for name, held in kept.items() if not held)
    return figures | {"target_p99_ms": target, "verdict": "short" if short else "ok", "short_of": short}
