"""Research as a run of the bot: on the board, in the thread, over a restart, in the record. Models and sources are
scripted, all else is what is served."""

import asyncio
import json
import re
from dataclasses import replace

import pytest

from adapters.memory import PLACE, MemoryFrontEnd
from adapters.port import Attachment, Capabilities, Invocation
from bot.record import exported, has_answer, named
from bot.runs_at import InFolder
from teams.evidence.answer import NOTHING, NOTHING_CHECKED, SOURCES
from teams.lms import forget_lms
from teams.model import FailureKind
from teams.research import ResearchTeam
from teams.scripted import Prompt, chat_text, played, scripted_lm, synthesis_reply
from teams.sources.kit import ResearchKit
from teams.sources.pages import Page
from teams.sources.port import Hit, SourceFailed
from tests.house import served, until

HOURS = "Bakeries may open on Sundays for three hours. The town council decides on exceptions."
QUOTE = "Bakeries may open on Sundays for three hours."


@pytest.fixture(autouse=True)
async def _no_models():
    yield
    await forget_lms()


class Shelf:
    """A library with one document; `searched` are the queries. It waits for `go` before it answers the second one."""

    name = "library"

    def __init__(self) -> None:
        self.searched: list[str] = []
        self.go = asyncio.Event()
        self.go.set()

    async def search(self, query: str, most: int):
        self.searched.append(query)
        if len(self.searched) > 1:
            await self.go.wait()
        return (Hit("Opening hours", "/library/opening.md", HOURS, "library"),)


class Web:
    """A web search whose second result does not answer; `read_urls` are the pages asked for."""

    name = "web"

    def __init__(self) -> None:
        self.searched: list[str] = []
        self.read_urls: list[str] = []

    async def search(self, query: str, most: int):
        self.searched.append(query)
        return (
            Hit("Hours", "https://bakers.example/hours", "Open on Sundays?", "tavily"),
            Hit("Slow", "https://slow.example/", "It says more.", "tavily"),
        )

    async def read(self, url: str):
        self.read_urls.append(url)
        if "slow" in url:
            return SourceFailed("slow.example", FailureKind.TIMED_OUT, "slow.example did not send the page within 15 s")
        return Page(url, "Hours", HOURS, "html", "2026-03-02T09:30:00+00:00")


def turn(tool: str, **arguments):
    return {"next_thought": "t", "next_tool_name": tool, "next_tool_args": arguments}


class Script:
    """The turns of an agent; an analyst that quotes; an answer."""

    def __init__(self, *turns, quote: str = QUOTE, answer: str = "For three hours [S1].") -> None:
        self.turns, self.quote, self.answer = turns, quote, answer
        self.asked: list[str] = []

    async def __call__(self, prompt: Prompt):
        if "next_tool_name" in prompt.text:
            self.asked.append("turn")
            # By what was done so far, not by how often it was asked: a restart asks for no turn twice.
            done = len(re.findall(r"\[\[ ## observation_\d+ ## \]\]", prompt.text))
            return self.turns[done] if done < len(self.turns) else turn("finish")
        if "`raw_results`" in prompt.text:
            self.asked.append("extract")
            return {"reasoning": "r", "raw_results": f'[S1] says: "{self.quote}"'}
        if "`findings`" in prompt.text:
            self.asked.append("analysis")
            finding = {"claim": QUOTE, "source": "S1", "quote": self.quote}
            return {"findings": [finding], "gaps": ["who decides"]}
        self.asked.append("synthesis")
        return synthesis_reply(self.answer, recommendation="", agreements=[])


class Researchers:
    """The real team on scripted models."""

    def __init__(self, script: Script, kit: ResearchKit) -> None:
        self.script, self.kit = script, kit
        self.flash, self.pro = scripted_lm(script), scripted_lm(script, "scripted/pro")

    def events(self, brief, steps, run_id, stop):
        team = ResearchTeam(self.flash, self.pro, sources=brief.sources, kit=self.kit, linked=brief.linked)
        return team.run(brief.topic, steps, run_id=run_id, stop=stop)


def house(script: Script, kit: ResearchKit, **given):
    return served(teams=Researchers(script, kit), kit=kit, **given)


LIBRARY_TURNS = (turn("search_library", query="open Sundays"), turn("search_library", query="council"), turn("finish"))


async def test_research_reads_a_link_of_its_question_once_and_counts_it():
    link = "https://bakers.example/hours"
    web = Web()
    turns = (turn("search_documents", query="open Sundays"), turn("read_page", page=link), turn("finish"))
    async with house(Script(*turns), ResearchKit(web=web, pages=web)) as (front, opened, _):
        await front.say(f"/research What does {link} say?", key="run")
        await opened.intake.settled()
        shown = front.shown(front.threads()[0])
    assert web.read_urls.count(link) == 1
    assert "1 link read as documents." in "\n".join(shown)


async def test_research_posts_each_stage_as_it_finishes_and_then_the_checked_answer():
    shelf = Shelf()
    async with house(Script(*LIBRARY_TURNS), ResearchKit(library=shelf)) as (front, opened, _):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await opened.intake.settled()
        (thread,) = front.threads()
        keys, shown, board = front.keys(thread), front.shown(thread), front.shown_board(thread)
    stages = ["run/expert/searcher", "run/expert/analyst", "run/expert/checker"]
    assert keys == ["run/root", *stages, "run/synthesis", "run/roster"]
    assert "supported" in shown[3]
    assert "For three hours" in shown[4]
    assert SOURCES in shown[4]
    assert "opening.md" in shown[4]
    assert "from 3 of 3" in shown[5]
    assert [row.label for row in board.rows] == ["Searcher", "Analyst", "Checker", "Synthesis"]
    assert board.rows[2].model == "code"


async def test_the_research_board_says_how_many_searches_were_made_while_they_are():
    shelf = Shelf()
    shelf.go.clear()
    async with house(Script(*LIBRARY_TURNS), ResearchKit(library=shelf)) as (front, opened, _):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await until(lambda: len(shelf.searched) == 2)
        await until(lambda: front.shown_board(front.threads()[0]).rows[0].detail == "1 search")
        assert front.shown_board(front.threads()[0]).rows[0].state == "running"
        shelf.go.set()
        await opened.intake.settled()


async def test_a_restart_in_mid_research_searches_reads_and_asks_nothing_twice(tmp_path):
    shelf, web, front = Shelf(), Web(), MemoryFrontEnd()
    shelf.go.clear()
    kit = ResearchKit(library=shelf, web=web, pages=web)
    turns = (
        turn("search_web", query="bakeries"),
        turn("read_page", page="1"),
        turn("search_library", query="open Sundays"),
        turn("search_library", query="council"),
    )
    script = Script(*turns)
    async with house(script, kit, folder=tmp_path, front=front) as (_, opened, _):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await until(lambda: len(shelf.searched) == 2)
    shelf.go.set()
    async with house(script, kit, folder=tmp_path, front=front) as (_, opened, _):
        await opened.intake.settled()
        assert (await opened.store.get("run")).status == "finished"
    assert web.searched == ["bakeries"]
    assert web.read_urls == ["https://bakers.example/hours"]
    # The search that was under way was not recorded, so it is made again; the others are not.
    assert shelf.searched == ["open Sundays", "council", "council"]
    assert script.asked == ["turn"] * 5 + ["extract", "analysis", "synthesis"]
    keys = front.keys(front.threads()[0])
    assert len(keys) == len(set(keys))
    assert "For three hours" in "\n".join(front.shown(front.threads()[0]))


async def test_a_page_that_was_not_read_is_in_the_research_roster_with_its_reason():
    web = Web()
    script = Script(turn("search_web", query="bakeries"), turn("read_page", page="1, 2"))
    async with house(script, ResearchKit(web=web, pages=web)) as (front, opened, _):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await opened.intake.settled()
        roster = front.shown(front.threads()[0])[-1]
    assert web.read_urls == ["https://bakers.example/hours", "https://slow.example/"]
    assert "Sources not read: slow.example did not send the page within 15 s" in roster


async def test_a_quote_that_is_nowhere_does_not_reach_the_research_thread():
    script = Script(*LIBRARY_TURNS, quote="Bakeries never open before noon on holidays.", answer="Never [S1].")
    async with house(script, ResearchKit(library=Shelf())) as (front, opened, _):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await opened.intake.settled()
        (thread,) = front.threads()
        answer = dict(zip(front.keys(thread), front.shown(thread), strict=True))["run/synthesis"]
        assert has_answer(await opened.store.get("run"))
    assert NOTHING_CHECKED in answer
    assert "No checked answer" in answer
    assert "Never" not in answer
    assert "never open before noon" not in answer
    assert "synthesis" not in script.asked


async def test_research_that_finds_nothing_says_so_and_is_an_answer():
    class Empty(Shelf):
        async def search(self, query: str, most: int):
            self.searched.append(query)
            return ()

    script = Script(*LIBRARY_TURNS)
    async with house(script, ResearchKit(library=Empty())) as (front, opened, _):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await opened.intake.settled()
        shown = front.shown(front.threads()[0])
    assert any(NOTHING in text for text in shown)


async def test_what_is_attached_to_research_is_searched_beside_the_library():
    front = MemoryFrontEnd()
    front.contents = {"ref": HOURS.encode()}
    script = Script(turn("search_documents", query="open Sundays"))
    async with house(script, ResearchKit(library=Shelf()), front=front) as (_, opened, _):
        file = Attachment("opening.md", ref="ref")
        await front.hand(Invocation(PLACE, "ann", "/research May they open?", "run", "command", (file,)))
        await opened.intake.settled()
        shown = "\n".join(front.shown(front.threads()[0]))
    assert "opening.md" in shown
    assert "For three hours" in shown


async def test_where_few_posts_are_taken_research_is_one_with_its_stages_in_a_file():
    front = MemoryFrontEnd(capabilities=Capabilities(digest=True))
    async with house(Script(*LIBRARY_TURNS), ResearchKit(library=Shelf()), front=front) as (_, opened, _):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await opened.intake.settled()
        posts = [call for call in front.calls if call.operation == "post"]
    assert [call.key for call in posts] == ["run/roster"]
    (file,) = posts[0].doc.files
    assert "Checker" in file.text
    assert SOURCES in file.text


@pytest.mark.parametrize("how", ["json", "md"])
async def test_the_evidence_of_research_is_exported(tmp_path, how):
    async with house(Script(*LIBRARY_TURNS), ResearchKit(library=Shelf()), folder=tmp_path) as (front, opened, _):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await opened.intake.settled()
    (found,) = named([InFolder(tmp_path)], "run")
    text = exported(found, how)
    if how == "json":
        evidence = json.loads(text)["evidence"]
        assert [source["id"] for source in evidence["sources"]] == ["S1"]
        assert evidence["sources"][0]["text"] == HOURS
        assert len(evidence["sources"][0]["sha256"]) == 64
        assert [claim["verdict"] for claim in evidence["claims"]] == ["supported"]
    else:
        assert "# Evidence" in text
        assert "SHA-256 of the text" in text
        assert "supported" in text.split("## Claims")[1]


async def test_a_research_record_whose_evidence_was_changed_is_exported_without_it_and_says_so(tmp_path):
    async with house(Script(*LIBRARY_TURNS), ResearchKit(library=Shelf()), folder=tmp_path) as (front, opened, _):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await opened.intake.settled()
    (found,) = named([InFolder(tmp_path)], "run")
    steps = {key: step.replace("three hours. The", "nine hours. The") for key, step in found.run.steps.items()}
    changed = replace(found, run=replace(found.run, steps=steps))
    assert "not the one that was read" in json.loads(exported(changed, "json"))["evidence"]["problem"]
    assert "not the one that was read" in exported(changed, "md")


async def test_a_panel_has_no_evidence_to_export(tmp_path):
    async with served(folder=tmp_path) as (front, opened, _):
        await front.say("/panel Open?", key="run")
        await opened.intake.settled()
    (found,) = named([InFolder(tmp_path)], "run")
    assert "evidence" not in json.loads(exported(found, "json"))
    assert "# Evidence" not in exported(found, "md")


async def test_a_searcher_that_fails_is_named_and_no_answer_is_posted():
    class Mute(Script):
        async def __call__(self, prompt: Prompt):
            return chat_text({"next_thought": "t"})

    script = Mute()
    async with house(script, ResearchKit(library=Shelf())) as (front, opened, teams):
        await front.say("/research May bakeries open on Sundays?", key="run")
        await opened.intake.settled()
        shown = front.shown(front.threads()[0])
        assert not has_answer(await opened.store.get("run"))
        assert played(teams.pro).asked == []
    assert "Nobody answered" in shown[-1]
