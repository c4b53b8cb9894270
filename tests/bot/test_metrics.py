"""What Prometheus reads says what happened, in kinds alone, and whatever state the process is in."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import sys
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiohttp
import pytest
import yaml
from dspy.utils.exceptions import LMAuthError
from prometheus_client.parser import text_string_to_metric_families

from adapters.memory import Fault, MemoryFrontEnd
from adapters.port import FrontEndFailed, Gone, Health, Place, RateLimited
from bot.census import TAKEOVERS
from bot.http import Web
from bot.metrics import Metrics
from bot.receipts import Budgets
from bot.stored import ENDED
from bot.watched import OUTCOMES, SENDS
from bot.watching import LoopLagged, PostSettled, PostUnsure, RoundBegun, RoundEnded, SendEnded, TakenIn
from teams.gauges import of_tier
from teams.model import FailureKind
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import HOME
from tests.house import Held, ScriptedTeams, good, served, until
from tests.model_server import model_server

ROOT = Path(__file__).parent.parent.parent
HERE = "127.0.0.1"

OF_CALLS = {"answered", "cancelled", *(kind.value for kind in FailureKind)}
LABELS = {
    "surface": {"memory"},
    "team": {"panel", "research"},
    "start": {"first", "again"},
    "ending": set(ENDED),
    "outcome": OF_CALLS | {"sent", "found", "not_shown", "partial", "failed", "broke"} | set(OUTCOMES.values()),
    "what": set(SENDS),
    "tier": {"flash", "pro", "other"},
    "state": {"accepted", "running"},
    "le": None,
    "version": None,
}
"""Every label that there may be, and what it may be; None is anything that the process itself says."""


class Page:
    """A page as it was read: its numbers by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        [value] = [one.value for one in self.samples if one.name == f"panelist_{name}" and one.labels == labels]
        return value

    def has(self, name: str) -> bool:
        return any(one.name == f"panelist_{name}" for one in self.samples)

    def since(self, before: "Page", name: str, **labels: str) -> float:
        """How much a number grew: those of the models belong to the process, whatever test ran before."""
        return self.value(name, **labels) - before.value(name, **labels)


@asynccontextmanager
async def reading(metrics: Metrics):
    """What reads the page over HTTP."""
    async with Web(dict, [metrics.route], 0, host=HERE) as server, aiohttp.ClientSession() as session:

        async def read() -> Page:
            async with session.get(f"http://{HERE}:{server.port}/metrics") as response:
                assert response.status == 200
                assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
                assert response.headers["Cache-Control"] == "no-store"
                return Page(await response.text())

        yield read


@asynccontextmanager
async def counted(script=good, *, memory: MemoryFrontEnd | None = None, fresh: float = 0.0, **plan):
    """`(memory front end, house, read)` of a house that is counted."""
    memory, metrics, teams = memory or MemoryFrontEnd(), Metrics(fresh), ScriptedTeams(script)
    of_tier(teams.flash, "flash")
    of_tier(teams.pro, "pro")
    front = metrics.watched({memory.name: memory})[memory.name]
    async with (
        served(front=front, teams=teams, watch=metrics.watch, **plan) as (_, house, _),
        reading(metrics) as read,
    ):
        metrics.opened(house)
        yield memory, house, read


async def one_refused(prompt):
    if prompt.perspective == "cost_examiner":
        raise LMAuthError("CANARY-key", status=401)
    return await good(prompt)


async def test_after_a_panel_with_an_expert_that_failed_the_numbers_say_so():
    async with counted(one_refused) as (memory, house, read):
        before = await read()
        await memory.say("/panel Open on Sundays?")
        await house.intake.settled()
        page = await read()

    assert page.value("experts_total", team="panel", outcome="answered") == 5
    assert page.value("experts_total", team="panel", outcome="refused") == 1
    assert page.value("rounds_begun_total", team="panel", start="first") == 1
    assert page.value("rounds_ended_total", team="panel", ending="finished") == 1
    assert page.value("round_seconds_count", team="panel") == 1
    assert page.since(before, "model_calls_total", tier="flash", outcome="answered") == 5
    assert page.since(before, "model_calls_total", tier="flash", outcome="refused") == 1
    assert page.since(before, "model_calls_total", tier="pro", outcome="answered") == 1
    assert page.since(before, "model_tries_total", tier="flash", outcome="refused") == 1
    assert page.since(before, "model_call_seconds_total", tier="pro", outcome="answered") > 0
    # Root, five answers, the synthesis and the roster.
    assert page.value("posts_total", surface="memory", outcome="sent") == 8
    assert page.value("delivery_lag_seconds_count", surface="memory") == 8
    assert page.value("sends_total", surface="memory", what="post", outcome="sent") == 7
    assert page.value("taken_in_seconds_count", surface="memory") == 1
    assert page.value("not_taken_in_total", surface="memory") == 0
    assert page.value("spent_today_dollars") > 0
    assert page.value("front_end_ready", surface="memory") == 1
    assert page.value("database_up") == 1


async def test_what_is_under_way_is_told_while_it_is():
    held = Held()
    async with counted(held, budgets=Budgets(day=50.0)) as (memory, house, read):
        await memory.say("/panel Open on Sundays?")
        await until(lambda: len(held.waiting) == 6)
        page = await read()
        assert page.value("rounds_in_flight") == 1
        assert page.value("rounds_waiting") == 0
        assert page.value("model_calls_in_flight", tier="flash") == 6
        assert page.value("model_calls_queued", tier="flash") == 0
        assert page.value("open_runs", state="running") == 1
        assert page.value("open_runs", state="accepted") == 0
        assert page.value("posts_stuck") == 0
        assert page.value("budget_day_dollars") == 50
        held.go.set()
        await house.intake.settled()
        page = await read()
        assert page.value("rounds_in_flight") == 0
        assert page.value("model_calls_in_flight", tier="flash") == 0


async def test_a_place_that_asks_to_wait_and_one_that_refuses_are_told():
    memory = MemoryFrontEnd()
    memory.script(Fault(RateLimited(0.01)), Fault(RateLimited(0.01), operation="open_thread"))
    async with counted(memory=memory) as (_, house, read):
        await memory.say("/panel Open on Sundays?")
        await house.intake.settled()
        page = await read()
        assert page.value("sends_total", surface="memory", what="post", outcome="rate_limited") == 1
        assert page.value("sends_total", surface="memory", what="root", outcome="rate_limited") == 1
        assert page.value("posts_total", surface="memory", outcome="sent") == 9

        memory.script(Fault(Gone("no such place"), operation="open_thread"))
        await memory.say("/panel Open on Mondays?")
        await house.intake.settled()
        page = await read()
        assert page.value("posts_total", surface="memory", outcome="not_shown") == 1
        assert page.value("rounds_ended_total", team="panel", ending="unopened") == 1
        assert page.value("delivery_lag_seconds_count", surface="memory") == 9


async def test_a_run_that_a_process_left_is_taken_up_again_and_told_as_that(tmp_path):
    held = Held("cost_examiner")
    async with counted(held, folder=tmp_path) as (memory, _, read):
        await memory.say("/panel Open on Sundays?", key="sunday")
        await until(lambda: held.waiting and len(memory.keys(memory.threads()[0])) == 6)
    database = tmp_path / "runs.sqlite"
    with closing(sqlite3.connect(database)) as rows, rows:
        # As if the process had ended between a post and its note.
        change = "UPDATE outbox SET state = 'sending', ref = NULL WHERE key = 'sunday/expert/people_advocate'"
        assert rows.execute(change).rowcount == 1
    again = Held("cost_examiner")
    async with counted(again, folder=tmp_path, memory=memory) as (_, house, read):
        await until(lambda: again.waiting)
        page = await read()
        assert page.value("rounds_begun_total", team="panel", start="again") == 1
        again.go.set()
        await house.intake.settled()
        page = await read()
    assert page.value("posts_ambiguous_total", surface="memory") == 1
    assert page.value("posts_total", surface="memory", outcome="found") == 1
    assert page.value("rounds_ended_total", team="panel", ending="finished") == 1


async def test_the_page_names_kinds_alone_and_nothing_that_anybody_wrote():
    place = Place("memory", "tenant-CANARY", "channel-CANARY")
    async with counted(one_refused, memory=MemoryFrontEnd(place=place)) as (memory, house, read):
        await memory.say("/panel topic CANARY?", author="author-CANARY", key="key-CANARY")
        await house.intake.settled()
        page = await read()
    assert "CANARY" not in page.text
    ours = [one for one in page.samples if one.name.startswith("panelist_")]
    assert len(ours) > 200
    for one in ours:
        for label, value in one.labels.items():
            assert LABELS[label] is None or value in LABELS[label], (one.name, label, value)
    assert {label for one in ours for label in one.labels} == set(LABELS)


async def test_a_database_that_another_program_holds_is_down_and_the_page_is_there_all_the_same(tmp_path):
    async with counted(folder=tmp_path) as (_, _, read):
        assert (await read()).value("database_up") == 1
        with closing(sqlite3.connect(tmp_path / "runs.sqlite", isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            page = await read()
            assert page.value("database_up") == 0
            assert not page.has("open_runs")
            assert page.value("rounds_in_flight") == 0
            holder.execute("ROLLBACK")
        while (page := await read()).value("database_up") == 0:
            await asyncio.sleep(0.05)
        assert page.value("open_runs", state="running") == 0


async def test_before_the_house_is_open_there_is_a_page_that_says_nothing_of_runs():
    async with reading(Metrics()) as read:
        page = await read()
    assert page.value("info", version=page_version(page)) == 1
    assert not page.has("database_up")
    assert not page.has("rounds_in_flight")
    assert page.has("loop_lag_seconds_count")
    assert {"process_cpu_seconds_total", "python_gc_collections_total", "python_info"} <= {
        one.name for one in page.samples
    }


def page_version(page: Page) -> str:
    [version] = [one.labels["version"] for one in page.samples if one.name == "panelist_info"]
    return version


async def test_a_front_end_that_cannot_go_on_is_not_ready_and_no_fault_of_the_page():
    class Failed(MemoryFrontEnd):
        def health(self) -> Health:
            raise FrontEndFailed("the token was revoked")

    metrics = Metrics()
    metrics.watched({"memory": Failed()})
    async with reading(metrics) as read:
        assert (await read()).value("front_end_ready", surface="memory") == 0


async def test_every_number_is_documented_and_no_other():
    async with counted() as (_, _, read):
        page = await read()
    there = {re.sub("_(bucket|count|sum)$", "", one.name) for one in page.samples if one.name.startswith("panelist_")}
    text = (ROOT / "docs" / "operations.md").read_text()
    documented = set(re.findall(r"^\| `(panelist_\w+)(?:{[\w,]+})?` \|", text, re.MULTILINE))
    if TAKEOVERS is None:
        there.add("panelist_takeovers_last_hour")
    assert documented == there
    for name, labels in re.findall(r"^\| `(panelist_\w+){([\w,]+)}` \|", text, re.MULTILINE):
        given = {label for one in page.samples if one.name.startswith(name) for label in one.labels} - {"le"}
        assert given == set(labels.split(",")), name


def test_every_alert_is_about_numbers_that_there_are_and_says_what_to_do():
    text = (ROOT / "docs" / "operations.md").read_text()
    [block] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    [group] = yaml.safe_load(block)["groups"]
    documented = re.findall(r"^\| `(panelist_\w+)", text, re.MULTILINE)
    foreign = {"up", "process_start_time_seconds", "process_open_fds", "process_max_fds"}
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) > 15
    for rule in group["rules"]:
        assert set(rule["annotations"]) == {"means", "do"}
        assert set(rule) <= {"alert", "expr", "for", "annotations"}
        named = set(re.findall(r"\b(?:panelist|process)_\w+|\bup\b", rule["expr"]))
        assert named
        assert {re.sub("_bucket$", "", name) for name in named} <= {*documented, *foreign}


@pytest.mark.parametrize(
    ("what", "name", "labels"),
    [
        (RoundBegun("research", again=True), "rounds_begun_total", {"team": "research", "start": "again"}),
        (RoundEnded("panel", "broken", 3.0, 0, ()), "rounds_ended_total", {"team": "panel", "ending": "broken"}),
        (PostSettled("memory", "not_shown", 3.0), "posts_total", {"surface": "memory", "outcome": "not_shown"}),
        (PostUnsure("memory"), "posts_ambiguous_total", {"surface": "memory"}),
        (
            SendEnded("memory", "board", "gone", 0.1),
            "sends_total",
            {"surface": "memory", "what": "board", "outcome": "gone"},
        ),
        (TakenIn("memory", False, 0.1), "not_taken_in_total", {"surface": "memory"}),
        (LoopLagged(0.1), "loop_lag_seconds_count", {}),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_each_thing_that_happens_moves_its_number_by_one(what, name, labels):
    metrics = Metrics()
    async with reading(metrics) as read:
        for number in (1, 2):
            metrics.watch(what)
            assert (await read()).value(name, **labels) == number


async def test_two_readers_at_once_both_get_the_page():
    async with counted() as (_, _, read):
        pages = await asyncio.gather(*(read() for _ in range(20)))
    assert {page.value("database_up") for page in pages} == {1}


async def test_a_served_process_can_be_read_where_its_port_is_set(tmp_path):
    async with FakeSlack() as slack, model_server() as server:
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "PANELIST_HOME": str(tmp_path / "home"),
            "PANELIST_GRACE": "5",
            "PANELIST_WEB": "off",
            "FLASH_MODEL": "mock",
            "FLASH_API_BASE": server.base,
            "FLASH_API_KEY": "key-CANARY",
            "SLACK_API_URL": slack.url,
            "SLACK_BOT_TOKEN": HOME.token,
            "SLACK_SIGNING_SECRET": "signing-CANARY",
            "PORT": str(port),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.cli", "serve", env=environment, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(60), aiohttp.ClientSession() as session:
                page = await read_until(session, port, "panelist_database_up 1.0")
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = await process.communicate()
    assert process.returncode == 0, said
    assert Page(page).value("front_end_ready", surface="slack") == 1
    assert "CANARY" not in page
    assert HOME.token not in page


async def read_until(session: aiohttp.ClientSession, port: int, line: str) -> str:
    while True:
        try:
            async with session.get(f"http://{HERE}:{port}/metrics") as response:
                page = await response.text()
                if line in page:
                    return page
        except aiohttp.ClientConnectionError:
            pass  # it has not opened yet
        await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HERE, 0))
        return int(free.getsockname()[1])
