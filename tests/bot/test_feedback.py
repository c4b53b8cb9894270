"""Feedback: one verdict a person and part, the newest; only on what a run of this place posted."""

import json
from dataclasses import replace

import pytest

from adapters.memory import PLACE, Fault
from adapters.port import Invocation, Rejected
from bot.feedback import read_feedback
from bot.record import exported, named
from teams.lms import forget_lms
from teams.scripted import Prompt
from tests.house import Held, good, served, until


@pytest.fixture(autouse=True)
async def _no_models():
    yield
    await forget_lms()


def pressed(verdict: str, part: str, key: str, *, author: str = "ann", run: str = "run", place=PLACE) -> Invocation:
    return Invocation(place, author, f"/panel rate {verdict} {part}", key, "control", run=run)


def kept(at, run: str = "run") -> list[tuple[str, str, str]]:
    found = read_feedback(at.reader(), run)
    return [(each.part, each.author, each.verdict) for each in found]


async def asked(front, house, key: str = "run") -> None:
    await front.say("/panel Open?", key=key)
    await house.intake.settled()


async def test_everybody_may_rate_and_the_newest_verdict_of_each_counts(at):
    async with served(at=at) as (front, house, _):
        await asked(front, house)
        await front.hand(pressed("up", "synthesis", "1"))
        await front.hand(pressed("up", "expert/cost_examiner", "2"))
        await front.hand(pressed("down", "synthesis", "3", author="ben"))
        await front.hand(pressed("down", "synthesis", "4"))
        assert front.told("ann") == ["## Thank you, noted."] * 3
        assert sorted(kept(at)) == [
            ("expert/cost_examiner", "ann", "up"),
            ("synthesis", "ann", "down"),
            ("synthesis", "ben", "down"),
        ]


async def test_a_press_that_is_delivered_again_does_not_undo_a_newer_one(at):
    async with served(at=at) as (front, house, _):
        await asked(front, house)
        for verdict, key in (("up", "1"), ("down", "2"), ("up", "1")):
            await front.hand(pressed(verdict, "synthesis", key))
        assert kept(at) == [("synthesis", "ann", "down")]


@pytest.mark.parametrize(
    ("press", "told"),
    [
        (pressed("up", "expert/nobody", "1"), "This run posted no expert/nobody, so it cannot be rated"),
        (pressed("up", "expert/failure_examiner", "1"), "This run posted no expert/failure_examiner"),
        (pressed("up", "synthesis", "1", run="unknown"), "There is no such run here"),
        (pressed("up", "synthesis", "1", place=replace(PLACE, channel="elsewhere")), "There is no such run here"),
    ],
)
async def test_what_was_not_posted_in_this_place_is_not_rated(at, press, told):
    async def one_fails(prompt: Prompt):
        return "no answer at all" if prompt.perspective == "failure_examiner" else await good(prompt)

    async with served(one_fails, at=at) as (front, house, _):
        await asked(front, house)
        await front.hand(press)
        assert told in front.told("ann")[-1]
        assert kept(at) == []


async def test_an_answer_that_the_platform_refused_is_not_rated():
    async with served() as (front, house, _):
        front.script(Fault(Rejected("bad words")))
        await asked(front, house)
        (thread,) = front.threads()
        (notice,) = [key for key in front.keys(thread) if key.endswith("/unshown")]
        part = notice.removeprefix("run/").removesuffix("/unshown")
        await front.hand(pressed("up", part, "1"))
        assert f"This run posted no {part}" in front.told("ann")[-1]


async def test_the_synthesis_of_a_later_round_is_the_synthesis(at):
    broken = {"cost_examiner"}

    async def play(prompt: Prompt):
        return "no answer at all" if prompt.perspective in broken or not prompt.perspective else await good(prompt)

    async with served(play, at=at) as (front, house, _):
        await asked(front, house)
        await front.hand(pressed("up", "expert/cost_examiner", "1"))
        broken.clear()
        await front.say("/panel retry")
        await house.intake.settled()
        await front.hand(pressed("up", "expert/cost_examiner", "2"))
        await front.hand(pressed("up", "synthesis", "3"))
        assert kept(at) == [("expert/cost_examiner", "ann", "up"), ("synthesis", "ann", "up")]


async def test_an_answer_can_be_rated_while_the_others_are_awaited(at):
    held = Held("cost_examiner")
    async with served(held, at=at) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await until(lambda: front.threads() and "run/expert/people_advocate" in front.keys(front.threads()[0]))
        await front.hand(pressed("up", "expert/people_advocate", "1"))
        assert kept(at) == [("expert/people_advocate", "ann", "up")]
        held.go.set()
        await house.intake.settled()


async def test_the_record_says_who_thought_what_of_which_part_and_when(at):
    async with served(at=at) as (front, house, _):
        await front.say("/panel settings profile A bakery.")
        await asked(front, house)
        await asked(front, house, "unrated")
        await front.hand(pressed("down", "synthesis", "1", author="b\x1b[2Jen"))
    (found,) = named([at], "run")
    (given,) = json.loads(exported(found, "json"))["feedback"]
    assert (given["part"], given["author"], given["verdict"]) == ("synthesis", "b\x1b[2Jen", "down")
    assert given["at"].startswith("2")
    document = exported(found, "md")
    assert "| synthesis | down | b\\x1b[2Jen | 2" in document
    assert "Profile: A bakery." in document
    assert "Asked by ann in memory general" in document
    (unrated,) = named([at], "unrated")
    assert json.loads(exported(unrated, "json"))["feedback"] == []
    assert "Feedback" not in exported(unrated, "md")


async def test_feedback_goes_with_its_run(at):
    async with served(at=at) as (front, house, _):
        for run in ("run", "other"):
            await asked(front, house, run)
            await front.hand(pressed("up", "synthesis", f"rate-{run}", run=run))
        await house.store.remove(["run"])
        assert kept(at) == []
        assert kept(at, "other") == [("synthesis", "ann", "up")]
