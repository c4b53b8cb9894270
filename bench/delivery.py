"""Many panels asked at once in one Slack channel, or in several: how close they come to what the rate limits allow.

The fake Slack is in this process, at the rates that Slack documents; the house is in another, with its durable runs.
"""

import asyncio
import math
import os
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.slack.inbound import from_command
from bench.processes import HouseProcess, slack_house
from bench.rows import Figure, Options, Row
from bench.runs_load import POSTS
from bench.slack_house import SlackHouse
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_limits import REAL, Limits, Rate
from tests.adapters.slack.fake_reading import plain
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import HOME, Call, Channel, User

CASE = "delivery"
RATIO, LIMITED_SHARE = 1.15, 0.02
"""Targets: seconds in all over those that the limits allow; the share of calls that Slack refuses as too many."""

LATENCY = 0.05, 0.25
"""Seconds that the fake takes for a call. Were they always the same, a pace on the very edge of the limits would seem
to keep them."""

POST, UPDATE = "chat.postMessage", "chat.update"
NOT_MEASURED = ("auth.test", "apps.connections.open")
"""What connecting takes."""


class UnevenSlack(FakeSlack):
    """A fake that takes longer for one call than for another, the same in every bench."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        super().__init__()

    @property
    def latency(self) -> float:
        """Seconds that the next call takes."""
        return self._random.uniform(*LATENCY)

    @latency.setter
    def latency(self, _: float) -> None:
        """It is not to be set."""


@dataclass(slots=True)
class Shown:
    """What stands of one run: when each part was posted, in the order of the channel, and when its last board was
    shown. `doubled` and `astray` count posts that stood already, and those that stand in a thread of another run or say
    what another run said."""

    topic: str
    asked: float
    posted: dict[str, float] = field(default_factory=dict)
    settled: float | None = None
    doubled: int = 0
    astray: int = 0


async def run(options: Options) -> list[Row]:
    """One fresh house; time is from the first command to the last post and the last board."""
    channels = [Channel(f"C{number:05d}", f"channel{number}") for number in range(options.channels)]
    async with UnevenSlack() as slack:
        slack.limits = Limits.real()
        slack.add(*channels)
        async with slack_house(SlackHouse(slack.url, HOME.token, app_token=slack.app_token)) as house:
            before = await house.figures()
            asked = await _asked(slack, channels, options.panels)
            after = await _over(house, options.panels)
    messages = [message for channel in channels for message in slack.messages(channel.id)]
    figures = _figures(slack.calls, messages, asked, after, len(channels))
    wall = float(figures["seconds"] or 0.0)
    figures |= {
        "cpu_share": round((after["cpu_s"] - before["cpu_s"]) / wall, 3),
        "load_1_min": round(os.getloadavg()[0], 2),
    }
    size = f"{options.panels} in {len(channels)}" if len(channels) > 1 else str(options.panels)
    return [Row(CASE, size, "slack_socket", figures)]


async def _asked(slack: FakeSlack, channels: Sequence[Channel], panels: int) -> dict[str, Shown]:
    """Ask for all panels at once, each by a person of its own; by the run's id."""
    asked, envelopes = {}, []
    for number in range(panels):
        person = User(f"U{number:05d}", f"person{number}")
        slack.add(person)
        topic = f"Question {number:03d}: should we open on Sundays?"
        payload = payloads.slash_command(slack.gesture(person, channels[number % len(channels)]), topic)
        command = from_command(payload)
        assert command is not None
        asked[command.inbound.key] = Shown(topic, time.time())  # type: ignore[union-attr]
        envelopes.append(slack.send_envelope(payload, type="slash_commands"))
    if None in await asyncio.gather(*envelopes):
        raise RuntimeError("a command was not acknowledged")
    return asked


async def _over(house: HouseProcess, panels: int) -> dict[str, Any]:
    """The figures of the house once all runs are over, or out of patience."""
    until = time.monotonic() + 3 * allowed(REAL[POST], panels * POSTS) + 60
    while True:
        await asyncio.sleep(0.5)
        figures = await house.figures()
        if figures["statuses"].get("finished", 0) == panels or time.monotonic() > until:
            return figures


def allowed(rate: Rate, calls: int) -> float:
    """Seconds that so many calls take at the least, the first of them at once."""
    return max(0, calls - rate.burst) * 60 / rate.per_minute


def _figures(
    all_calls: Sequence[Call],
    messages: Sequence[dict[str, Any]],
    asked: Mapping[str, Shown],
    found: Mapping[str, Any],
    channels: int,
) -> dict[str, Figure]:
    _read(messages, asked)
    panels, began = len(asked), min(shown.asked for shown in asked.values())
    posted = [at for shown in asked.values() for at in shown.posted.values()]
    edited = [float(message["edited"]["ts"]) for message in messages if "edited" in message]
    limit = max(allowed(REAL[POST], math.ceil(panels / channels) * POSTS), allowed(REAL[UPDATE], panels))
    seconds = max(posted + edited, default=began) - began
    calls = [call for call in all_calls if call.method not in NOT_MEASURED]
    limited = Counter(call.method for call in calls if _is_limited(call))
    figures: dict[str, Figure] = {
        "seconds": round(seconds, 1),
        "last_post_s": round(max(posted, default=began) - began, 1),
        "last_board_s": round(max(edited, default=began) - began, 1),
        "allowed_s": round(limit, 1),
        # In several channels the models take longer than the limits.
        "ratio": round(seconds / limit, 3) if limit and channels == 1 else None,
        "target_ratio": RATIO,
        "posts_per_min": round(len(posted) * 60 / seconds / channels, 1) if seconds else None,
        "allowed_per_min": REAL[POST].per_minute,
        "calls": len(calls),
        "boards": sum(call.method == UPDATE for call in calls),
        "limited_posts": limited[POST],
        "limited_boards": limited[UPDATE],
        "limited_share": round(sum(limited.values()) / max(1, len(calls)), 4),
        "target_limited_share": LIMITED_SHARE,
        "posts": len(posted),
        "posts_lost": panels * POSTS - sum(len(set(shown.posted) & set(_parts(shown))) for shown in asked.values()),
        "posts_doubled": sum(shown.doubled for shown in asked.values()),
        "posts_astray": sum(shown.astray for shown in asked.values()),
        "boards_unsettled": sum(shown.settled is None for shown in asked.values()),
        "threads_wrong": sum(not in_order(list(shown.posted), found["said"].get(key)) for key, shown in asked.items()),
        "asked_to_root_max_s": _longest(shown.posted.get("root", 0.0) - shown.asked for shown in asked.values()),
        "end_to_roster_max_s": _longest(
            shown.posted.get("roster", 0.0) - found["ended"].get(key, 0.0) for key, shown in asked.items()
        ),
        "roster_to_board_max_s": _longest(
            shown.settled - shown.posted.get("roster", 0.0) for shown in asked.values() if shown.settled is not None
        ),
    }
    return figures | _verdict(figures)


def _longest(seconds: Iterable[float]) -> float:
    return round(max(seconds, default=0.0), 1)


def _parts(shown: Shown) -> list[str]:
    """Parts without those that say that something could not be shown."""
    return [part for part in shown.posted if not part.endswith("/unshown")]


def _read(messages: Sequence[dict[str, Any]], asked: Mapping[str, Shown]) -> None:
    """Sort everything that stands in the channels by its run."""
    threads: dict[str, str] = {}
    for message in messages:
        key = message.get("metadata", {}).get("event_payload", {}).get("key", "")
        run, _, part = key.partition("/")
        if (shown := asked.get(run)) is None:
            continue
        thread = threads.setdefault(run, message.get("thread_ts") or message["ts"])
        names_topic = part == "roster" or shown.topic in plain(message)
        shown.astray += message.get("thread_ts", message["ts"]) != thread or not names_topic
        shown.doubled += part in shown.posted
        shown.posted.setdefault(part, float(message["ts"]))
        if part == "root" and "edited" in message and "finished in" in plain(message):
            shown.settled = float(message["edited"]["ts"])


def _is_limited(call: Call) -> bool:
    return call.answered is not None and call.answered.get("error") == "ratelimited"


def in_order(posted: list[str], said: list[str] | None) -> bool:
    """Whether a thread begins with its root, ends with its roster and has all between once, in the order in which the
    run said it; the synthesis may overtake answers that have to wait."""
    if said is None or posted[:1] != ["root"] or posted[-1:] != ["roster"] or len(posted) != POSTS:
        return False
    between = posted[1:-1]
    if sorted(between) != sorted(said) or "synthesis" not in said:
        return False
    answers = [part for part in said if part != "synthesis"]
    after = said[said.index("synthesis") + 1 :]
    place = between.index("synthesis")
    return [part for part in between if part != "synthesis"] == answers and not set(after) & set(between[:place])


def _verdict(figures: Mapping[str, Any]) -> dict[str, Figure]:
    kept = {
        "ratio": figures["ratio"] is None or figures["ratio"] <= RATIO,
        "limited": figures["limited_share"] <= LIMITED_SHARE,
        **{name: not figures[name] for name in ("posts_lost", "posts_doubled", "posts_astray", "threads_wrong")},
        "boards": not figures["boards_unsettled"],
    }
    return {
        "verdict": "ok" if all(kept.values()) else "short",
        "short_of": ", ".join(name for name, held in kept.items() if not held),
    }
