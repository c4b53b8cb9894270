"""The census counts what is not over, tells it for a while, and waits for nobody."""

import asyncio

import pytest
import sqlalchemy as sa

from adapters.port import MessageRef, ThreadRef
from bot.census import ASKED_AT_ONCE, HOUR, STUCK_SECONDS, Census, CensusTaker
from bot.errors import StoreFailed
from bot.rounds import RoundId
from tests.stores import NOON, PLACE, Clock, accepted, over, store_at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def store(tmp_path, clock):
    async with store_at(tmp_path / "runs.sqlite", clock) as store:
        yield store


def taker(rows, *live: str, **options) -> CensusTaker:
    return CensusTaker(rows, lambda: live, **options)


async def test_runs_that_are_not_over_are_counted_by_their_state(store):
    await accepted(store, "one", "two", "three", "four")
    await store.begin(RoundId("one", 1))
    await over(store, "two")
    assert (await taker(store).census()).open_runs == {"accepted": 2, "running": 1}


async def test_an_empty_database_has_none_of_each(store):
    assert (await taker(store).census()).open_runs == {"accepted": 0, "running": 0}


async def test_a_post_is_stuck_when_its_sending_has_no_end_for_over_a_minute(store, clock):
    thread = ThreadRef(PLACE, "thread")
    await store.claim("mine/stands", "mine")
    await store.sent("mine/stands", MessageRef(thread, ("1",)))
    await store.claim("mine/given up", "mine")
    await store.not_sent("mine/given up", "Gone")
    await store.claim("mine/a", "mine")
    await store.claim("also mine/a", "also mine")
    await store.claim("another's/a", "another's")
    live = ("mine", "also mine", *(f"run-{number}" for number in range(ASKED_AT_ONCE)))
    clock.now = NOON + STUCK_SECONDS
    assert (await taker(store, *live).census()).stuck == 0
    clock.now = NOON + STUCK_SECONDS + 0.001
    assert (await taker(store, *live).census()).stuck == 2


async def test_takeovers_of_the_last_hour_are_counted_where_the_database_keeps_them(store, clock):
    columns = (sa.Column("run", sa.Text), sa.Column("at", sa.Double))
    table = sa.Table("taken_over", sa.MetaData(), *columns)
    rows = [{"run": "long ago", "at": NOON - HOUR - 1}, {"run": "one", "at": NOON - HOUR}, {"run": "two", "at": NOON}]
    await store.do(lambda connection: (table.create(connection), connection.execute(sa.insert(table), rows)))
    assert (await taker(store, takeovers=table).census()).takeovers == 2
    assert (await taker(store, takeovers=None).census()).takeovers is None


async def test_a_census_is_told_again_while_it_is_fresh_and_taken_anew_after(store):
    long, short = taker(store, fresh=3_600.0), taker(store, fresh=0.0)
    await accepted(store, "one")
    assert [(await each.census()).open_runs["accepted"] for each in (long, short)] == [1, 1]
    await accepted(store, "two")
    assert [(await each.census()).open_runs["accepted"] for each in (long, short)] == [1, 2]


class Database:
    """Answers when it is let, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked, self.answer, self.refuses = 0, asyncio.Event(), False

    def now(self) -> float:
        return NOON

    async def do(self, work, patience=30.0):
        self.asked += 1
        await self.answer.wait()
        if self.refuses:
            raise StoreFailed("the disk is full")
        return Census({"accepted": self.asked, "running": 0}, 0, None)


async def test_a_database_that_does_not_answer_is_waited_for_shortly_and_asked_once():
    rows = Database()
    counting = taker(rows, wait=0.01, fresh=3_600.0)
    assert [await counting.census() for _ in range(3)] == [None, None, None]
    assert rows.asked == 1
    rows.answer.set()
    assert (await counting.census()).open_runs["accepted"] == 1


async def test_a_database_that_refuses_brings_no_census_until_it_does_not():
    rows = Database()
    rows.answer.set()
    counting = taker(rows, fresh=0.0)
    assert await counting.census() is not None
    rows.refuses = True
    assert await counting.census() is None
    rows.refuses = False
    assert (await counting.census()).open_runs["accepted"] == 3


async def test_many_who_read_at_once_have_it_taken_once():
    rows = Database()
    counting = taker(rows, fresh=3_600.0)
    reading = [asyncio.create_task(counting.census()) for _ in range(10)]
    await asyncio.sleep(0)
    rows.answer.set()
    assert {(await each).open_runs["accepted"] for each in reading} == {1}
