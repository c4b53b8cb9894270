"""Places: what each remembers, and that nothing of one is ever another's."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory import PLACE, MemoryFrontEnd
from adapters.port import AskOptions, Invocation, MessageRef, Place, ThreadRef, Withdrawn
from bot.conduct import Conductor, Work
from bot.courier import Courier
from bot.departure import Departures
from bot.intake import Intake, Parts
from bot.line import Line
from bot.place_settings import settings_of
from bot.receipts import Ledger
from bot.removal import Removals
from bot.rules import Rules
from bot.stored import Quotas
from teams.catalog import load_catalog
from teams.lms import forget_lms
from teams.model import TOPIC_LIMIT
from teams.scripted import played
from tests.house import Held, good, served, until
from tests.stores import store_at

ALONE = replace(PLACE, channel=f"{PLACE.channel}/ann")
ELSEWHERE = replace(PLACE, channel="elsewhere")


@pytest.fixture(autouse=True)
async def _no_models():
    yield
    await forget_lms()


def seen_by_experts(teams) -> str:
    return "\n".join(prompt.text for prompt in played(teams.flash).asked)


async def briefs(house, *keys: str):
    return [(await house.store.get(key)).brief for key in keys]


# What a place remembers


async def test_what_is_set_in_a_place_is_given_to_every_question_asked_there_and_to_no_other():
    async with served() as (front, house, teams):
        await front.say("/panel settings profile A bakery in a village.", author="ben")
        await front.say("/panel settings pillars bread, people")
        await front.say("/panel Open?", key="here")
        await front.say("/panel Open?", key="there", place=ELSEWHERE)
        await house.intake.settled()
        here, there = await briefs(house, "here", "there")
    assert (here.profile, here.pillars) == ("A bakery in a village.", "bread, people")
    assert (there.profile, there.pillars) == ("", "")
    assert "> A bakery in a village." in seen_by_experts(teams)


async def test_what_is_set_in_a_channel_counts_for_what_one_person_alone_sees_of_it():
    async with served() as (front, house, _):
        await front.say("/panel settings profile A bakery.", author="ben")
        await front.say("/panel Open?", key="alone", place=ALONE)
        await house.intake.settled()
        [alone] = await briefs(house, "alone")
    assert alone.profile == "A bakery."


async def test_stop_in_a_channel_stops_the_askers_run_that_nobody_else_sees():
    held = Held()
    async with served(held) as (front, house, _):
        await front.say("/panel Open?", key="alone", place=ALONE)
        await until(lambda: held.waiting)
        await front.say("/panel stop", author="ben")
        assert "Nothing is running here" in front.told("ben")[-1]
        await front.say("/panel stop")
        await house.intake.settled()
        run = await house.store.get("alone")
    assert run.status == "stopped"


async def test_retry_in_a_channel_without_runs_is_about_the_askers_own_there():
    async with served() as (front, house, _):
        await front.say("/panel Open?", key="alone", place=ALONE)
        await house.intake.settled()
        await front.say("/panel retry")
        await front.say("/panel retry", author="ben")
        assert "Every expert answered" in front.told("ann")[-1]
        assert "nothing to retry" in front.told("ben")[-1]


async def test_settings_are_shown_with_the_models_and_who_set_them_when():
    async with served() as (front, _, _):
        await front.say("/panel settings")
        await front.say("/panel settings profile A bakery.", author="ben")
        await front.say("/panel settings")
        before, after = front.told("ann")
        assert front.told("ben")[-1] == after, "whoever sets something is shown what is set"
    assert "experts: scripted" in before
    assert "profile: none" in before
    assert "set by" not in before
    assert "profile: A bakery." in after
    assert "set by ben, 2" in after


@pytest.mark.parametrize("nothing", ["", " -"])
async def test_a_setting_is_cleared_by_nothing_or_a_dash_and_the_other_stays(nothing):
    async with served() as (front, house, _):
        await front.say("/panel settings profile A bakery.")
        await front.say("/panel settings pillars bread")
        await front.say(f"/panel settings profile{nothing}")
        here = await settings_of(house.store, PLACE)
    assert (here.profile, here.pillars) == ("", "bread")


async def test_a_setting_that_is_too_long_is_refused_and_changes_nothing():
    async with served() as (front, house, _):
        await front.say("/panel settings profile A bakery.")
        await front.say(f"/panel settings profile {'x' * (TOPIC_LIMIT + 1)}")
        assert "The profile has 4,001 characters and may have 4,000" in front.told("ann")[-1]
        assert (await settings_of(house.store, PLACE)).profile == "A bakery."


async def test_an_old_gesture_that_is_delivered_again_does_not_undo_a_newer_one():
    async with served() as (front, house, _):
        for value, key in (("old", "first"), ("new", "second"), ("old", "first")):
            await front.say(f"/panel settings profile {value}", key=key)
        assert (await settings_of(house.store, PLACE)).profile == "new"


async def test_settings_survive_the_process(tmp_path):
    async with served(folder=tmp_path) as (front, _, _):
        await front.say("/panel settings profile A bakery.")
    async with served(folder=tmp_path) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        assert (await briefs(house, "run"))[0].profile == "A bakery."


# Forms


def filled_in(key: str, **options) -> Invocation:
    return Invocation(PLACE, "ann", "/panel Open?", key, "form", options=AskOptions(**options))


async def test_a_form_counts_for_its_run_and_is_remembered_where_it_says_so():
    async with served() as (front, house, _):
        await front.say("/panel settings profile A bakery.")
        await front.hand(filled_in("once", profile="A mill."))
        await front.say("/panel Open?", key="plain")
        await front.hand(filled_in("kept", profile="A farm.", pillars="soil", remember=True))
        await front.say("/panel Open?", key="after")
        await front.hand(filled_in("empty"))
        await house.intake.settled()
        given = [
            (brief.profile, brief.pillars) for brief in await briefs(house, "once", "plain", "kept", "after", "empty")
        ]
        here = await settings_of(house.store, PLACE)
    assert given == [("A mill.", ""), ("A bakery.", ""), ("A farm.", "soil"), ("A farm.", "soil"), ("", "")]
    assert (here.profile, here.pillars, here.by) == ("A farm.", "soil", "ann")


async def test_a_form_for_a_run_that_is_refused_is_not_remembered():
    async with served(rules=Rules(quotas=Quotas(person=1))) as (front, house, _):
        await front.say("/panel Open?")
        await front.hand(filled_in("refused", profile="A farm.", remember=True))
        await house.intake.settled()
        assert (await settings_of(house.store, PLACE)).profile == ""


# Fault 69: nothing of one place is another's


class Still:
    """Runs that are never begun: all stay as they were accepted."""

    async def start(self, round_id) -> None:
        pass

    async def left(self, rounds) -> None:
        pass

    async def standing(self, rounds) -> dict:
        return {}

    async def delete(self, rounds) -> None:
        pass


def intake_on(store, front: MemoryFrontEnd, rules: Rules = Rules()) -> Intake:
    fronts = dict.fromkeys(("memory", "other"), front)
    courier, ledger = Courier(fronts, store), Ledger()
    conductor = Conductor(store, courier, Work(teams=None), ledger)
    line = Line(store, Still())
    removals, departures = Removals(store, courier, Still(), line), Departures(store, conductor, Still(), line)
    return Intake(Parts(store, courier, conductor, line, load_catalog(None), ledger, removals, departures, rules))


names = st.sampled_from(["memory", "other"]), st.text(max_size=3), st.text(max_size=3)
places = st.builds(Place, *names)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(here=places, there=places, thread=st.text(min_size=1, max_size=3))
async def test_fault_69_two_places_that_differ_in_anything_share_nothing(tmp_path_factory, here, there, thread):
    if here == there:
        return
    front = MemoryFrontEnd()
    rules = Rules(quotas=Quotas(channel=1))
    async with store_at(tmp_path_factory.mktemp("places") / "runs.sqlite") as store:
        intake = intake_on(store, front, rules)

        async def say(place: Place, text: str, key: str, **about) -> str:
            """What was said on a line, to `ann` alone."""
            before = len(front.told("ann"))
            await intake.take(Invocation(place, "ann", text, key, "command", **about))
            return " ".join(front.told("ann")[before:])

        await say(here, "/panel settings profile A bakery.", "set")
        assert await say(here, "/panel Open?", "run") == ""
        await store.opened("run", "run/root", ThreadRef(here, thread))

        assert (await settings_of(store, there)).profile == ""
        for seen in (await store.latest(there), await store.latest(there, thread), await store.get_in(there, "run")):
            assert seen is None
        assert await store.going(there) == await store.going(there, thread) == []
        for word in ("stop", "retry", "delete", "rate up synthesis"):
            for about in ({}, {"within": thread}, {"run": "run"}):
                told = await say(there, f"/panel {word}", f"{word} {about}", **about)
                assert "othing " in told or "no such run here" in told
        await intake.take(Withdrawn(there, "ann", "run"))
        run = await store.get("run")
        assert (run.status, run.stop_by) == ("accepted", None)
        assert await say(there, "/panel Open?", "run-there") == "", "the quota of one channel is not another's"
        assert (await store.get("run-there")).brief.profile == ""
        assert [run.id for run in await store.going(here)] == ["run"]
        assert "this channel has" in (await say(here, "/panel Again?", "again")).lower()
        await intake.take(Withdrawn(here, "ann", "run"))
        assert (await store.get("run")).stop_by == "ann"


@pytest.mark.parametrize("word", ["stop", "retry", "delete", "rate up synthesis"])
@pytest.mark.parametrize("place", [replace(PLACE, tenant="evil"), replace(PLACE, channel="of the same workspace")])
async def test_fault_70_a_run_id_forged_in_another_place_is_no_run_there(word, place):
    async with served() as (front, house, _):
        await front.say("/panel Open?", key="run", author="ann")
        await house.intake.settled()
        await front.hand(Invocation(place, "ann", f"/panel {word}", "forged", "control", run="run"))
        await house.intake.settled()
        assert "There is no such run here" in front.told("ann")[-1]
        run = await house.store.get("run")
        assert (run.status, run.round, run.stop_by) == ("finished", 1, None)
        assert len(front.keys(front.threads()[0])) == 9


# Threads


async def test_a_command_within_a_thread_is_about_the_run_of_that_thread():
    async with served() as (front, house, _):
        for key in ("first", "second"):
            await front.say("/panel Open?", key=key)
            await house.intake.settled()
        first, second = front.threads()
        await front.hand(Invocation(PLACE, "ann", "/panel rate up synthesis", "a", "command", within=first.thread))
        await front.hand(Invocation(PLACE, "ann", "/panel delete", "b", "command", within=first.thread))
        await house.intake.settled()
        assert await house.store.get("first") is None
        assert front.shown(first) == []
        assert len(front.shown(second)) == 9


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("stop", "Nothing is running in this thread"),
        ("retry", "Nothing has been asked in this thread, so there is nothing to retry"),
        ("delete", "Nothing has been asked in this thread, so there is nothing to delete"),
        ("rate up synthesis", "Nothing has been asked in this thread, so there is nothing to rate"),
    ],
)
async def test_within_a_thread_without_a_run_nothing_of_its_place_is_meant(word, told):
    async with served() as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await front.hand(Invocation(PLACE, "ann", f"/panel {word}", "a", "command", within="of somebody else"))
        assert told in front.told("ann")[-1]
        assert (await house.store.get("run")).round == 1


async def test_stop_within_a_thread_stops_its_run_and_no_newer_one():
    hold = asyncio.Event()

    async def held(prompt):
        await hold.wait()
        return await good(prompt)

    async with served(held) as (front, house, _):
        for key in ("older", "newer"):
            await front.say("/panel Open?", key=key)
        await until(lambda: len(front.threads()) == 2)
        older = (await house.store.get("older")).thread
        await front.hand(Invocation(PLACE, "ann", "/panel stop", "press", "command", within=older.thread))
        hold.set()
        await house.intake.settled()
        assert [(await house.store.get(key)).status for key in ("older", "newer")] == ["stopped", "finished"]


async def test_the_root_of_a_thread_is_its_own_message_where_the_platform_says_so(tmp_path):
    async with store_at(tmp_path / "runs.sqlite") as store:
        thread = ThreadRef(PLACE, "hangs-from-this", "the-root")
        await store.opened("run", "run/root", thread)
        assert (await store.posts_of("run"))["run/root"].ref == MessageRef(thread, ("the-root",))
