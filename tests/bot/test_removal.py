"""Removal: a run that is deleted leaves nothing behind, in its thread or in a database, whatever happens in between."""

import asyncio
import itertools
from collections import Counter

import pytest

from adapters.memory import PLACE, Fault, MemoryFrontEnd
from adapters.port import (
    Capabilities,
    Doc,
    Invocation,
    NotDispatched,
    NotSafe,
    Pace,
    PermissionMissing,
    RateLimited,
    Unknown,
    Unreadable,
)
from bot.rules import Rules
from bot.runs_at import InFolder
from teams.lms import forget_lms
from teams.scripted import played
from tests.house import Held, served, until
from tests.stores import locked

TABLES = ("runs", "claims", "charges", "outbox", "feedback", "removals", "departures", "place_settings")


@pytest.fixture(autouse=True)
async def _no_models():
    yield
    await forget_lms()


def rows(at) -> Counter:
    """How many rows each of our tables has, and how many runs the engine knows."""
    count = Counter({table: counted(at.reader(), table) for table in TABLES})
    where = "workflow_status" if isinstance(at, InFolder) else "dbos.workflow_status"
    count["workflows"] = counted(at.steps_reader(), where)
    return +count


def counted(engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def press(word: str, key: str, *, author: str = "ann", run: str = "run") -> Invocation:
    return Invocation(PLACE, author, f"/panel {word}", key, "control", run=run)


async def test_a_deleted_run_leaves_no_post_no_board_and_no_row_but_that_it_was_asked_for(at):
    async with served(at=at) as (front, house, _):
        await front.say("/panel Secret?", key="run")
        await house.intake.settled()
        (thread,) = front.threads()
        await front.hand(press("rate up synthesis", "rate"))
        await front.hand(press("delete", "delete"))
        await house.intake.settled()
        assert front.shown(thread) == []
        assert front.shown_board(thread) is None
        assert front.told("ann")[1:] == [
            "## Deleted\n\n“Secret?”: 10 messages of it, and all that was kept of it, are gone."
        ]
        assert rows(at) == Counter(claims=3)


class Front(MemoryFrontEnd):
    """Remembers what was taken away and when; hangs once it took away so many, as long as it is told to."""

    def __init__(self, *, hang_after: int | None = None, **options) -> None:
        super().__init__(**options)
        self.removed, self.times, self.hang_after, self.hangs = [], [], hang_after, asyncio.Event()

    async def remove(self, ref):
        self.times.append(asyncio.get_running_loop().time())
        await self._hang()
        error = await super().remove(ref)
        self.removed.append(ref)
        await self._hang()
        return error

    async def _hang(self) -> None:
        if len(self.removed) == self.hang_after:
            self.hangs.set()
            await asyncio.Event().wait()


async def test_the_root_goes_last():
    async with served(front=Front()) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await front.say("/panel delete")
        await house.intake.settled()
    assert front.removed[-1].ids == ("thread-1",)
    assert len(front.removed) == 10


async def test_only_its_asker_or_an_admin_deletes_a_run():
    async with served(rules=Rules(admins=frozenset({"root"}))) as (front, house, _):
        for key in ("run", "other"):
            await front.say("/panel Open?", key=key, author="ann")
            await house.intake.settled()
        await front.hand(press("delete", "1", author="ben"))
        await house.intake.settled()
        assert "Only ann or an admin can delete this run" in front.told("ben")[-1]
        assert await house.store.get("run") is not None
        await front.hand(press("delete", "2", author="root"))
        await front.hand(press("delete", "3", author="ann", run="other"))
        await house.intake.settled()
        assert [await house.store.get(key) for key in ("run", "other")] == [None, None]


async def test_without_a_run_named_the_latest_of_the_place_is_meant_and_then_the_one_before():
    async with served() as (front, house, _):
        for key in ("first", "second"):
            await front.say("/panel Open?", key=key)
            await house.intake.settled()
        for gone in ("second", "first"):
            await front.say("/panel delete")
            await house.intake.settled()
            assert await house.store.get(gone) is None
        await front.say("/panel delete")
        assert "Nothing has been asked here yet, so there is nothing to delete" in front.told("ann")[-1]


async def test_a_delete_or_a_question_that_is_delivered_again_does_nothing_more():
    async with served() as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await front.say("/panel Older?", key="older")
        await house.intake.settled()
        for _ in range(2):
            await front.say("/panel delete", key="delete")
            await house.intake.settled()
        await front.say("/panel Older?", key="older")
        await house.intake.settled()
        assert await house.store.get("older") is None
        assert await house.store.get("run") is not None
        assert len(front.threads()) == 2
        assert len(front.told("ann")) == 1


async def test_a_run_under_way_is_stopped_first_and_one_that_waits_never_begins(at):
    held = Held()
    async with served(held, at=at, rules=Rules(runs_in_flight=1, runs_waiting=3)) as (front, house, _):
        for key in ("going", "waiting", "next"):
            await front.say("/panel Open?", key=key)
        await until(lambda: len(held.waiting) == 6)
        await front.hand(press("delete", "1", run="waiting"))
        await until(lambda: "Deleted" in "".join(front.told("ann")))
        await front.hand(press("delete", "2", run="going"))
        await until(lambda: len(held.waiting) == 12)
        held.go.set()
        await house.intake.settled()
        assert [await house.store.get(key) for key in ("going", "waiting")] == [None, None]
        assert (await house.store.get("next")).status == "finished"
        # Where several processes could carry it out, the thread is opened by the one that took the question in.
        opened = 2 if isinstance(at, InFolder) else 3
        assert [len(front.shown(thread)) for thread in front.threads()] == [0] * (opened - 1) + [9]
        assert rows(at) == Counter(runs=1, claims=5, charges=1, outbox=10, workflows=1)


async def test_what_is_being_deleted_is_no_run_for_any_other_gesture():
    held = Held()
    async with served(held) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await until(lambda: len(held.waiting) == 6)
        run = await house.store.get("run")
        assert await house.removals.ask(run, press("delete", "1"))
        for word in ("stop", "retry", "delete", "rate up synthesis"):
            await front.hand(press(word, word))
            assert "There is no such run here" in front.told("ann")[-1]
        assert await house.store.latest(PLACE) is None
        assert await house.store.retry("run", "late press") is None
        house.conductor.stop(run.round_id)
        await house.intake.settled()
        assert await house.store.get("run") is None


async def test_posts_that_cannot_be_taken_away_are_told_with_their_number_and_the_record_goes_all_the_same():
    async with served() as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        missing = PermissionMissing("the bot may not delete here", "give it the right")
        front.script(*[Fault(missing, operation="remove")] * 2)
        await front.say("/panel delete")
        await house.intake.settled()
        told = front.told("ann")[-1]
        assert "Deleted, but not everywhere" in told
        assert "8 messages of it. 2 could not be taken away: the bot may not delete here; give it the right." in told
        assert len(front.shown(front.threads()[0])) == 2 - (front.shown_board(front.threads()[0]) is not None)
        assert await house.store.get("run") is None


async def test_a_rate_limit_and_a_lost_connection_are_waited_for_and_the_pace_is_kept():
    front = Front(capabilities=Capabilities(pace=Pace(burst=2, per_minute=60 / 0.03)))
    async with served(front=front) as (_, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        errors = (RateLimited(0.05), NotDispatched("no connection"), Unknown("no answer"))
        front.script(*(Fault(error, operation="remove") for error in errors))
        await front.say("/panel delete")
        await house.intake.settled()
        assert front.shown(front.threads()[0]) == []
    assert len(front.times) == 13
    for first, last in itertools.combinations(range(13), 2):
        assert last - first + 1 <= 2 + (front.times[last] - front.times[first] + 0.02) / 0.03


@pytest.mark.parametrize("stands", [True, False])
async def test_a_post_whose_sending_had_no_known_end_is_looked_for_and_taken_away(stands):
    async with served() as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        (thread,) = front.threads()
        await house.store.claim("run/late", "run")
        if stands:
            await front.post(thread, Doc("Late"), key="run/late")
        await front.say("/panel delete")
        await house.intake.settled()
        assert front.shown(thread) == []
        assert f"{10 + stands} messages" in front.told("ann")[-1]


async def test_where_the_platform_does_not_let_the_bot_look_that_is_told():
    async with served() as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await house.store.claim("run/late", "run")
        front.script(Fault(Unreadable("no right to read"), operation="find"))
        await front.say("/panel delete")
        await house.intake.settled()
        assert "1 could not be taken away" in front.told("ann")[-1]


@pytest.mark.parametrize("taken_away", [0, 4, 10])
async def test_a_removal_that_the_process_did_not_live_to_finish_is_finished_by_the_next(at, taken_away):
    front = Front(hang_after=taken_away)
    async with served(at=at, front=front) as (_, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await front.say("/panel delete")
        await until(front.hangs.is_set)
        assert await house.store.get("run") is not None
    front.hang_after = None
    async with served(at=at, front=front) as (_, house, _):
        await house.intake.settled()
        assert await house.store.get("run") is None
    assert front.shown(front.threads()[0]) == []
    assert sum("Deleted" in text for text in front.told("ann")) == 1
    assert rows(at) == Counter(claims=2)


async def test_a_run_under_way_that_is_deleted_is_gone_after_a_restart_too(at):
    held, front = Held(), MemoryFrontEnd()
    async with served(held, at=at, front=front) as (_, house, _):
        await front.say("/panel Open?", key="run")
        await until(lambda: len(held.waiting) == 6)
        # Committed, and the process ends before it obeys.
        await house.removals.ask(await house.store.get("run"), press("delete", "1"))
    async with served(at=at, front=front) as (_, house, teams):
        await house.intake.settled()
        assert played(teams.flash).asked == []
        assert await house.store.get("run") is None
    assert front.shown(front.threads()[0]) == []
    assert rows(at) == Counter(claims=2)


async def test_a_removal_waits_for_a_start_with_its_front_end(at):
    front, other = Front(hang_after=0), MemoryFrontEnd()
    other.name = "elsewhere"
    async with served(at=at, front=front) as (_, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await front.say("/panel delete")
        await until(front.hangs.is_set)
    front.hang_after = None
    async with served(at=at, front=other) as (_, house, _):
        await house.intake.settled()
        assert len(front.shown(front.threads()[0])) == 9
    async with served(at=at, front=front) as (_, house, _):
        await house.intake.settled()
    assert front.shown(front.threads()[0]) == []


async def test_a_database_that_refuses_is_told_and_nothing_is_removed(at):
    async with served(at=at) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        with locked(at), pytest.raises(NotSafe):
            await front.say("/panel delete")
        await house.intake.settled()
        assert "Nothing was begun" in front.told("ann")[-1]
        assert len(front.shown(front.threads()[0])) == 9
        assert await house.store.get("run") is not None
