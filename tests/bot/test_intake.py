"""From a line of text to a thread: what is asked is shown, what is wrong is one sentence, nothing is half done."""

import asyncio

import pytest

from adapters.memory import PLACE, Fault, MemoryFrontEnd
from adapters.port import AskOptions, Attachment, Capabilities, Invocation, PermissionMissing, RateLimited, Rejected
from bot.rules import Rules
from teams.lms import forget_lms
from teams.scripted import Prompt, played
from tests.house import Held, ScriptedTeams, good, served, until


@pytest.fixture(autouse=True)
async def _no_models():
    yield
    await forget_lms()


async def test_a_panel_is_asked_and_its_thread_tells_all():
    async with served() as (front, house, _):
        await front.say("/panel Should our bakery open on Sundays?")
        await house.intake.settled()
        (thread,) = front.threads()
        shown = front.shown(thread)
        board = front.shown_board(thread)

    assert "Should our bakery open on Sundays?" in shown[0]
    assert sum("speaks" in text for text in shown) == 6
    assert "all in all" in shown[-2]
    assert "from 6 of 6" in shown[-1]
    assert board.finished
    assert [row.state for row in board.rows] == ["done"] * 7


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/panel", "There is no topic"),
        ("/research   ", "There is no question"),
        (f"/panel {'x' * 4001}", "The topic has 4,001 characters and may have 4,000"),
        ("/panel --panel desicion Rewrite?", "did you mean 'decision'"),
        ("/panel \udcff", "The topic holds bytes that are no text"),
        ("/panel stop", "Nothing is running here"),
        ("/panel retry", "nothing to retry"),
        ("good morning", "That is no command: good morning"),
    ],
)
async def test_what_cannot_be_asked_is_one_sentence_and_no_thread(line, told):
    async with served() as (front, _, teams):
        invocation = await front.say(line)
        assert told in front.told(invocation.author)[0]
        assert front.threads() == ()
        assert played(teams.flash).asked == []


@pytest.mark.parametrize("line", ["/panel help", "/panel list", "/panel settings"])
async def test_help_lists_and_settings_are_told_to_the_asker_alone(line):
    async with served() as (front, _, _):
        invocation = await front.say(line)
        assert len(front.told(invocation.author)) == 1
        assert front.threads() == ()


async def test_stop_ends_the_run_and_keeps_what_came_back():
    async def some_hang(prompt: Prompt):
        if prompt.perspective in ("cost_examiner", "people_advocate"):
            await asyncio.Event().wait()
        return await good(prompt)

    async with served(some_hang) as (front, house, teams):
        await front.say("/panel Open?")
        while len(front.threads()) == 0 or len(front.shown(front.threads()[0])) < 5:
            await asyncio.sleep(0.01)
        await front.say("/panel stop")
        await house.intake.settled()
        shown = front.shown(front.threads()[0])
        assert played(teams.flash).in_flight == 0

    assert "from 4 of 6; stopped before they answered: Cost examiner, People advocate" in shown[-1]


async def test_retry_asks_only_those_that_failed_and_writes_a_second_synthesis():
    broken = {"cost_examiner"}

    async def play(prompt: Prompt):
        return "no answer at all" if prompt.perspective in broken else await good(prompt)

    async with served(play) as (front, house, teams):
        await front.say("/panel Open?")
        await house.intake.settled()
        asked = len(played(teams.flash).asked)
        broken.clear()
        await front.say("/panel retry")
        await house.intake.settled()
        (thread,) = front.threads()
        shown, keys = front.shown(thread), front.keys(thread)
        again = [prompt.perspective for prompt in played(teams.flash).asked[asked:]]
        invocation = await front.say("/panel retry")
        assert "nobody to ask again" in front.told(invocation.author)[-1]

    assert again == ["cost_examiner"]
    assert len(keys) == len(set(keys))
    assert sum("speaks" in text for text in shown) == 6
    assert any("Synthesis v2" in text for text in shown)
    assert "from 6 of 6" in shown[-1]


async def test_retry_writes_the_synthesis_again_when_that_alone_had_failed():
    failing = True

    async def play(prompt: Prompt):
        return "no synthesis at all" if failing and not prompt.perspective else await good(prompt)

    async with served(play) as (front, house, teams):
        await front.say("/panel Open?")
        await house.intake.settled()
        (thread,) = front.threads()
        assert "No synthesis" in "".join(front.shown(thread))
        failing = False
        asked = len(played(teams.flash).asked)
        await front.say("/panel retry")
        await house.intake.settled()
        assert "Synthesis v2" in "".join(front.shown(thread))
        assert len(played(teams.flash).asked) == asked


async def test_fault_30_when_all_fail_the_thread_has_one_message_and_the_log_one_notice():
    import dspy
    from structlog.testing import capture_logs

    async def revoked(_: Prompt):
        raise dspy.lm15.AuthError("CANARY", status=401)

    with capture_logs() as logs:
        async with served(revoked) as (front, house, _):
            await front.say("/panel Open?")
            await house.intake.settled()
            (thread,) = front.threads()
            root, message = front.shown(thread)
    assert message.count("refused the key") == 1
    notices = [entry for entry in logs if entry["log_level"] in ("warning", "error")]
    assert [(entry["event"], entry["failures"]) for entry in notices] == [("run.finished", ["refused"])]
    assert "CANARY" not in root + message + str(logs)


async def test_one_gesture_delivered_twice_is_one_run():
    async with served() as (front, house, teams):
        for _ in range(2):
            await front.say("/panel Open?", key="same")
        await house.intake.settled()
        assert len(front.threads()) == 1
        assert len(played(teams.flash).asked) == 6


async def test_stop_ends_the_newest_run_that_still_runs_and_stop_all_every_one():
    async def hang(_: Prompt):
        await asyncio.Event().wait()

    async with served(hang) as (front, house, teams):
        for question in "abc":
            await front.say(f"/panel {question}?")
        while played(teams.flash).in_flight < 18:
            await asyncio.sleep(0.01)
        await front.say("/panel stop")
        while played(teams.flash).in_flight > 12:
            await asyncio.sleep(0.01)
        await front.say("/panel stop")
        while played(teams.flash).in_flight > 6:
            await asyncio.sleep(0.01)
        assert "Stopped" in front.shown(front.threads()[1])[-1]
        await house.intake.stop_all()
        await house.intake.settled()
        assert all("Stopped" in front.shown(thread)[-1] for thread in front.threads())


async def test_a_bug_below_a_call_is_logged_with_its_place_and_without_its_words():
    from structlog.testing import capture_logs

    async def broken(_: Prompt):
        raise KeyError("CANARY")

    with capture_logs() as logs:
        async with served(broken) as (front, house, _):
            await front.say("/panel Open?")
            await house.intake.settled()
    broke = [entry for entry in logs if entry["event"] == "call.broke"]
    assert len(broke) == 6
    assert any("test_intake.py" in place for place in broke[0]["at"])
    assert "CANARY" not in str(logs)


async def test_an_attachment_that_could_not_be_read_is_named_and_the_rest_is_used():
    files = (Attachment("notes.md", "The rent is low on Sundays."), Attachment("plan.pdf", problem="a PDF"))
    async with served() as (front, house, teams):
        invocation = await front.say("/panel Open?", attachments=files)
        await house.intake.settled()
        assert "plan.pdf: a PDF" in front.told(invocation.author)[0]
    assert all(
        "> The rent is low on Sundays." in prompt.text for prompt in played(teams.flash).asked if prompt.perspective
    )


async def test_where_no_thread_can_be_opened_nothing_is_asked_and_the_fix_is_told():
    async with served() as (front, house, teams):
        front.script(
            Fault(
                PermissionMissing("the bot is not in this channel", "invite it with /invite"), operation="open_thread"
            )
        )
        invocation = await front.say("/panel Open?")
        await house.intake.settled()
        assert "invite it with /invite" in front.told(invocation.author)[0]
        assert played(teams.flash).asked == []


async def test_a_bug_in_a_run_is_told_once_and_the_next_run_works():
    class Broken(ScriptedTeams):
        breaks = True

        def events(self, brief, steps, run_id, stop):
            if self.breaks:
                raise KeyError("a bug of ours")
            return super().events(brief, steps, run_id, stop)

    async with served(teams=Broken(good)) as (front, house, teams):
        await front.say("/panel Open?")
        await house.intake.settled()
        teams.breaks = False
        await front.say("/panel Open?")
        await house.intake.settled()
        broken, whole = (front.shown(thread) for thread in front.threads())
        assert "The run broke" in broken[-1]
        assert all(front.shown_board(thread).finished for thread in front.threads())
        assert "from 6 of 6" in whole[-1]


# Forms

FORMS = Capabilities(forms=True)


@pytest.mark.parametrize("origin", ["command", "mention", "shortcut"])
async def test_a_question_without_a_topic_is_asked_by_a_form_where_there_are_forms(origin):
    async with served(front=MemoryFrontEnd(capabilities=FORMS)) as (front, _, _):
        await front.say("/panel settings profile A bakery.")
        before = len(front.told("ann"))
        empty = Invocation(PLACE, "ann", "/panel --panel engineering", "key", origin)
        await front.hand(empty)
        await until(lambda: front.forms)
        assert front.threads() == ()
        assert len(front.told("ann")) == before
    ((asked, form),) = front.forms
    assert asked == empty
    assert (form.topic, form.panel, form.profile, form.pillars) == ("", "engineering", "A bakery.", "")
    assert ("decision", "Decision") in form.panels


@pytest.mark.parametrize("line", ["/panel help", "good morning"])
async def test_whoever_is_told_the_commands_is_offered_the_form(line):
    async with served() as (front, _, _):
        await front.say(line)
    assert [call.doc.controls for call in front.calls] == [("form",)]


async def test_fault_38_a_notice_that_is_to_wait_keeps_nobody_waiting_and_is_told_after_that():
    async with served() as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        for line in ("/panel help", "/panel rate up synthesis"):
            front.script(Fault(RateLimited(0.1), operation="notify"))
            before = len(front.told("ann"))
            await front.say(line)
            assert len(front.told("ann")) == before, "it was taken in before it was told"
            await until(lambda before=before: len(front.told("ann")) > before)


async def test_a_form_that_comes_back_empty_is_told_what_it_lacks_and_not_shown_again():
    async with served(front=MemoryFrontEnd(capabilities=FORMS)) as (front, _, _):
        await front.hand(Invocation(PLACE, "ann", "/panel", "key", "form", options=AskOptions()))
        assert "There is no topic" in front.told("ann")[0]
    assert front.forms == []


async def test_a_form_is_not_waited_for_before_what_asked_for_it_is_acknowledged():
    class Slow(MemoryFrontEnd):
        go = asyncio.Event()

        async def ask(self, invocation, form):
            await self.go.wait()
            return await super().ask(invocation, form)

    async with served(front=Slow(capabilities=FORMS)) as (front, _, _):
        await front.say("/panel")
        assert front.forms == []
        front.go.set()
        await until(lambda: front.forms)


async def test_a_form_that_cannot_be_shown_is_told_and_offered_again():
    async with served(front=MemoryFrontEnd(capabilities=FORMS)) as (front, _, _):
        front.script(Fault(Rejected("too late"), operation="ask"))
        await front.say("/panel")
        await until(lambda: front.told("ann"))
        assert "The form could not be shown; write the topic behind the command" in front.told("ann")[0]
    assert [call.doc.controls for call in front.calls] == [("form",)]


@pytest.mark.parametrize(
    ("line", "rules", "told"),
    [
        ("/panel --panel desicion", Rules(), "did you mean 'decision'"),
        ("/panel", Rules(allowed_channels=frozenset()), "Runs are not allowed here"),
    ],
)
async def test_what_could_not_be_asked_anyway_is_told_instead_of_a_form(line, rules, told):
    async with served(front=MemoryFrontEnd(capabilities=FORMS), rules=rules) as (front, _, _):
        await front.say(line)
        assert told in front.told("ann")[0]
    assert front.forms == []


async def test_a_slash_command_that_stops_or_retries_is_answered_and_a_press_is_quiet():
    async def once(prompt: Prompt):
        if prompt.perspective == "cost_examiner" and not answered:
            answered.append(prompt)
            return "no answer"
        return await good(prompt)

    answered: list[Prompt] = []
    async with served(once) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await house.intake.settled()
        await front.hand(Invocation(PLACE, "ben", "/panel retry", "press", "control", run="run"))
        await house.intake.settled()
        assert not front.told("ben")
    answered.clear()
    held = Held()
    async with served(held) as (front, house, _):
        await front.say("/panel Open?", key="run")
        await until(lambda: held.waiting)
        await front.say("/panel stop")
        assert "Stopping." in front.told("ann")[-1]
        await house.intake.settled()
        await front.say("/panel retry")
        assert "Asking those experts again" in front.told("ann")[-1]
        held.go.set()
        await house.intake.settled()
