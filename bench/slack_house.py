"""A whole house in this process whose front end is the Slack adapter, on a fake Slack in another process.

`python -m bench.slack_house '{…}'` prints the address of its events, empty where they come over a socket, once it
serves. Then it answers each line on stdin with its figures so far, and ends when stdin ends.
"""

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import loops
from bench.peers.measuring import cpu_seconds, memory_mb
from bench.rows import percentile

TICK = 0.01
"""Seconds between two looks at how late the event loop is."""


@dataclass(frozen=True, slots=True)
class SlackHouse:
    """With an `app_token` events come over a socket, else over HTTP, signed. Experts and the synthesis take from
    `quickest` to `slowest` seconds, each its own time; or where `hangs` is set they never answer. With a `model`, an
    API base, they are asked there instead. Unless it is `paced`, posts go to a channel as fast as they come."""

    api: str
    bot_token: str
    app_token: str = ""
    signing_secret: str = ""
    quickest: float = 0.2
    slowest: float = 1.0
    hangs: bool = False
    in_flight: int = 0
    model: str = ""
    paced: bool = True


async def serve(house: SlackHouse) -> None:
    """Serve until stdin ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    lags: list[float] = []
    ticking = asyncio.create_task(_tick(lags))
    with tempfile.TemporaryDirectory(prefix="bench-slack-") as name:
        async with _serving(house, Path(name)) as events:
            print(events, flush=True)
            while await lines.readline():
                print(json.dumps(_figures(Path(name), lags)), flush=True)
                lags.clear()
    ticking.cancel()


@asynccontextmanager
async def _serving(house: SlackHouse, folder: Path) -> AsyncIterator[str]:
    """The house, until the block ends; gives the address of its events."""
    from adapters.port import Pace
    from adapters.slack.config import SlackConfig
    from adapters.slack.connect import EVENTS_PATH, slack_front
    from adapters.slack.frontend import PACES, Paces
    from bench.askers import served_teams
    from bot.http import Web
    from bot.rules import Rules
    from tests.house import served

    config = SlackConfig(
        bot_token=house.bot_token, app_token=house.app_token, signing_secret=house.signing_secret, api=house.api
    )
    # Whoever is over the cap waits in line, and nobody is refused.
    rules = Rules(runs_in_flight=house.in_flight, runs_waiting=1_000_000)
    paces = PACES if house.paced else Paces(channel=Pace(1_000, per_minute=60_000))
    async with AsyncExitStack() as stack:
        teams = await stack.enter_async_context(served_teams(house.model)) if house.model else None
        slack = await stack.enter_async_context(slack_front(config, paces=paces))
        await stack.enter_async_context(
            served(_script(house), front=slack.front, folder=folder, teams=teams, seconds=None, rules=rules)
        )
        while not slack.front.health().ready:  # noqa: ASYNC110 - it tells nobody when it is
            await asyncio.sleep(0.01)
        if house.app_token:
            yield ""
            return
        async with Web(dict, slack.routes, 0, host="127.0.0.1") as web:
            yield f"http://127.0.0.1:{web.port}{EVENTS_PATH}"


def _script(house: SlackHouse) -> Any:
    """A model that says of each question something of its own, each expert in its own time."""
    from teams.scripted import Prompt, Reply, expert_reply, synthesis_reply

    async def script(prompt: Prompt) -> Reply:
        if house.hangs:
            await asyncio.Event().wait()
        topic = prompt.fields["topic"]
        # The same from run to run: a sum of the letters, and not a hash with a seed.
        spread = sum(map(ord, prompt.perspective + topic)) % 100 / 100
        await asyncio.sleep(house.quickest + (house.slowest - house.quickest) * spread)
        if prompt.perspective:
            return expert_reply(f"{prompt.perspective} on {topic}")
        return synthesis_reply(f"All in all on {topic}")

    return script


async def _tick(lags: list[float]) -> None:
    # Not the loop's own clock: uvloop's goes by whole milliseconds, and stands still while callbacks run.
    while True:
        due = time.perf_counter() + TICK
        await asyncio.sleep(TICK)
        lags.append(max(0.0, time.perf_counter() - due))


def _figures(folder: Path, lags: list[float]) -> dict[str, Any]:
    """`statuses` counts runs; `said` has the parts of each run that is over in the order in which it said them, and
    `ended` when it had said all; lags of the loop are since the last time that this was asked for."""
    from bot.store import database_of

    database = sqlite3.connect(database_of(folder))
    rows = database.execute("SELECT id, status, events FROM runs").fetchall()
    database.close()
    told = {run: json.loads(events) for run, _, events in rows if events}
    return {
        "cpu_s": cpu_seconds(),
        "peak_rss_mb": memory_mb("VmHWM"),
        "lag_p99_ms": percentile(lags, 0.99) * 1000 if lags else None,
        "lag_max_ms": max(lags) * 1000 if lags else None,
        "statuses": Counter(status for _, status, _ in rows),
        "said": {run: [part for event in events if (part := _part(event))] for run, events in told.items()},
        "ended": {run: datetime.fromisoformat(events[-1]["at"]).timestamp() for run, events in told.items() if events},
    }


def _part(event: dict[str, Any]) -> str:
    """The part of a post's key that an event makes; empty where it makes none."""
    match event["event"]:
        case "ExpertAnswered":
            return f"expert/{event['perspective']}"
        case "SynthesisWritten" | "SynthesisFailed":
            return "synthesis"
        case _:
            return ""


if __name__ == "__main__":
    from bot.log import configure_logs

    configure_logs("warning")
    loops.run(serve(SlackHouse(**json.loads(sys.argv[1]))))
