"""Durable runs in one process: stop, retry, quotas, budgets and what is told of them, over the real database."""

import asyncio
import json

import pytest

from adapters.memory import PLACE, Fault, MemoryFrontEnd
from adapters.port import Capabilities, Invocation, Pace, Place, TooLarge, Unknown
from bot.receipts import Budgets, Tariff
from bot.record import named
from bot.rules import Rules
from bot.runs_at import InFolder
from bot.stored import Quotas
from teams.lms import forget_lms
from teams.prices import Price
from teams.scripted import Prompt, played
from tests.house import SEATS, Held, ScriptedTeams, good, served, until

ELSEWHERE = Place("memory", "tests", "elsewhere")


@pytest.fixture(autouse=True)
async def _no_models():
    yield
    await forget_lms()


def thread_of(front: MemoryFrontEnd, number: int = 0) -> list[str]:
    return front.shown(front.threads()[number])


# The same gesture


async def test_one_gesture_delivered_to_two_processes_is_one_run(tmp_path):
    front = MemoryFrontEnd()
    async with served(folder=tmp_path, front=front) as (_, house, teams):
        await front.say("/panel Open?", key="same")
        await house.intake.settled()
        assert len(played(teams.flash).asked) == 6
    async with served(folder=tmp_path, front=MemoryFrontEnd()) as (front, house, teams):
        await front.say("/panel Open?", key="same")
        await house.intake.settled()
        assert played(teams.flash).asked == []
        assert front.threads() == ()


async def test_a_root_that_the_platform_showed_already_is_the_runs_thread():
    async with served() as (front, house, _):
        first = await front.say("/panel list")
        thread = await front.open_thread(first, replace_title("Already there"), key="other/root")
        asked = Invocation(first.place, "ann", "/panel Open?", "gesture", "command", thread=thread)
        await house.intake.take(asked)
        await house.intake.settled()
        assert front.threads() == (thread,)
        assert "Already there" in front.shown(thread)[0]
        assert "from 6 of 6" in front.shown(thread)[-1]


def replace_title(title: str):
    from adapters.port import Doc

    return Doc(title)


# Stop


async def test_fault_32_stop_leaves_no_call_in_flight_and_keeps_what_came_back():
    held = Held("cost_examiner", "people_advocate")
    async with served(held) as (front, house, teams):
        await front.say("/panel Open?")
        await until(lambda: len(front.threads()) == 1 and sum("speaks" in text for text in thread_of(front)) == 4)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await front.say("/panel stop")
        await until(lambda: not played(teams.flash).in_flight)
        assert loop.time() - began < 1.0
        await house.intake.settled()
        assert "from 4 of 6; stopped before they answered: Cost examiner, People advocate" in thread_of(front)[-1]
        assert front.shown_board(front.threads()[0]).finished
        stored = await house.store.latest(front.threads()[0].place)
        assert (stored.status, stored.stop_by) == ("stopped", "ann")


async def test_stop_pressed_twice_on_one_run_stops_no_other():
    held = Held()
    async with served(held) as (front, house, teams):
        older = await front.say("/panel Older?")
        newer = await front.say("/panel Newer?")
        await until(lambda: len(held.waiting) == 12)
        for number in range(2):
            button = Invocation(newer.place, "ann", "/panel stop", f"press-{number}", "command", run=newer.key)
            await house.intake.take(button)
        await until(lambda: played(teams.flash).in_flight == 6)
        held.go.set()
        await house.intake.settled()
        assert [(await house.store.get(run.key)).status for run in (older, newer)] == ["finished", "stopped"]
        keys = [key for thread in front.threads() for key in front.keys(thread)]
        assert keys.count(f"{newer.key}/roster") == 1


async def test_the_same_stop_delivered_again_stops_nothing_more():
    held = Held()
    async with served(held) as (front, house, teams):
        for question in "ab":
            await front.say(f"/panel {question}?")
        await until(lambda: len(held.waiting) == 12)
        for _ in range(2):
            await front.say("/panel stop", key="one-gesture")
        await until(lambda: played(teams.flash).in_flight == 6)
        held.go.set()
        await house.intake.settled()
        assert sum("Stopped" in thread_of(front, number)[-1] for number in (0, 1)) == 1


async def test_a_run_is_stopped_by_its_asker_or_an_admin_and_by_nobody_else():
    held = Held()
    async with served(held, rules=Rules(admins=frozenset({"memory:root"}))) as (front, house, _):
        await front.say("/panel Open?", author="ann")
        await until(lambda: len(held.waiting) == 6)
        await front.say("/panel stop", author="bob")
        assert "Only ann or an admin can stop this run" in front.told("bob")[0]
        assert len(house.conductor.live) == 1
        await front.say("/panel stop", author="root")
        await house.intake.settled()
        assert "Stopped" in thread_of(front)[-1]


async def test_a_run_elsewhere_cannot_be_stopped_from_here():
    held = Held()
    async with served(held) as (front, house, _):
        run = await front.say("/panel Open?")
        await until(lambda: len(held.waiting) == 6)
        await house.intake.take(Invocation(ELSEWHERE, "ann", "/panel stop", "press", "command", run=run.key))
        assert "There is no such run here" in front.told("ann")[-1]
        assert len(house.conductor.live) == 1


async def test_a_stop_that_the_process_did_not_live_to_obey_is_obeyed_by_the_next(tmp_path):
    held, front = Held("cost_examiner"), MemoryFrontEnd()
    async with served(held, folder=tmp_path, front=front) as (_, house, _):
        run = await front.say("/panel Open?")
        await until(lambda: len(front.threads()) == 1 and sum("speaks" in text for text in thread_of(front)) == 5)
        await house.store.ask_stop(run.key, "press", "ann")
    async with served(good, folder=tmp_path, front=front) as (_, house, teams):
        await house.intake.settled()
        assert played(teams.flash).asked == []
        assert "from 5 of 6; stopped before they answered: Cost examiner" in thread_of(front)[-1]
        assert len(front.keys(front.threads()[0])) == len(set(front.keys(front.threads()[0])))


# Retry


async def test_fault_31_twenty_presses_of_retry_at_once_are_one_retry():
    broken = {"cost_examiner"}

    async def play(prompt: Prompt):
        return "no answer at all" if prompt.perspective in broken else await good(prompt)

    async with served(play) as (front, house, teams):
        run = await front.say("/panel Open?")
        await house.intake.settled()
        broken.clear()
        asked = len(played(teams.flash).asked)
        presses = [
            Invocation(run.place, f"person-{n % 2}", "/panel retry", f"press-{n}", "command", run=run.key)
            for n in range(20)
        ]
        await asyncio.gather(*(house.intake.take(press) for press in presses))
        await house.intake.settled()
        assert [prompt.perspective for prompt in played(teams.flash).asked[asked:]] == ["cost_examiner"]
        shown = thread_of(front)
        assert sum("Synthesis v2: added Cost examiner" in text for text in shown) == 1
        assert not any("Synthesis v3" in text for text in shown)
        stored = await house.store.get(run.key)
        assert (stored.round, stored.status) == (2, "finished")
        # Seven calls in the first round, in the second those of one expert and the synthesis.
        assert stored.receipt.calls == 7 + 2
        assert "Receipt: 2 model calls" in shown[-1]


async def test_a_retry_survives_the_process_that_began_it(tmp_path):
    broken, front = {"cost_examiner"}, MemoryFrontEnd()

    async def play(prompt: Prompt):
        return "no answer at all" if prompt.perspective in broken else await good(prompt)

    async with served(play, folder=tmp_path, front=front) as (_, house, _):
        run = await front.say("/panel Open?")
        await house.intake.settled()
        # Committed, and the process ends before it starts the round.
        assert await house.store.retry(run.key, "press") == (run.key, 2)
    broken.clear()
    async with served(play, folder=tmp_path, front=front) as (_, house, teams):
        await house.intake.settled()
        assert [prompt.perspective for prompt in played(teams.flash).asked] == ["cost_examiner"]
    assert any("Synthesis v2: added Cost examiner" in text for text in thread_of(front))
    assert "from 6 of 6" in thread_of(front)[-1]


async def test_what_a_stopped_run_missed_can_be_asked_again():
    held = Held("cost_examiner")
    async with served(held) as (front, house, _):
        await front.say("/panel Open?")
        await until(lambda: len(front.threads()) == 1 and sum("speaks" in text for text in thread_of(front)) == 5)
        await front.say("/panel stop")
        await house.intake.settled()
        held.go.set()
        await front.say("/panel retry")
        await house.intake.settled()
        assert "from 6 of 6" in thread_of(front)[-1]


# Recovery


async def test_after_a_recovery_an_unfinished_expert_has_a_fresh_deadline_and_is_the_only_one_asked(tmp_path):
    held, front = Held("cost_examiner"), MemoryFrontEnd()
    async with served(held, folder=tmp_path, front=front) as (_, house, _):
        await front.say("/panel Open?")
        await until(lambda: len(front.threads()) == 1 and sum("speaks" in text for text in thread_of(front)) == 5)
    async with served(good, folder=tmp_path, front=front) as (_, house, teams):
        await house.intake.settled()
        assert [prompt.perspective for prompt in played(teams.flash).asked] == ["cost_examiner"]
    shown = thread_of(front)
    assert sum("Resumed" in text for text in shown) == 1
    assert "from 6 of 6" in shown[-1]
    assert front.shown_board(front.threads()[0]).finished


async def test_fault_36_an_answer_that_came_late_is_late_in_a_replay_too():
    from teams.events import ExpertAnswered
    from teams.steps import MemorySteps

    steps = MemorySteps({"heard": json.dumps({"heard": sorted(SEATS - {"cost_examiner"})})})
    teams = ScriptedTeams(good)
    from bot.brief import Brief
    from teams.catalog import load_catalog

    late = {}
    brief = Brief("panel", "Open?", load_catalog(None).get("decision"))
    async with teams.events(brief, steps, "run", asyncio.Event()) as events:
        async for event in events:
            if isinstance(event, ExpertAnswered):
                late[event.perspective] = event.late
    assert late == dict.fromkeys(SEATS - {"cost_examiner"}, False) | {"cost_examiner": True}


async def test_a_run_whose_front_end_is_not_served_waits_for_it(tmp_path):
    held, front = Held(), MemoryFrontEnd()
    async with served(held, folder=tmp_path, front=front) as (_, house, _):
        run = await front.say("/panel Open?")
        await until(lambda: len(held.waiting) == 6)
    other = MemoryFrontEnd()
    other.name = "elsewhere"
    async with served(good, folder=tmp_path, front=other) as (_, house, _):
        await house.intake.settled()
        assert (await house.store.get(run.key)).status == "running"
    async with served(good, folder=tmp_path, front=front) as (_, house, _):
        await house.intake.settled()
        assert "from 6 of 6" in thread_of(front)[-1]


async def test_a_record_says_all_of_a_run_that_is_over_and_what_is_there_of_one_under_way(tmp_path):
    held = Held("cost_examiner")
    async with served(held, folder=tmp_path) as (front, house, _):
        run = await front.say("/panel Open?")
        await until(lambda: len(front.threads()) == 1 and sum("speaks" in text for text in thread_of(front)) == 5)
        from bot.record import exported

        (found,) = named([InFolder(tmp_path)], run.key)
        assert found.state == "running"
        assert exported(found, "md").count("speaks") >= 5
        held.go.set()
        await house.intake.settled()
        (found,) = named([InFolder(tmp_path)], run.key[:4])
        whole = json.loads(exported(found, "json"))
    assert whole["status"] == "finished"
    assert [event["event"] for event in whole["events"]][-1] == "RunFinished"
    assert "from 6 of 6" in exported(found, "md")


# What cannot be shown


async def test_a_thread_that_is_gone_is_told_to_the_asker_and_the_record_is_kept(tmp_path):
    held = Held("cost_examiner")
    async with served(held, folder=tmp_path) as (front, house, _):
        run = await front.say("/panel Open?")
        await until(lambda: len(front.threads()) == 1 and sum("speaks" in text for text in thread_of(front)) == 5)
        front.lose(front.threads()[0])
        held.go.set()
        await house.intake.settled()
        assert "is gone" in front.told("ann")[-1]
        assert len((await house.store.get(run.key)).events) > 8


async def test_a_post_that_the_platform_refuses_is_named_in_its_place():
    async with served() as (front, house, _):
        front.script(Fault(TooLarge(4000)))
        await front.say("/panel Open?")
        await house.intake.settled()
        shown = thread_of(front)
    assert sum("Not shown: " in text and "4,000 characters" in text for text in shown) == 1
    assert sum("speaks" in text.splitlines()[0] and "Not shown" not in text for text in shown) == 5


async def test_fault_17_a_send_whose_end_is_unknown_is_looked_for_before_it_is_sent_again():
    async with served() as (front, house, _):
        front.script(Fault(Unknown("cut off"), parts=None), Fault(Unknown("cut off"), parts=0))
        await front.say("/panel Open?")
        await house.intake.settled()
        keys = front.keys(front.threads()[0])
        sends = [call.key for call in front.calls if call.operation == "post"]
    assert len(keys) == len(set(keys)) == 9
    # The one that stood was not sent again; the one that did not stand was.
    assert len(sends) == 9


async def test_a_slow_place_gets_the_synthesis_before_the_answers_that_wait_and_never_more_than_its_pace():
    pace = Pace(burst=4, per_minute=600, reserved=1)
    front = MemoryFrontEnd(capabilities=Capabilities(pace=pace))
    async with served(front=front) as (_, house, _):
        await front.say("/panel Open?")
        await house.intake.settled()
        order = [key.partition("/")[2] for key in front.keys(front.threads()[0])]
    assert order[0] == "root"
    assert order[-1] == "roster"
    assert order.index("synthesis") < max(order.index(f"expert/{seat}") for seat in SEATS)


# Who may what


async def test_where_runs_are_not_allowed_nothing_begins_and_the_setting_is_named():
    async with served(rules=Rules(allowed_channels=frozenset({"elsewhere"}))) as (front, house, teams):
        await front.say("/panel Open?")
        assert "PANELIST_ALLOWED_CHANNELS" in front.told("ann")[0]
        await front.say("/panel Open?", place=ELSEWHERE)
        await house.intake.settled()
        assert len(front.threads()) == 1
        assert len(played(teams.flash).asked) == 6


@pytest.mark.parametrize(
    ("quotas", "whose"),
    [
        (Quotas(person=2), "You have had 2 runs today"),
        (Quotas(channel=2), "This channel has had 2 runs today"),
        (Quotas(workspace=2), "This workspace has had 2 runs today"),
    ],
)
async def test_fault_43_a_quota_that_is_used_up_is_told_with_when_it_begins_anew(quotas, whose):
    async with served(rules=Rules(frozenset({"root"}), None, quotas)) as (front, house, _):
        for question in "abc":
            await front.say(f"/panel {question}?")
        assert front.told("ann") == [f"## {whose}, which is the limit; it begins anew at 00:00 UTC."]
        await front.say("/panel For an admin?", author="root")
        await house.intake.settled()
        assert len(front.threads()) == 3


async def test_fault_42_whoever_waits_is_told_the_position_and_whoever_is_too_many_is_told_to_come_later():
    held = Held()
    rules = Rules(runs_in_flight=2, runs_waiting=3)
    async with served(held, rules=rules) as (front, house, teams):
        for number in range(8):
            await front.say(f"/panel {number}?")
        told = front.told("ann")
        await until(lambda: len(held.waiting) == 12)
        assert [text[3:19] for text in told[:3]] == ["Busy, position 1", "Busy, position 2", "Busy, position 3"]
        assert all("too much is waiting already (3 runs)" in text.lower() for text in told[3:])
        assert len(told) == 6
        held.go.set()
        await house.intake.settled()
        assert len(front.threads()) == 5
        assert all("from 6 of 6" in front.shown(thread)[-1] for thread in front.threads())
        assert played(teams.flash).most_in_flight == 12


async def test_fault_42_a_burst_of_ten_thousand_commands_is_answered_and_held_in_a_few_rows():
    held = Held()
    rules = Rules(runs_in_flight=10, runs_waiting=20)
    async with served(held, rules=rules, seconds=120) as (front, house, _):
        before = resident_mb()
        place = PLACE
        asked = [Invocation(place, f"p{n % 97}", f"/panel {n}?", f"burst-{n}", "command") for n in range(10_000)]
        await asyncio.gather(*map(house.intake.take, asked))
        grown = resident_mb() - before
        told = [text for author in {one.author for one in asked} for text in front.told(author)]
        held.go.set()
        await house.intake.settled()
        assert len(front.threads()) == 30
    assert sum("Busy, position" in text for text in told) == 20
    assert sum("oo much is waiting" in text for text in told) == 9_970
    assert grown < 150


def resident_mb() -> float:
    from pathlib import Path

    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def test_a_run_that_waits_can_be_stopped_and_asks_nobody():
    held = Held()
    async with served(held, rules=Rules(runs_in_flight=1, runs_waiting=3)) as (front, house, teams):
        await front.say("/panel First?")
        await until(lambda: len(held.waiting) == 6)
        second = await front.say("/panel Second?")
        await front.say("/panel stop")
        await until(lambda: len(front.threads()) == 2)
        await until(lambda: "Stopped" in thread_of(front, 1)[-1])
        assert len(held.waiting) == 6
        held.go.set()
        await house.intake.settled()
        assert (await house.store.get(second.key)).status == "stopped"
        assert len(played(teams.flash).asked) == 6


# Budgets

CENT = Price(0.0, 0.01)
"""A cent for a token out: an answer of these scripts has some dozens."""


async def test_fault_44_a_budget_reached_in_mid_panel_stops_new_calls_and_what_was_paid_for_is_synthesised():
    tariff = Tariff("scripted/flash", "scripted/pro", {"scripted/flash": CENT, "scripted/pro": CENT})
    guess = tariff.guess("expert:cost_examiner", brief_of("Open?"))
    room = tariff.guess("synthesis", brief_of("Open?")) + 4.5 * guess
    async with served(tariff=tariff, budgets=Budgets(run=room)) as (front, house, teams):
        run = await front.say("/panel Open?")
        await house.intake.settled()
        shown = thread_of(front)
        receipt = (await house.store.get(run.key)).receipt
        engines = (played(teams.flash), played(teams.pro))
    asked, syntheses = (len(engine.asked) for engine in engines)
    # Four at once; one that cost less than guessed leaves room for another.
    assert asked in (4, 5)
    assert syntheses == 1
    assert f"from {asked} of 6" in shown[-1]
    assert "not asked: the budget of a run" in shown[-1]
    assert any("all in all" in text for text in shown)
    assert receipt.calls == asked + 1
    assert receipt.cost <= room
    assert receipt.cost == pytest.approx(receipt.output_tokens * 0.01)


async def test_fault_44_when_nothing_is_left_of_the_day_the_asker_is_told_and_nothing_begins():
    tariff = Tariff("scripted/flash", "scripted/pro", {"scripted/flash": CENT, "scripted/pro": CENT})
    async with served(tariff=tariff, budgets=Budgets(day=0.01)) as (front, house, teams):
        await front.say("/panel Open?")
        await house.intake.settled()
        await front.say("/panel Again?")
        await house.intake.settled()
        assert played(teams.flash).asked == []
        assert "today's budget" in " ".join([*front.told("ann"), *thread_of(front)]).lower()


async def test_fault_45_where_a_price_is_not_known_the_receipt_says_so():
    async with served() as (front, house, _):
        run = await front.say("/panel Open?")
        await house.intake.settled()
        stored = await house.store.get(run.key)
        assert "cost unknown" in thread_of(front)[-1]
        assert stored.receipt.cost is None
        assert await house.store.charged_since(0.0) > 0


def brief_of(topic: str):
    from bot.brief import Brief
    from teams.catalog import load_catalog

    return Brief("panel", topic, load_catalog(None).get("decision"))


# Who is alerted


async def test_the_root_and_the_last_post_alert_the_asker_and_nothing_else_does():
    async with served() as (front, house, _):
        await front.say("/panel Open?", author="ann")
        await house.intake.settled()
        docs = [(call.key, call.doc.mention) for call in front.calls if call.doc]
        roots = {call.board.root for call in front.calls if call.board}
    assert [key for key, mention in docs if mention] == [docs[0][0], docs[-1][0]] == ["ask-1/root", "ask-1/roster"]
    assert {mention for _, mention in docs} == {"ann", ""}
    assert {(root.title, root.mention) for root in roots} == {("Decision: Open?", "ann")}


async def test_the_last_word_of_a_run_that_broke_alerts_its_asker():
    class Broken(ScriptedTeams):
        def events(self, brief, steps, run_id, stop):
            raise KeyError("a bug of ours")

    async with served(teams=Broken(good)) as (front, house, _):
        await front.say("/panel Open?", author="ann")
        await house.intake.settled()
        assert [call.doc.mention for call in front.calls if call.operation == "post"] == ["ann"]
