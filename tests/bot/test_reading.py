"""Documents by reference: fetched once, before anybody is asked, and named where they could not be read."""

import asyncio
from dataclasses import replace

import pytest

from adapters.memory import PLACE, Fault, MemoryFrontEnd
from adapters.port import (
    Attachment,
    Gone,
    Invocation,
    NotDispatched,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unfetched,
)
from bot.brief import Brief
from bot.documents import LARGEST_TOTAL, UnreadableDocument
from bot.reading import MOST_FILES, Readers, fetched_in_vain, read_what_came, to_fetch
from teams.catalog import load_catalog
from teams.lms import forget_lms
from teams.model import Source
from teams.scripted import played
from tests.house import Held, ScriptedTeams, good, served, until


@pytest.fixture(autouse=True)
async def _no_models():
    yield
    await forget_lms()


def refs(*names: str) -> tuple[Attachment, ...]:
    return tuple(Attachment(name, ref=f"ref-{name}") for name in names)


def asked(*files: Attachment, text: str = "/panel Open?", key: str = "run") -> Invocation:
    return Invocation(PLACE, "ann", text, key, "command", files)


class Shelf(MemoryFrontEnd):
    """Counts what is fetched; a file in `slow` takes that many seconds."""

    def __init__(self, **contents: bytes) -> None:
        super().__init__()
        self.contents = {f"ref-{name}": content for name, content in contents.items()}
        self.fetched: list[str] = []
        self.slow: dict[str, float] = {}
        self.at_once = self.most_at_once = 0

    async def fetch(self, invocation, attachment):
        self.fetched.append(attachment.name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.slow.get(attachment.name, 0.0))
        self.at_once -= 1
        return await super().fetch(invocation, attachment)


class Reader:
    """Reads UTF-8, refuses what begins with `%`; never more than one at a time."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.busy = False

    async def __call__(self, name: str, content: bytes) -> str:
        assert not self.busy, "one after the other"
        self.busy = True
        await asyncio.sleep(0)
        self.busy = False
        self.read.append(name)
        if content.startswith(b"%"):
            raise UnreadableDocument(f"{name} is a picture; give its text as a file")
        return content.decode()


class Teams(ScriptedTeams):
    """Scripted panels, also for research; `briefs` are those that were worked on."""

    def __init__(self, script=good) -> None:
        super().__init__(script)
        self.briefs = []

    def events(self, brief, steps, run_id, stop):
        self.briefs.append(brief)
        panel = brief.panel or load_catalog(None).get("decision")
        return super().events(replace(brief, panel=panel), steps, run_id, stop)


# What is read


async def read(front: MemoryFrontEnd, *files: Attachment, before=(), seconds: float = 5.0):
    """What was read by name, and the problems by name."""
    brief = Brief("research", "Who pays?", sources=tuple(before))
    invocation, brief = await read_what_came(front, Readers(Reader()), asked(*files), brief, seconds)
    assert to_fetch(invocation) == ()
    assert [file.name for file in invocation.attachments] == [file.name for file in files]
    return {source.name: source.text for source in brief.sources}, {
        file.name: file.problem for file in fetched_in_vain(invocation)
    }


async def test_files_are_fetched_side_by_side_and_read_in_their_order_behind_what_was_there():
    front = Shelf(a=b"one", b=b"two", c=b"three")
    front.slow = {"a": 0.05, "b": 0.03, "c": 0.01}
    texts, problems = await read(front, *refs(*"abc"), before=[Source("before", "zero")])
    assert list(texts.items()) == [("before", "zero"), ("a", "one"), ("b", "two"), ("c", "three")]
    assert problems == {}
    assert front.most_at_once == 3


async def test_what_has_its_text_or_a_problem_already_is_not_fetched():
    front = Shelf()
    files = (Attachment("text", "there"), Attachment("bad", problem="a PDF"), Attachment("both", "there", ref="ref"))
    assert await read(front, *files) == ({}, {})
    assert front.fetched == []


async def test_two_files_of_one_name_are_told_apart():
    front = MemoryFrontEnd()
    front.contents = {"1": b"one", "2": b"two", "3": b"three"}
    texts, _ = await read(front, *(Attachment("a.md", ref=ref) for ref in "123"))
    assert texts == {"a.md": "one", "a.md (2)": "two", "a.md (3)": "three"}


async def test_a_file_that_cannot_be_read_is_named_with_the_reason_and_the_others_are_read():
    texts, problems = await read(Shelf(a=b"one", b=b"%"), *refs("a", "b", "lost"))
    assert texts == {"a": "one"}
    assert problems["b"] == "b is a picture; give its text as a file"
    assert "not there any more" in problems["lost"]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Gone("deleted"), "it is not there any more; send it again"),
        (PermissionMissing("the bot may not read files", "install it again"), "the bot may not read files; install it"),
        (Rejected("no"), "it could not be fetched; send it again"),
    ],
)
async def test_why_a_file_could_not_be_fetched_is_a_sentence(error, why):
    front = Shelf(a=b"one")
    front.script(Fault(error, operation="fetch"))
    texts, problems = await read(front, *refs("a"))
    assert texts == {}
    assert problems["a"].startswith(why)


async def test_what_a_front_end_says_of_a_file_is_said_as_it_is():
    class Refusing(MemoryFrontEnd):
        async def fetch(self, invocation, attachment):
            return Unfetched("it belongs to another workspace; upload it here")

    assert (await read(Refusing(), *refs("a")))[1] == {"a": "it belongs to another workspace; upload it here"}


async def test_a_rate_limit_and_a_lost_connection_are_tried_again():
    front = Shelf(a=b"one")
    front.script(Fault(RateLimited(0.02), operation="fetch"), Fault(NotDispatched("no connection"), operation="fetch"))
    assert await read(front, *refs("a")) == ({"a": "one"}, {})


async def test_a_front_end_that_breaks_at_a_file_is_tried_again_and_breaks_no_run():
    class Breaking(Shelf):
        async def fetch(self, invocation, attachment):
            if not self.fetched:
                self.fetched.append(attachment.name)
                raise KeyError("a bug of the adapter's")
            return await super().fetch(invocation, attachment)

    assert await read(Breaking(a=b"one"), *refs("a")) == ({"a": "one"}, {})


async def test_what_is_not_there_in_time_is_named_and_what_is_there_is_used():
    front = Shelf(a=b"one", b=b"two", c=b"three")
    front.slow = {"b": 60.0}
    texts, problems = await read(front, *refs("a", "b"), seconds=0.1)
    assert texts == {"a": "one"}
    assert "was not read within 0 s" in problems["b"]


async def test_only_so_many_files_are_read_and_the_others_are_named():
    names = [f"f{number}" for number in range(MOST_FILES + 2)]
    texts, problems = await read(Shelf(**dict.fromkeys(names, b"text")), *refs(*names))
    assert list(texts) == names[:MOST_FILES]
    assert list(problems) == names[MOST_FILES:]
    assert all(f"only the first {MOST_FILES} files are read" in why for why in problems.values())


async def test_what_would_be_too_much_together_is_left_out_and_a_smaller_one_behind_it_is_not():
    half = b"x" * (LARGEST_TOTAL // 2)
    texts, problems = await read(
        Shelf(a=half, b=half, c=b"small"), *refs(*"abc"), before=[Source("before", "some text")]
    )
    assert list(texts) == ["before", "a", "c"]
    assert "at most 400,000 can be given; it was left out" in problems["b"]


# In a run


async def test_documents_are_read_before_anybody_is_asked_and_the_board_says_so():
    front = Shelf(rent=b"The rent is low on Sundays.", staff=b"Nobody works on Sundays.")
    async with served(front=front, read=Reader(), teams=Teams()) as (_, house, teams):
        await front.hand(asked(*refs("rent", "staff")))
        await house.intake.settled()
        boards = [call.board for call in front.calls if call.board]
        stored = await house.store.get("run")
        assert front.told("ann") == []
        assert len(front.keys(front.threads()[0])) == 9
    assert (boards[0].note, boards[0].rows, boards[0].finished) == ("reading 2 documents", (), False)
    assert boards[0].title == "Decision: Open?"
    for prompt in played(teams.flash).asked:
        assert "> The rent is low on Sundays." in prompt.text
        assert "> Nobody works on Sundays." in prompt.text
    assert [source.name for source in stored.brief.sources] == ["rent", "staff"]
    assert stored.invocation.attachments == (Attachment("rent"), Attachment("staff"))


async def test_documents_that_could_not_be_read_are_named_once_in_the_thread_over_rounds_too():
    broken = {"cost_examiner"}

    async def play(prompt):
        return "no answer at all" if prompt.perspective in broken else await good(prompt)

    front = Shelf(rent=b"The rent is low.", plan=b"%")
    async with served(front=front, read=Reader(), teams=Teams(play)) as (_, house, teams):
        await front.hand(asked(*refs("rent", "plan")))
        await house.intake.settled()
        broken.clear()
        await front.say("/panel retry")
        await house.intake.settled()
        (thread,) = front.threads()
        shown, keys = front.shown(thread), front.keys(thread)
    assert keys[:2] == ["run/root", "run/documents"]
    assert [text for text in shown if "Not read" in text] == [
        "## Not read\n\n- plan is a picture; give its text as a file"
    ]
    assert front.fetched == ["rent", "plan"]
    assert all("> The rent is low." in prompt.text for prompt in played(teams.flash).asked)


async def test_research_on_documents_by_reference_is_taken_in_and_begins_once_they_are_read():
    front = Shelf(rent=b"The rent is low.")
    async with served(front=front, read=Reader(), teams=Teams()) as (_, house, teams):
        await front.hand(asked(*refs("rent"), text="/research Who pays?"))
        await house.intake.settled()
    (brief,) = teams.briefs
    assert (brief.team, brief.sources) == ("research", (Source("rent", "The rent is low."),))


async def test_research_without_a_document_that_can_be_read_ends_with_a_word_and_begins_no_team():
    front = Shelf(plan=b"%")
    async with served(front=front, read=Reader(), teams=Teams()) as (_, house, teams):
        await front.hand(asked(*refs("plan", "lost"), text="/research Who pays?"))
        await house.intake.settled()
        (thread,) = front.threads()
        shown, board = front.shown(thread), front.shown_board(thread)
        last = [call.doc for call in front.calls if call.operation == "post"][-1]
        assert (await house.store.get("run")).status == "finished"
    assert teams.briefs == []
    assert front.keys(thread) == ["run/root", "run/documents", "run/roster"]
    assert "plan is a picture" in shown[1]
    assert "lost: the file is not there any more" in shown[1]
    assert "nothing to search" in shown[2]
    assert last.mention == "ann"
    assert (board.finished, board.note, board.controls) == (True, "no document could be read", ())


async def test_a_restart_while_documents_are_read_reads_them_again_and_one_after_that_does_not(tmp_path):
    held, front = Held(), Shelf(rent=b"The rent is low.", plan=b"%")
    front.slow = {"rent": 60.0}
    async with served(held, folder=tmp_path, front=front, read=Reader()) as (_, house, _):
        await front.hand(asked(*refs("rent", "plan")))
        await until(lambda: len(front.fetched) == 2)
    front.slow = {}
    async with served(held, folder=tmp_path, front=front, read=Reader()) as (_, house, _):
        await until(lambda: len(held.waiting) == 6)
    assert len(front.fetched) == 4
    async with served(folder=tmp_path, front=front, read=Reader()) as (_, house, teams):
        await house.intake.settled()
        assert all("> The rent is low." in prompt.text for prompt in played(teams.flash).asked)
    assert len(front.fetched) == 4
    keys = front.keys(front.threads()[0])
    assert keys.count("run/documents") == 1
    assert len(keys) == len(set(keys))
    assert "from 6 of 6" in front.shown(front.threads()[0])[-1]


@pytest.mark.parametrize("text", ["/panel Open?", "/research Who pays?"])
async def test_a_run_that_is_stopped_while_its_documents_are_read_asks_nobody(text):
    front = Shelf(rent=b"The rent is low.")
    front.slow = {"rent": 60.0}
    async with served(front=front, read=Reader(), teams=Teams()) as (_, house, teams):
        await front.hand(asked(*refs("rent"), text=text))
        await until(lambda: front.fetched)
        await front.say("/panel stop")
        await house.intake.settled()
        assert (await house.store.get("run")).status == "stopped"
        assert played(teams.flash).asked == []
        assert "Stopped" in front.shown(front.threads()[0])[-1]
        assert front.shown_board(front.threads()[0]).finished


async def test_a_bug_in_reading_ends_its_run_alone_and_is_told():
    async def broken(name: str, content: bytes) -> str:
        raise KeyError("a bug of ours")

    front = Shelf(rent=b"The rent is low.")
    async with served(front=front, read=broken) as (_, house, _):
        await front.hand(asked(*refs("rent")))
        await house.intake.settled()
        assert "The run broke" in front.shown(front.threads()[0])[-1]
        await front.say("/panel Open?")
        await house.intake.settled()
        assert "from 6 of 6" in front.shown(front.threads()[1])[-1]
