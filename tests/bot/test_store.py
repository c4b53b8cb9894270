"""The run database: what was accepted is safe and counted once, whoever asks and whatever the clock says."""

import asyncio
import threading
from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy as sa

from adapters.port import Attachment, MessageRef, Place, ThreadRef
from bot.errors import StoreFailed
from bot.receipts import RunReceipt
from bot.rounds import RoundId
from bot.rules import Rules
from bot.schema import outbox
from bot.stored import Accepted, Duplicate, Ending, OverQuota, Posted, Quotas
from bot.transactions import AT_ONCE
from teams.model import Source
from tests.stores import BRIEF, DAY, FREE, NOON, PLACE, Clock, accepted, altered, asked, over, store_in

THREAD = ThreadRef(PLACE, "thread-1")
OTHER_CHANNEL = replace(PLACE, channel="random")
OTHER_TENANT = replace(PLACE, tenant="elsewhere")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def store(at, clock):
    async with store_in(at, clock) as store:
        yield store


# Intake


async def test_what_is_accepted_can_be_read_back_whole(store):
    invocation = replace(asked("one", files=(Attachment("notes.md", "The rent is low."),)), thread=THREAD, run="before")
    assert await store.accept(invocation, BRIEF, FREE) == Accepted()

    run = await store.get("one")
    assert (run.id, run.round, run.status, run.boots) == ("one", 1, "accepted", 0)
    assert (run.created_at, run.started_at, run.ended_at) == (NOON, None, None)
    assert run.brief == BRIEF
    # The text of a file is in the brief; it is not kept twice.
    assert run.invocation == replace(invocation, attachments=(Attachment("notes.md"),))
    assert run.receipt == RunReceipt()
    assert await store.claimed("one") == "one"
    assert await store.get("two") is None


async def test_what_is_accepted_outlives_the_store(at, clock):
    async with store_in(at, clock) as store:
        await accepted(store, "one", "two")
    async with store_in(at, clock) as store:
        assert [each.run for each in await store.next_accepted()] == ["one", "two"]


async def test_a_gesture_delivered_many_times_at_once_is_accepted_once(store):
    came_of = await asyncio.gather(*(store.accept(asked("one"), BRIEF, FREE) for _ in range(20)))
    assert came_of.count(Accepted()) == 1
    assert came_of.count(Duplicate("one")) == 19
    assert [each.run for each in await store.next_accepted()] == ["one"]


async def test_a_gesture_delivered_again_is_a_duplicate_even_where_the_quota_is_used_up(store):
    quotas = Quotas(person=1)
    await store.accept(asked("one"), BRIEF, quotas)
    assert await store.accept(asked("one"), BRIEF, quotas) == Duplicate("one")
    assert isinstance(await store.accept(asked("two"), BRIEF, quotas), OverQuota)


async def test_what_cannot_be_accepted_whole_leaves_nothing_behind(store, at):
    await accepted(store, "one")
    altered(at, "DELETE FROM claims")  # now the claim succeeds and the run does not

    with pytest.raises(StoreFailed):
        await store.accept(asked("one"), BRIEF, FREE)

    assert await store.claimed("one") is None


async def test_the_runs_of_a_place_come_newest_first_and_without_those_of_other_places(store, clock):
    for key, place in (("a", PLACE), ("b", OTHER_CHANNEL), ("c", OTHER_TENANT), ("d", PLACE), ("e", PLACE)):
        clock.now += 1
        await accepted(store, key, place=place)
    await over(store, "e")
    assert [run.id for run in await store.going(PLACE)] == ["d", "a"]
    assert [run.id for run in await store.going(PLACE, most=1)] == ["d"]
    assert [run.id for run in await store.going(OTHER_TENANT)] == ["c"]
    assert (await store.latest(PLACE)).id == "e"
    assert (await store.latest(OTHER_CHANNEL)).id == "b"
    assert await store.latest(replace(PLACE, channel="nobody")) is None


# Quotas

QUOTAS = [
    # Whose quota it is, and who may still ask when that of ann in PLACE is used up.
    (Quotas(person=2), "person", {"author": "ben"}),
    (Quotas(person=2), "person", {"place": OTHER_TENANT}),
    (Quotas(person=2), "person", {"place": replace(PLACE, surface="other")}),
    (Quotas(channel=2), "channel", {"place": OTHER_CHANNEL}),
    (Quotas(channel=2), "channel", {"place": OTHER_TENANT}),
    (Quotas(workspace=2), "workspace", {"place": OTHER_TENANT}),
    (Quotas(workspace=2), "workspace", {"place": replace(PLACE, surface="other")}),
]


@pytest.mark.parametrize(("quotas", "whom", "others"), QUOTAS)
async def test_fault_43_a_quota_counts_those_it_is_for_and_nobody_else(store, quotas, whom, others):
    for key in ("one", "two"):
        assert isinstance(await store.accept(asked(key), BRIEF, quotas), Accepted)
    assert await store.accept(asked("three"), BRIEF, quotas) == OverQuota(whom, 2)
    assert await store.claimed("three") is None
    assert isinstance(await store.accept(asked("four", **others), BRIEF, quotas), Accepted)


@pytest.mark.parametrize(
    ("quotas", "whom", "same"),
    [
        (Quotas(person=1), "person", {"place": OTHER_CHANNEL}),
        (Quotas(channel=1), "channel", {"author": "ben"}),
        (Quotas(workspace=1), "workspace", {"author": "ben", "place": OTHER_CHANNEL}),
    ],
)
async def test_fault_43_a_quota_is_one_for_all_that_it_is_for(store, quotas, whom, same):
    await store.accept(asked("one"), BRIEF, quotas)
    assert await store.accept(asked("two", **same), BRIEF, quotas) == OverQuota(whom, 1)


async def test_fault_43_what_one_person_alone_sees_of_a_channel_counts_in_its_quota(store):
    alone = replace(PLACE, channel=f"{PLACE.channel}/ann")
    elsewhere = replace(PLACE, channel=f"{PLACE.channel}2")
    quotas = Quotas(channel=1)
    await store.accept(asked("one", place=elsewhere), BRIEF, quotas)
    assert await store.accept(asked("two", place=alone), BRIEF, quotas) == Accepted()
    assert await store.accept(asked("three"), BRIEF, quotas) == OverQuota("channel", 1)
    another = replace(PLACE, channel=f"{PLACE.channel}/ben")
    assert await store.accept(asked("four", place=another), BRIEF, quotas) == OverQuota("channel", 1)


async def test_fault_43_a_quota_begins_anew_at_midnight_utc_and_not_before(store, clock):
    quotas = Quotas(person=1)
    midnight = NOON + DAY / 2
    clock.now = midnight - 0.5
    await store.accept(asked("one"), BRIEF, quotas)
    clock.now = midnight - 0.001
    assert await store.accept(asked("two"), BRIEF, quotas) == OverQuota("person", 1)
    clock.now = midnight
    assert await store.accept(asked("two"), BRIEF, quotas) == Accepted()
    assert await store.accept(asked("three"), BRIEF, quotas) == OverQuota("person", 1)


async def test_fault_43_many_who_ask_at_once_get_no_more_than_the_quota(store):
    came_of = await asyncio.gather(*(store.accept(asked(str(n)), BRIEF, Quotas(person=7)) for n in range(50)))
    assert sum(isinstance(one, Accepted) for one in came_of) == 7
    assert came_of.count(OverQuota("person", 7)) == 43


async def test_fault_43_admins_have_no_quota_and_count_in_that_of_the_others(store):
    rules = Rules(admins=frozenset({"memory:ann"}), quotas=Quotas(person=1, channel=1, workspace=3))
    for key in "abc":
        assert await store.accept(asked(key), BRIEF, rules.quotas_of(asked(key))) == Accepted()
    other = asked("d", "ben", OTHER_CHANNEL)
    assert await store.accept(other, BRIEF, rules.quotas_of(other)) == OverQuota("workspace", 3)
    assert await store.accept(asked("e"), BRIEF, rules.quotas_of(asked("e"))) == Accepted()


# Stop and retry


async def test_a_stop_is_noted_once_for_the_one_who_asked_first(store):
    await accepted(store, "one")
    assert await store.ask_stop("one", "stop-1", "ben")
    assert not await store.ask_stop("one", "stop-1", "ben")
    assert await store.ask_stop("one", "stop-2", "eve")
    assert (await store.get("one")).stop_by == "ben"


async def test_a_run_that_is_over_is_not_stopped(store):
    await accepted(store, "one")
    await over(store, "one")
    assert not await store.ask_stop("one", "stop-1", "ben")
    assert (await store.get("one")).stop_by is None


async def test_fault_31_twenty_who_retry_at_once_begin_one_round(store):
    await accepted(store, "one")
    await over(store, "one")
    came_of = await asyncio.gather(*(store.retry("one", f"retry-{n}") for n in range(20)))
    assert [one for one in came_of if one is not None] == [RoundId("one", 2)]
    run = await store.get("one")
    assert (run.round, run.status) == (2, "accepted")


async def test_fault_31_one_retry_delivered_twenty_times_begins_one_round_also_after_that_is_over(store):
    await accepted(store, "one")
    await over(store, "one")
    came_of = await asyncio.gather(*(store.retry("one", "retry") for _ in range(20)))
    assert came_of.count(RoundId("one", 2)) == 1
    assert came_of.count(Duplicate("one")) == 19
    await over(store, "one", round_=2)
    assert await store.retry("one", "retry") == Duplicate("one")
    assert (await store.get("one")).round == 2


async def test_a_retry_begins_with_a_clean_slate_and_what_the_round_before_recorded(store, clock):
    await accepted(store, "one")
    run = await store.begin(RoundId("one", 1))
    await store.taken_up(run, 3, blamed=True)
    await store.ask_stop("one", "stop", "ben")
    await store.end(RoundId("one", 1), Ending("stopped", {"expert:a": "{}"}, [{"event": "x"}], RunReceipt()))
    clock.now += 60

    assert await store.retry("one", "retry") == RoundId("one", 2)

    again = await store.get("one")
    assert (again.status, again.round, again.stop_by, again.started_at, again.ended_at) == ("accepted", 2, *[None] * 3)
    assert (again.stuck, again.blamed, again.steps_seen) == (0, 0, 0)
    assert again.created_at == NOON
    assert again.steps == {"expert:a": "{}"}


async def test_what_is_under_way_or_unknown_is_not_retried(store):
    await accepted(store, "one")
    assert await store.retry("one", "retry-1") is None
    await store.begin(RoundId("one", 1))
    assert await store.retry("one", "retry-2") is None
    assert await store.retry("never asked", "retry-3") is None
    assert await store.claimed("retry-1") is None


# The run


async def test_each_start_of_a_round_is_counted_and_gives_it_as_it_was_before(store, clock):
    await accepted(store, "one")
    clock.now += 10
    first = await store.begin(RoundId("one", 1))
    assert (first.status, first.boots, first.started_at) == ("accepted", 1, NOON + 10)
    clock.now += 10
    second = await store.begin(RoundId("one", 1))
    assert (second.status, second.boots, second.started_at) == ("running", 2, NOON + 10)
    assert [each.run for each in await store.under_way()] == ["one"]
    assert await store.next_accepted() == []


async def test_a_round_that_is_over_or_not_the_present_one_does_not_begin(store):
    await accepted(store, "one")
    assert await store.begin(RoundId("one", 2)) is None
    assert await store.begin(RoundId("never asked", 1)) is None
    await over(store, "one")
    assert await store.begin(RoundId("one", 1)) is None
    await store.retry("one", "retry")
    assert await store.begin(RoundId("one", 1)) is None
    assert (await store.begin(RoundId("one", 2))).round == 2
    assert (await store.get("one")).boots == 2


async def test_a_run_that_was_put_off_in_good_order_is_known_by_it_until_it_begins_again(store):
    await accepted(store, "one")
    assert not (await store.begin(RoundId("one", 1))).paused
    await store.paused("one")
    assert (await store.begin(RoundId("one", 1))).paused
    assert not (await store.get("one")).paused
    assert not (await store.begin(RoundId("one", 1))).paused


@pytest.mark.parametrize("column", ["brief", "invocation"])
@pytest.mark.parametrize("unreadable", ["{}", "not JSON", '{"CANARY": 1}'])
async def test_a_run_that_another_version_wrote_is_ended_and_hides_no_other(store, at, column, unreadable):
    await accepted(store, "good", "bad")
    altered(at, f"UPDATE runs SET {column} = :unreadable WHERE id = 'bad'", unreadable=unreadable)
    assert [run.id for run in await store.going(PLACE)] == ["good"]
    assert await store.get("bad") is None
    assert [each.run for each in await store.next_accepted()] == ["good", "bad"]
    assert await store.begin(RoundId("bad", 1)) is None
    assert await store.next_accepted() == [RoundId("good", 1)]
    assert (await store.begin(RoundId("good", 1))).id == "good"


async def test_crashes_are_counted_from_where_the_run_last_got_on(store):
    await accepted(store, "one")
    run = await store.begin(RoundId("one", 1))
    counted = []
    # (recorded steps, whether the run is to blame): stuck twice, then two steps further, then stuck again.
    for steps, blamed in ((0, True), (0, False), (2, True), (2, True), (2, False)):
        run = await store.taken_up(run, steps, blamed=blamed)
        counted.append((run.stuck, run.blamed, run.steps_seen))
        kept = await store.get("one")
        assert (kept.stuck, kept.blamed, kept.steps_seen) == counted[-1]
    assert counted == [(1, 1, 0), (2, 1, 0), (0, 1, 2), (1, 2, 2), (2, 2, 2)]


@pytest.mark.parametrize("cost", [None, 0.0, 0.0123])
async def test_how_a_round_ended_can_be_read_back_whole(store, clock, cost):
    await accepted(store, "one")
    await store.begin(RoundId("one", 1))
    steps = {"expert:a": '{"fields": {"headline": "ja – ünï"}}', "heard": '{"heard": ["a"]}'}
    events = [{"event": "RunStarted", "topic": "ünï"}, {"event": "RunStopped", "seconds": 1.5}]
    receipt = RunReceipt(calls=9, input_tokens=4_000, output_tokens=300, cost=cost, charged=0.25, unmetered=2)
    clock.now += 90

    await store.end(RoundId("one", 1), Ending("stopped", steps, events, receipt))

    run = await store.get("one")
    assert (run.status, run.ended, run.ended_at) == ("stopped", True, NOON + 90)
    assert (run.steps, run.events, run.receipt) == (steps, events, replace(receipt, charged=0.0))
    assert await store.charged_since(0) == 0.25
    assert await store.under_way() == []


async def test_what_runs_were_charged_is_summed_from_when_they_ended(store, clock):
    await accepted(store, "one", "two", "three")
    assert await store.charged_since(0) == 0.0
    await over(store, "one", RunReceipt(charged=0.5))
    clock.now += 100
    await over(store, "two", RunReceipt(charged=0.25, cost=None))
    assert await store.charged_since(0) == 0.75
    assert await store.charged_since(NOON + 1) == 0.25


async def test_the_receipt_of_a_run_is_that_of_all_its_rounds_and_unknown_where_one_is(store):
    await accepted(store, "one")
    await over(store, "one", RunReceipt(7, 700, 70, 0.25, 0.25, 1))
    await store.retry("one", "retry")
    await over(store, "one", RunReceipt(2, 200, 20, 0.5, 0.5), round_=2)
    assert (await store.get("one")).receipt == RunReceipt(9, 900, 90, 0.75, unmetered=1)
    await store.retry("one", "retry again")
    await over(store, "one", RunReceipt(1, 100, 10, None, 0.5), round_=3)
    assert (await store.get("one")).receipt == RunReceipt(10, 1_000, 100, None, unmetered=1)
    await store.retry("one", "retry once more")
    await over(store, "one", RunReceipt(1, 100, 10, 0.5, 0.5), round_=4)
    assert (await store.get("one")).receipt.cost is None


async def test_fault_44_the_budget_of_the_day_counts_every_round_of_a_run(store):
    await accepted(store, "one")
    await over(store, "one", RunReceipt(charged=0.5))
    await store.retry("one", "retry")
    assert await store.charged_since(0) == 0.5, "a restart while the retry runs forgets what its first round cost"
    await over(store, "one", RunReceipt(charged=0.25), round_=2)
    assert await store.charged_since(0) == 0.75


# The outbox


async def test_a_post_is_claimed_once_and_then_told_how_it_stands(store):
    assert await store.claim("one/roster", "one") is None
    assert await store.claim("one/roster", "one") == Posted("one/roster", "sending")
    ref = MessageRef(THREAD, ("1", "2"))
    await store.sent("one/roster", ref)
    assert await store.claim("one/roster", "one") == Posted("one/roster", "sent", ref)
    await store.claim("one/synthesis", "one")
    await store.not_sent("one/synthesis", "TooLarge")
    assert (await store.claim("one/synthesis", "one")).state == "failed"


async def test_of_many_who_claim_a_post_at_once_one_is_the_first(store):
    came_of = await asyncio.gather(*(store.claim("key", "one") for _ in range(20)))
    assert came_of.count(None) == 1
    assert came_of.count(Posted("key", "sending")) == 19


async def test_the_posts_of_a_run_are_its_own(store):
    for run, part in (("one", "root"), ("one", "roster"), ("two", "root")):
        await store.claim(f"{run}/{part}", run)
    posts = await store.posts_of("one")
    assert {key: posted.state for key, posted in posts.items()} == {"one/root": "sending", "one/roster": "sending"}
    assert await store.posts_of("three") == {}


@pytest.mark.parametrize("claimed_before", [False, True])
async def test_an_opened_thread_is_noted_with_the_run_and_as_its_root(store, claimed_before):
    await accepted(store, "one")
    if claimed_before:
        await store.claim("one/root", "one")
    await store.opened("one", "one/root", THREAD)
    await store.opened("one", "one/root", THREAD)  # a replay
    assert (await store.get("one")).thread == THREAD
    posted = (await store.posts_of("one"))["one/root"]
    assert (posted.state, posted.ref) == ("sent", MessageRef(THREAD, ("thread-1",)))


# Retention


async def expire(store, before, most=200):
    """Remove runs that ended before then; which those were."""
    gone = await store.old(before, most)
    await store.remove([each.run for each in gone])
    return gone


def rows(at) -> Counter:
    """How many rows each table has."""
    with at.reader().connect() as raw:
        return Counter({table: raw.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() for table in TABLES})


TABLES = ("runs", "claims", "outbox", "charges")


async def test_old_runs_are_removed_with_all_that_belongs_to_them_and_nothing_newer(store, clock, at):
    for key in ("old", "new"):
        await accepted(store, key)
        await store.claim(f"{key}/root", key)
        await store.ask_stop(key, f"{key}-stop", "ben")
    await over(store, "old")
    await store.retry("old", "old-retry")
    await over(store, "old", round_=2)
    clock.now += DAY
    await over(store, "new")

    assert await expire(store, NOON + DAY) == [RoundId("old", 2)]

    assert rows(at) == Counter(runs=1, claims=2, outbox=1, charges=1)
    assert await store.get("old") is None
    assert (await store.get("new")).ended
    assert set(await store.posts_of("new")) == {"new/root"}
    assert [await store.claimed(key) for key in ("old", "old-stop", "old-retry", "new", "new-stop")] == [
        *[None] * 3,
        *["new"] * 2,
    ]
    assert await expire(store, NOON + DAY) == []


async def test_a_run_that_is_not_over_is_never_removed_however_old(store, clock):
    await accepted(store, "waiting", "running", "retried", "retried and running", "over")
    await store.begin(RoundId("running", 1))
    for key in ("retried", "retried and running", "over"):
        await over(store, key)
    for key in ("retried", "retried and running"):
        await store.retry(key, f"{key}-retry")
    await store.begin(RoundId("retried and running", 2))
    clock.now += 365 * DAY
    assert await expire(store, clock.now) == [("over", 1)]
    assert {run.id for run in await store.going(PLACE)} == {"waiting", "running", "retried", "retried and running"}


async def test_a_run_that_is_retried_while_it_is_being_removed_stays(store, clock):
    await accepted(store, "one")
    await over(store, "one")
    clock.now += DAY
    assert await store.old(clock.now) == [("one", 1)]
    await store.retry("one", "retry")
    await store.remove(["one"])
    assert (await store.begin(RoundId("one", 2))).steps == {"expert:a": '{"failure": {}}'}
    assert await store.claimed("retry") == "one"


async def test_old_runs_are_removed_some_at_a_time_until_none_is_left(store, clock):
    await accepted(store, *"abcde")
    for key in "abcde":
        await over(store, key)
    clock.now += DAY
    removed = [len(await expire(store, clock.now, 2)) for _ in range(4)]
    assert removed == [2, 2, 1, 0]


# Clocks


@pytest.mark.parametrize("jump", [-DAY, DAY])
async def test_fault_20_runs_accepted_before_the_clock_jumped_are_still_first_in_line(store, clock, jump):
    for key in ("before-1", "before-2"):
        clock.now += 1
        await accepted(store, key)
    clock.now += jump
    for key in ("after-1", "after-2"):
        clock.now += 1
        await accepted(store, key)
    first, *_ = await store.next_accepted(1)
    assert first.run == "before-1", "as long as others keep asking, it waits until the clock has caught up"
    assert [each.run for each in await store.next_accepted()] == ["before-1", "before-2", "after-1", "after-2"]


@pytest.mark.parametrize("jump", [-DAY, DAY])
async def test_fault_20_no_run_is_lost_however_the_clock_jumps(store, clock, jump):
    await accepted(store, "waiting", "running", "over")
    await store.begin(RoundId("running", 1))
    await over(store, "over")
    clock.now += jump
    keep = DAY / 2
    gone = [each.run for each in await expire(store, clock.now - keep)]
    assert gone == (["over"] if jump > 0 else [])
    assert [each.run for each in await store.under_way()] == ["running"]
    assert [each.run for each in await store.next_accepted()] == ["waiting"]
    await store.end(RoundId("running", 1), Ending("finished", {}, [], RunReceipt()))
    assert await expire(store, clock.now - keep) == []
    assert (await store.begin(RoundId("waiting", 1))).started_at == clock.now


async def test_fault_20_a_clock_set_back_does_not_take_what_was_just_asked_for_old(store, clock):
    await accepted(store, "one")
    clock.now -= DAY
    await over(store, "one")
    assert (await store.get("one")).ended_at < (await store.get("one")).created_at
    assert await expire(store, clock.now - 1.0) == []


# One thread, batched


async def test_a_burst_of_a_thousand_calls_of_all_kinds_is_all_done(store):
    keys = [f"run-{n}" for n in range(250)]
    await asyncio.gather(*(store.accept(asked(key), BRIEF, FREE) for key in keys))
    begun, claims, _, counts = await asyncio.gather(
        asyncio.gather(*(store.begin(RoundId(key, 1)) for key in keys)),
        asyncio.gather(*(store.claim(f"{key}/root", key) for key in keys)),
        asyncio.gather(*(store.opened(key, f"{key}/root", THREAD) for key in keys)),
        asyncio.gather(*(store.claimed(key) for key in keys)),
    )
    assert [run.id for run in begun] == keys
    assert set(claims) == {None}
    assert counts == keys
    assert len(await store.under_way()) == 250
    assert {(await store.get(key)).thread for key in keys[::50]} == {THREAD}


async def test_an_error_in_one_call_does_not_hurt_those_beside_it(store):
    bad = asked("bad\udcff")  # no text that a database could keep
    came_of = await asyncio.gather(
        *(store.accept(bad if n == 30 else asked(str(n)), BRIEF, FREE) for n in range(60)), return_exceptions=True
    )
    assert [n for n, one in enumerate(came_of) if not isinstance(one, Accepted)] == [30]
    assert isinstance(came_of[30], Exception)
    assert len(await store.next_accepted()) == 59


async def test_a_caller_who_leaves_hurts_nobody_beside_it(store):
    wrong = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context["message"]))
    tasks = [asyncio.create_task(store.accept(asked(str(n)), BRIEF, FREE)) for n in range(60)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(isinstance(task.result(), Accepted) for task in tasks[1::2])
    await accepted(store, "after")
    assert len(await store.next_accepted()) == 61
    assert wrong == []


async def test_closing_finishes_what_was_asked_before(at, clock):
    async with store_in(at, clock) as store:
        tasks = [asyncio.create_task(store.accept(asked(str(n)), BRIEF, FREE)) for n in range(300)]
        await asyncio.sleep(0)
    assert all(isinstance(task.result(), Accepted) for task in tasks)
    async with store_in(at, clock) as store:
        assert len(await store.next_accepted(1_000)) == 300


async def test_places_that_share_ids_in_two_workspaces_share_no_run(store):
    mine, theirs = Place("slack", "T1", "C1"), Place("slack", "T2", "C1")
    await accepted(store, "mine", place=mine)
    await accepted(store, "theirs", place=theirs)
    assert [run.id for run in await store.going(mine)] == ["mine"]
    assert [run.id for run in await store.going(theirs)] == ["theirs"]


# Threads, documents, boards, gestures


async def test_the_latest_run_of_a_thread_is_found_among_those_of_its_place_alone(store, clock):
    for key, place in (("a", PLACE), ("b", PLACE), ("c", OTHER_CHANNEL), ("d", PLACE)):
        clock.now += 1
        await accepted(store, key, place=place)
        if key != "d":
            await store.opened(key, f"{key}/root", ThreadRef(place, "thread-1"))
    assert (await store.latest(PLACE, "thread-1")).id == "b"
    assert (await store.latest(OTHER_CHANNEL, "thread-1")).id == "c"
    assert (await store.latest(PLACE)).id == "d"
    await over(store, "b")
    assert [run.id for run in await store.going(PLACE, "thread-1")] == ["a"]
    assert await store.latest(PLACE, "thread-2") is None


async def test_what_became_of_the_documents_of_a_run_is_read_back_with_it(store):
    invocation = asked("one", files=(Attachment("a.md", ref="r1"), Attachment("b.md", ref="r2")))
    await store.accept(invocation, BRIEF, FREE)
    files = (Attachment("a.md"), Attachment("b.md", problem="a picture", ref="r2"))
    known, brief = replace(invocation, attachments=files), replace(BRIEF, sources=(Source("a.md", "Its text."),))
    await store.documents_read("one", known, brief)
    stored = await store.get("one")
    assert (stored.invocation, stored.brief) == (known, brief)


async def test_where_something_stands_can_be_noted_without_a_word_before_and_anew(store):
    first, second = MessageRef(THREAD, ("b1",)), MessageRef(THREAD, ("b2",))
    await accepted(store, "one")
    await store.stands("one/board/1", "one", first)
    assert (await store.posts_of("one"))["one/board/1"] == Posted("one/board/1", "sent", first)
    await store.stands("one/board/1", "one", second)
    assert (await store.posts_of("one"))["one/board/1"].ref == second


async def test_gestures_are_remembered_while_their_run_is_kept_or_they_are_young(store, clock):
    await accepted(store, "kept", "gone")
    await over(store, "gone")
    await store.remove(["gone"], keep_claims=True)
    assert await store.accept(asked("gone"), BRIEF, FREE) == Duplicate("gone")
    clock.now += DAY
    await store.forget_gestures(NOON)
    assert await store.claimed("gone") == "gone", "not older than that"
    await store.forget_gestures(NOON + 1)
    assert await store.claimed("gone") is None
    assert await store.claimed("kept") == "kept"


async def test_of_what_waits_together_each_is_told_its_own(store):
    """One is cancelled meanwhile, one breaks, one is refused by a rule of the database: the others are done."""
    twice = sa.insert(outbox).values(key="one/root", run="one", state="sending", at=0.0)
    gate = threading.Event()
    holding = asyncio.create_task(store.do(lambda _: gate.wait(10)))
    claiming = [asyncio.create_task(store.claim(f"one/{part}", "one")) for part in ("root", "roster", "synthesis")]
    breaking = asyncio.create_task(store.do(lambda _: [][0]))
    refused = asyncio.create_task(store.do(lambda connection: connection.execute(twice), AT_ONCE))
    await asyncio.sleep(0)
    claiming[1].cancel()
    gate.set()
    came_of = await asyncio.gather(*claiming, breaking, refused, return_exceptions=True)

    assert await holding
    assert [type(one) for one in came_of] == [type(None), asyncio.CancelledError, type(None), IndexError, StoreFailed]
    assert set(await store.posts_of("one")) == {"one/root", "one/roster", "one/synthesis"}


async def test_after_an_error_the_next_transaction_does_not_see_what_was_not_committed(store):
    def half(connection):
        connection.execute(sa.insert(outbox).values(key="half", run="one", state="sending", at=0.0))
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        await store.do(half)
    assert await store.posts_of("one") == {}
    assert await store.claim("half", "one") is None
