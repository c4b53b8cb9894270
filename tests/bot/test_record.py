"""Records: what was asked and answered, read from the run database, for people and for programs."""

import asyncio
import json
import re

import pytest

from adapters.port import Attachment
from bot.record import exported, has_answer, listing, named, recent
from bot.runs_at import InFolder
from teams.events import RunFinished, RunStarted, event_from_json
from teams.lms import forget_lms
from teams.model import TOPIC_LIMIT
from teams.scripted import Prompt, synthesis_reply
from tests.house import good, served

SEATS = 6


@pytest.fixture(autouse=True)
async def _no_models():
    yield
    await forget_lms()


async def asked(tmp_path, *lines: str, script=good, **given):
    """Carry out these lines, each when the one before is over; what stood in the first thread, and the databases."""
    async with served(script, folder=tmp_path) as (front, house, _):
        for number, line in enumerate(lines):
            await front.say(line, key=f"run-{number}", **given)
            await house.intake.settled()
        shown = front.shown(front.threads()[0])
    return shown, [InFolder(tmp_path)]


async def test_a_run_is_listed_with_when_how_it_stands_its_id_and_what_was_asked(tmp_path):
    _, databases = await asked(tmp_path, "/panel First?", "/panel Second?")
    first, second = listing(recent(databases, 10)).splitlines()[::-1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  finished    run-0 +Decision.*: First\?", first)
    assert "run-1" in second
    assert "Second?" in second
    assert listing(recent(databases, 1)).splitlines() == [second]


def test_where_nothing_was_asked_that_is_said():
    assert listing(recent([], 10)) == "no runs yet\n"


async def test_a_list_of_several_databases_is_one_newest_first(tmp_path):
    folders = [tmp_path / name for name in ("old", "new")]
    for number, folder in enumerate(folders):
        folder.mkdir()
        async with served(folder=folder) as (front, house, _):
            await front.say("/panel Open?", key=f"run-{number}")
            await house.intake.settled()
    assert [found.run.id for found in recent([InFolder(folder) for folder in folders], 10)] == ["run-1", "run-0"]


async def test_a_run_is_named_by_the_beginning_of_its_id_and_a_whole_id_means_itself(tmp_path):
    async with served(folder=tmp_path) as (front, house, _):
        for key in ("ab", "abc", "a%"):
            await front.say("/panel Open?", key=key)
        await house.intake.settled()
    databases = [InFolder(tmp_path)]

    def names(what: str) -> set[str]:
        return {found.run.id for found in named(databases, what)}

    assert names("a") == {"ab", "abc", "a%"}
    assert names("ab") == {"ab"}
    assert names("abc") == {"abc"}
    assert names("a%") == {"a%"}
    assert names("a_") == set()
    assert names("b") == set()


async def test_the_document_holds_all_that_the_thread_showed_and_who_asked(tmp_path):
    shown, databases = await asked(tmp_path, "/panel Open on Sundays?")
    (found,) = named(databases, "run-0")
    document = exported(found, "md")
    assert "## Decision" in document.splitlines()[0]
    assert "Run run-0: finished, round 1" in document
    assert "Asked by ann in memory general" in document
    for text in shown[1:]:
        assert text in document
    assert len(shown) == 1 + SEATS + 2
    assert "Receipt: 7 model calls" in document


async def test_the_object_holds_events_steps_and_the_receipt_for_programs(tmp_path):
    files = (Attachment("rent.md", "The rent is low."),)
    _, databases = await asked(tmp_path, "/panel Öffnen?", attachments=files)
    (found,) = named(databases, "run-0")
    text = exported(found, "json")
    plain = json.loads(text)

    assert "Öffnen?" in text
    assert text.endswith("}\n")
    assert (plain["id"], plain["status"], plain["round"], plain["starts"]) == ("run-0", "finished", 1, 1)
    assert plain["stopped_by"] is None
    assert plain["created_at"] <= plain["started_at"] <= plain["ended_at"]
    assert plain["asked"]["text"] == "/panel Öffnen?"
    assert plain["brief"]["topic"] == "Öffnen?"
    assert "The rent is low." in json.dumps(plain["brief"])
    events = [event_from_json(event) for event in plain["events"]]
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert len([key for key in plain["steps"] if key.startswith("expert:")]) == SEATS
    usages = [step["usage"] for step in plain["steps"].values() if "usage" in step]
    assert len(usages) == SEATS + 1
    for count in ("calls", "input_tokens", "output_tokens"):
        assert plain["receipt"][count] == sum(usage[count] for usage in usages)
    assert plain["receipt"]["input_tokens"] > 0


async def test_a_long_text_that_the_thread_had_as_a_file_is_whole_in_the_document(tmp_path):
    long = "word " * 4_000 + "THE-END"

    async def wordy(prompt: Prompt):
        return synthesis_reply(long) if not prompt.perspective else await good(prompt)

    shown, databases = await asked(tmp_path, "/panel Open?", script=wordy)
    (found,) = named(databases, "run-0")
    assert "THE-END" not in "".join(shown)
    assert "THE-END" in exported(found, "md")


async def test_text_of_people_and_models_is_inert_in_lists_and_documents(tmp_path):
    async def hostile(prompt: Prompt):
        return synthesis_reply("all \x1b[2J in all") if not prompt.perspective else await good(prompt)

    _, databases = await asked(tmp_path, "/panel Open \x1b]52;c;evil\x07\u202e?", script=hostile, author="a\x1b[2Jnn")
    found = named(databases, "run-0")
    for text in (listing(found), exported(found[0], "md"), exported(found[0], "json")):
        assert not set(text) & {"\x1b", "\x07"}
    assert "\u202e" not in listing(found) + exported(found[0], "md")
    assert listing(found).count("\n") == 1


async def test_a_long_topic_makes_one_line_of_a_list(tmp_path):
    _, databases = await asked(tmp_path, f"/panel {'x' * (TOPIC_LIMIT - 20)}\nsecond line")
    text = listing(recent(databases, 10))
    assert text.count("\n") == 1
    assert len(text) < 200


async def test_whether_anybody_answered(tmp_path):
    async def nobody(_: Prompt):
        return "no answer at all"

    async def no_synthesis(prompt: Prompt):
        return await good(prompt) if prompt.perspective else "no synthesis at all"

    for name, script, answered in (("a", nobody, False), ("b", no_synthesis, True), ("c", good, True)):
        folder = tmp_path / name
        folder.mkdir()
        _, databases = await asked(folder, "/panel Open?", script=script)
        (found,) = named(databases, "run-0")
        assert has_answer(found.run) is answered
        assert "Not" not in found.state


async def test_a_database_is_read_while_it_is_served(tmp_path):
    go = asyncio.Event()

    async def held(prompt: Prompt):
        if prompt.perspective == "cost_examiner":
            await go.wait()
        return await good(prompt)

    async with served(held, folder=tmp_path) as (front, house, _):
        await front.say("/panel Open?", key="run-0")
        while not front.threads() or len(front.shown(front.threads()[0])) < SEATS:
            await asyncio.sleep(0.01)
        (found,) = recent([InFolder(tmp_path)], 10)
        assert (found.state, found.interrupted) == ("running", False)
        so_far = exported(found, "md")
        go.set()
        await house.intake.settled()
        (found,) = recent([InFolder(tmp_path)], 10)
        assert found.state == "finished"
    assert "people_advocate speaks" in so_far
    assert "cost_examiner speaks" not in so_far
    assert "cost_examiner speaks" in exported(found, "md")


async def test_a_run_that_no_process_is_at_is_interrupted(tmp_path):
    async def hang(_: Prompt):
        await asyncio.Event().wait()

    async with served(hang, folder=tmp_path) as (front, _, _):
        await front.say("/panel Open?", key="run-0")
        while not front.threads():
            await asyncio.sleep(0.01)
    (found,) = named([InFolder(tmp_path)], "run-0")
    assert (found.run.status, found.state, found.interrupted) == ("running", "interrupted", True)
    assert "interrupted" in listing([found])
    assert "Run run-0: interrupted, round 1" in exported(found, "md")
    assert json.loads(exported(found, "json"))["status"] == "interrupted"


async def test_the_record_of_a_second_round_says_of_the_synthesis_what_the_thread_says(tmp_path):
    broken = {"cost_examiner"}

    async def play(prompt: Prompt):
        return "no answer at all" if prompt.perspective in broken else await good(prompt)

    async with served(play, folder=tmp_path) as (front, house, _):
        await front.say("/panel Open?", key="run-0")
        await house.intake.settled()
        broken.clear()
        await front.say("/panel retry", key="retry")
        await house.intake.settled()
        (heading,) = re.findall(r"Synthesis v2.*", "\n".join(front.shown(front.threads()[0])))
    (found,) = named([InFolder(tmp_path)], "run-0")
    document = exported(found, "md")
    assert "Run run-0: finished, round 2" in document
    assert sum(f"{seat} speaks" in document for seat in ("cost_examiner", "people_advocate")) == 2
    assert re.findall(r"Synthesis v2.*", document) == [heading]


async def test_a_file_that_is_no_run_database_is_said_in_a_sentence_and_hides_no_other(tmp_path):
    (tmp_path / "good").mkdir()
    _, (good,) = await asked(tmp_path / "good", "/panel Open?")
    here, problems = InFolder(tmp_path), []
    path = here.file
    for content, why in (
        (None, "cannot be opened"),
        (b"not a database " * 1_000, "is damaged; put it aside"),
        (b"", ""),
    ):
        if content is not None:
            path.write_bytes(content)
        for found in (recent([here, good], 10, problems.append), named([here, good], "run", problems.append)):
            assert [each.run.id for each in found] == ["run-0"]
        assert len(problems) == 2
        assert all(str(path) in sentence and why in sentence for sentence in problems)
        problems.clear()
