"""A whole research team on scripts: what its models say is given, and its sources are in memory."""

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from teams.model import FailureKind, Source
from teams.research import ResearchTeam
from teams.scripted import Prompt, played, scripted_lm, synthesis_reply
from teams.sources.kit import OpenTools
from teams.sources.pages import Page
from teams.sources.port import Hit, SourceFailed

SOURCES = (
    Source("opening.md", "Bakeries may open on Sundays for three hours.\n\nThe town council decides on exceptions."),
    Source("wages.md", "Sunday work is paid with a supplement of half the wage."),
)

OPEN = {
    "claim": "Bakeries may open on Sundays for three hours.",
    "source": "S1",
    "quote": "Bakeries may open on Sundays for three hours.",
}

QUESTION = "May bakeries open on Sundays?"


def turn(tool="finish", **args):
    return {"next_thought": "t", "next_tool_name": tool, "next_tool_args": args}


SEARCH = (turn("search_documents", query="open Sundays"), turn())


def flash(turns=SEARCH, *, findings=(OPEN,), gaps=("what the council decides",), **special):
    """A searcher with these turns, and an analyst with these findings. `special`: what else the stages say."""
    script = list(turns)

    async def play(prompt: Prompt):
        if "`next_tool_name` (str)" in prompt.text:
            reply = script.pop(0)
        elif "`raw_results`" in prompt.text:
            reply = special.get("extract", {"reasoning": "r", "raw_results": "Three hours [S1]."})
        else:
            reply = special.get("analysis", {"findings": list(findings), "gaps": list(gaps)})
        if isinstance(reply, Exception):
            raise reply
        return reply

    return scripted_lm(play)


def pro(reply=None):
    async def play(_: Prompt):
        if isinstance(reply, Exception):
            raise reply
        return reply or answer("Bakeries may open on Sundays for three hours [S1].")

    return scripted_lm(play, "scripted/pro")


def answer(summary: str, **fields):
    return synthesis_reply(summary, **{"recommendation": "Ask the council.", "agreements": [], **fields})


def team(fast=None, strong=None, *, sources=SOURCES, kit=None, **given) -> ResearchTeam:
    return ResearchTeam(fast or flash(), strong or pro(), sources=sources, kit=kit, **given)


async def told(of: ResearchTeam, question: str = QUESTION, **run) -> list:
    async with of.run(question, **run) as events:
        return [event async for event in events]


def of(kind: type, events: list) -> list:
    return [event for event in events if isinstance(event, kind)]


def asked(lm) -> str:
    """All that a model was told, in all calls."""
    return "\n\n".join(prompt.text for prompt in played(lm).asked)


def observations(lm) -> str:
    """What the agent had seen when it wrote its last word."""
    return next(prompt.text for prompt in reversed(played(lm).asked) if "trajectory" in prompt.fields)


@dataclass
class FakeSearch:
    """A source with fixed hits, or a failure; it remembers what it was asked."""

    hits: tuple[Hit, ...] = ()
    failure: SourceFailed | Exception | None = None
    name: str = "fake"
    asked: list[str] = field(default_factory=list)

    async def search(self, query: str, most: int):
        self.asked.append(query)
        if isinstance(self.failure, Exception):
            raise self.failure
        return self.failure or self.hits[:most]


@dataclass
class FakePages:
    """Pages by URL; one that is not there is a failure."""

    pages: dict[str, str] = field(default_factory=dict)
    read_urls: list[str] = field(default_factory=list)

    async def read(self, url: str):
        self.read_urls.append(url)
        if url not in self.pages:
            return SourceFailed("page.example", FailureKind.UNAVAILABLE, "page.example says that there is no such page")
        title = re.sub(r"[\W_]+", " ", url.rsplit("/", 1)[-1])
        return Page(url, title, self.pages[url], "html", "2026-01-01T00:00:00+00:00")


@dataclass
class FakeTool:
    """A tool of a server that is not ours."""

    text: str | SourceFailed
    name: str = "notes__find"
    description: str = "Finds notes."
    server: str = "notes"
    calls: list = field(default_factory=list)

    @property
    def arguments(self):
        return {"text": {"type": "string"}}

    async def call(self, arguments):
        self.calls.append(dict(arguments))
        return self.text


@dataclass
class FakeBox:
    """Servers with these tools; `opened_times` counts the runs that wanted them."""

    tools: tuple[FakeTool, ...] = ()
    lost: tuple[SourceFailed, ...] = ()
    opened_times: int = 0

    @asynccontextmanager
    async def opened(self):
        self.opened_times += 1
        yield OpenTools(self.tools, self.lost)
