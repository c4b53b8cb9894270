"""Departure and withdrawal: what is taken back is stopped, and of a workspace that is gone nothing is kept."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from adapters.memory import PLACE, Fault, MemoryFrontEnd
from adapters.port import Departed, Invocation, NotSafe, RateLimited, Withdrawn
from bot.place_settings import settings_of
from bot.rules import Rules
from bot.runs_at import InFolder
from teams.lms import forget_lms
from teams.scripted import played
from tests.bot.test_removal import rows
from tests.house import Held, served, until
from tests.stores import altered, locked

GONE = Departed("memory", "tests")
OTHER = replace(PLACE, tenant="other")


@pytest.fixture(autouse=True)
async def _no_models():
    yield
    await forget_lms()


async def removed(house, *runs: str) -> None:
    async with asyncio.timeout(20):
        while [run for run in runs if await house.store.get(run) is not None]:
            await asyncio.sleep(0.01)


async def forgotten(at) -> None:
    """Wait until the departure itself is done."""
    async with asyncio.timeout(20):
        while rows(at)["departures"]:
            await asyncio.sleep(0.01)


# Departure


async def test_all_that_is_kept_of_a_workspace_that_is_gone_goes_and_nothing_of_another(at):
    async with served(at=at) as (front, house, _):
        for place, key in ((PLACE, "mine"), (replace(PLACE, channel="too"), "mine-too"), (OTHER, "other")):
            await front.say("/panel settings profile A bakery.", place=place)
            await front.say("/panel Open?", key=key, place=place)
            await house.intake.settled()
            rate = Invocation(place, "ann", "/panel rate up synthesis", f"rate-{key}", "control", run=key)
            await front.hand(rate)
        await front.hand(GONE)
        await removed(house, "mine", "mine-too")
        await forgotten(at)
        assert [await house.store.get(run) for run in ("mine", "mine-too")] == [None, None]
        assert (await house.store.get("other")).status == "finished"
        assert (await settings_of(house.store, PLACE)).profile == ""
        assert (await settings_of(house.store, OTHER)).profile == "A bakery."
        # Of gestures that were about no run only the key was kept, and it says nothing.
        assert rows(at) == Counter(
            runs=1, claims=2 + 3, charges=1, outbox=10, feedback=1, place_settings=1, workflows=1
        )


async def test_runs_under_way_end_at_once_and_without_another_word_and_none_that_waits_begins(at):
    held = Held()
    async with served(held, at=at, rules=Rules(runs_in_flight=2, runs_waiting=3)) as (front, house, teams):
        await front.say("/panel Open?", key="other", place=OTHER)
        await front.say("/panel Open?", key="going")
        await until(lambda: len(held.waiting) == 12)
        await front.say("/panel Open?", key="waiting")
        # The notice of the place in line is sent beside what accepted the run.
        await until(lambda: "Busy" in "".join(front.told("ann")))
        opened = 2 if isinstance(at, InFolder) else 3
        await until(lambda: len(front.threads()) == opened)
        before = len(front.calls)
        await front.hand(GONE)
        await removed(house, "going", "waiting")
        await until(lambda: played(teams.flash).in_flight == 6)
        assert len(front.calls) == before
        held.go.set()
        await house.intake.settled()
        await forgotten(at)
        assert (await house.store.get("other")).status == "finished"
        assert len(front.threads()) == opened, "where others could carry it out, it is opened by whoever took it in"
        assert rows(at) == Counter(runs=1, claims=1, charges=1, outbox=10, workflows=1)


async def test_a_delivery_that_waits_for_a_rate_limit_gives_up(at):
    async with served(at=at) as (front, house, _):
        front.script(Fault(RateLimited(3_000.0)))
        await front.say("/panel Open?", key="run")
        await until(lambda: [call for call in front.calls if call.operation == "post"])
        await front.hand(GONE)
        await removed(house, "run")
        await house.intake.settled()


async def test_what_comes_from_a_new_installation_is_not_touched(at):
    async with served(at=at) as (front, house, _):
        await front.say("/panel Open?", key="before")
        await house.intake.settled()
        await front.hand(GONE)
        await front.say("/panel settings profile A mill.")
        await front.say("/panel Open?", key="after")
        await house.intake.settled()
        await removed(house, "before")
        await forgotten(at)
        assert (await house.store.get("after")).status == "finished"
        assert (await settings_of(house.store, PLACE)).profile == "A mill."


async def test_a_departure_that_is_told_late_takes_only_what_was_there_before_it(at):
    async with served(at=at) as (front, house, _):
        await front.say("/panel Open?", key="before")
        await house.intake.settled()
        then = house.store.now()
        await front.say("/panel settings profile A mill.")
        await front.say("/panel Open?", key="after")
        await house.intake.settled()
        await front.hand(replace(GONE, at=then))
        await removed(house, "before")
        await forgotten(at)
        assert (await house.store.get("after")).status == "finished"
        assert (await settings_of(house.store, PLACE)).profile == "A mill."


async def test_a_departure_that_is_told_to_be_in_the_future_is_now(at):
    async with served(at=at) as (front, house, _):
        await front.hand(replace(GONE, at=house.store.now() + 3_600))
        await front.say("/panel Open?", key="after")
        await house.intake.settled()
        await forgotten(at)
        assert (await house.store.get("after")).status == "finished"


async def test_an_older_departure_takes_nothing_back_of_a_newer_one(at):
    async with served(at=at) as (front, house, _):
        then = house.store.now()
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await asyncio.gather(front.hand(GONE), front.hand(replace(GONE, at=then)))
        await removed(house, "run")
        await forgotten(at)
        assert rows(at) == Counter()


async def test_a_departure_that_is_told_twice_is_one(at):
    async with served(at=at) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await asyncio.gather(front.hand(GONE), front.hand(GONE))
        await removed(house, "run")
        await forgotten(at)
        assert rows(at) == Counter()


async def test_runs_of_a_workspace_that_is_gone_are_no_runs_for_any_gesture(at):
    held = Held()
    async with served(held, at=at) as (front, _, _):
        await front.say("/panel Open?", key="run")
        await until(lambda: len(held.waiting) == 6)
        await front.hand(GONE)
        for word in ("stop", "retry", "delete"):
            await front.hand(Invocation(PLACE, "ann", f"/panel {word}", word, "control", run="run"))
            assert "There is no such run here" in front.told("ann")[-1]


async def test_a_departure_that_the_process_did_not_live_to_carry_out_is_carried_out_by_the_next(at):
    held, front = Held(), MemoryFrontEnd()
    async with served(held, at=at, front=front) as (_, house, _):
        for key, place in (("mine", PLACE), ("other", OTHER)):
            await front.say("/panel Open?", key=key, place=place)
        await until(lambda: len(held.waiting) == 12)
        then = house.store.now()
    # Committed, and the process ended before it did anything about it.
    altered(at, "INSERT INTO departures VALUES ('memory', 'tests', :then)", then=then)
    altered(at, "UPDATE runs SET status = 'stopped', ended_at = :then WHERE tenant = 'tests'", then=then)
    before = len(front.shown(front.threads()[0]))
    async with served(at=at, front=front) as (_, house, teams):
        await removed(house, "mine")
        await house.intake.settled()
        await forgotten(at)
        assert len(played(teams.flash).asked) == 6
        assert (await house.store.get("other")).status == "finished"
        assert len(front.shown(front.threads()[0])) == before, "nothing more was said in its thread"
    assert rows(at) == Counter(runs=1, claims=1, charges=1, outbox=10 + 1, workflows=1)


@pytest.fixture
def places_of_many():
    """Places in an organisation that departs, and such that only look as if they were in it."""
    departing = [replace(PLACE, tenant=tenant) for tenant in ("E1/T1", "E1/T2", "E1/")]
    staying = [replace(PLACE, tenant=tenant) for tenant in ("E1", "e1/T1", "E11/T1", "T1", "E2/T1", "E2/E1/T1")]
    return departing, staying


async def test_an_organisation_that_departs_takes_all_of_its_workspaces_along_and_no_other(at, places_of_many):
    departing, staying = places_of_many
    async with served(at=at) as (front, house, _):
        for place in (*departing, *staying):
            await front.say(f"/panel settings profile {place.tenant}.", place=place)
            await front.say("/panel Open?", key=place.tenant, place=place)
        await house.intake.settled()
        await front.hand(Departed("memory", "E1/"))
        await removed(house, *(place.tenant for place in departing))
        await forgotten(at)
        assert [(await house.store.get(place.tenant)).status for place in staying] == ["finished"] * len(staying)
        profiles = [(await settings_of(house.store, place)).profile for place in (*departing, *staying)]
        assert profiles == [""] * len(departing) + [f"{place.tenant}." for place in staying]
        counted = rows(at)
        assert (counted["runs"], counted["place_settings"], counted["workflows"]) == (len(staying),) * 3


async def test_runs_of_an_organisation_that_departs_end_at_once_and_are_no_runs_for_any_gesture():
    held = Held()
    here, elsewhere = replace(PLACE, tenant="E1/T1"), replace(PLACE, tenant="E2/T1")
    async with served(held) as (front, house, teams):
        for place in (here, elsewhere):
            await front.say("/panel Open?", key=place.tenant, place=place)
        await until(lambda: len(held.waiting) == 12)
        await front.hand(Departed("memory", "E1/"))
        await front.hand(Invocation(here, "ann", "/panel stop", "stop", "control", run="E1/T1"))
        assert "There is no such run here" in front.told("ann")[-1]
        assert await house.store.latest(here) is None
        await removed(house, "E1/T1")
        await until(lambda: played(teams.flash).in_flight == 6)
        held.go.set()
        await house.intake.settled()
        assert (await house.store.get("E2/T1")).status == "finished"


async def test_an_organisation_that_comes_back_at_once_loses_nothing_of_what_it_asks_then(at):
    here = replace(PLACE, tenant="E1/T1")
    async with served(at=at) as (front, house, _):
        await front.say("/panel Open?", key="before", place=here)
        await house.intake.settled()
        await front.hand(Departed("memory", "E1/T1"))
        await front.hand(Departed("memory", "E1/"))
        await front.say("/panel settings profile A mill.", place=here)
        await front.say("/panel Open?", key="after", place=here)
        await house.intake.settled()
        await removed(house, "before")
        await forgotten(at)
        assert (await house.store.get("after")).status == "finished"
        assert (await settings_of(house.store, here)).profile == "A mill."


async def test_an_organisation_whose_departure_the_process_did_not_live_to_carry_out_departs_at_the_next_start(
    at,
):
    here = replace(PLACE, tenant="E1/T1")
    async with served(at=at) as (front, house, _):
        for place in (here, OTHER):
            await front.say("/panel Open?", key=place.tenant, place=place)
        await house.intake.settled()
        then = house.store.now()
    altered(at, "INSERT INTO departures VALUES ('memory', 'E1/', :then)", then=then)
    async with served(at=at) as (_, house, _):
        await removed(house, "E1/T1")
        await forgotten(at)
        assert (await house.store.get("other")).status == "finished"


async def test_a_departure_that_cannot_be_written_down_is_not_acknowledged(at):
    async with served(at=at) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        with locked(at), pytest.raises(NotSafe):
            await front.hand(GONE)
        assert (await house.store.get("run")).status == "finished"


# Withdrawal


async def test_a_question_that_its_author_takes_back_is_stopped():
    held = Held("cost_examiner")
    async with served(held) as (front, house, teams):
        await front.say("/panel Open?", key="run")
        await until(lambda: front.threads() and sum("speaks" in text for text in front.shown(front.threads()[0])) == 5)
        await front.hand(Withdrawn(PLACE, "ann", "run"))
        await house.intake.settled()
        assert played(teams.flash).in_flight == 0
        stored = await house.store.get("run")
        assert (stored.status, stored.stop_by) == ("stopped", "ann")
        assert "Stopped" in front.shown(front.threads()[0])[-1]


@pytest.mark.parametrize(
    "withdrawn",
    [
        Withdrawn(PLACE, "ben", "run"),
        Withdrawn(OTHER, "ann", "run"),
        Withdrawn(replace(PLACE, channel="elsewhere"), "ann", "run"),
        Withdrawn(PLACE, "ann", "no run at all"),
    ],
)
async def test_what_is_taken_back_by_somebody_else_or_elsewhere_is_no_ones_business(withdrawn):
    held = Held("cost_examiner")
    async with served(held) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await until(lambda: held.waiting)
        await front.hand(withdrawn)
        held.go.set()
        await house.intake.settled()
        assert (await house.store.get("run")).status == "finished"
        assert front.told("ann") == front.told("ben") == []


async def test_what_is_over_is_not_taken_back():
    async with served() as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await front.hand(Withdrawn(PLACE, "ann", "run"))
        await house.intake.settled()
        assert (await house.store.get("run")).stop_by is None
        assert front.told("ann") == []
