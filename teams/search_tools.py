"""The tools of the search agent: what may be searched and read in one run, within its caps.

What a tool gives is a `Look`. Foreign text in it is quoted, line by line, under the id of its source. Only what a
search found, or the question holds, can be read as a page: an address that a model made up is never asked for anything.
"""

import asyncio
import re
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

import dspy
import structlog

from teams.evidence.export import inert
from teams.evidence.ledger import Kind
from teams.evidence.links import canonical, written
from teams.library import DocumentIndex
from teams.model import FailureKind, Source
from teams.observations import Observation, flags, line, seen
from teams.quoting import quoted_lines
from teams.reading import without_hidden_characters
from teams.sources.kit import ForeignTool, ResearchKit
from teams.sources.port import Hit, SearchSource, SourceFailed
from teams.sources.web import WebSearch
from teams.trail import Finding, Look, Trail

log = structlog.get_logger()
T = TypeVar("T")

DOCUMENT_SECONDS = 10.0
LIBRARY_SECONDS = 10.0
WEB_SECONDS = 60.0
"""Each provider of a chain has 10 s of its own."""

PAGE_SECONDS = 40.0
"""A page is fetched within 15 s, and read by its reader within 20."""

FOREIGN_SECONDS = 35.0
"""A server has 30 s for a call; the rest is for saying so."""

AT_ONCE = 3
"""Queries, or pages, of one tool call."""

PASSAGES = 5
"""Passages, or results, of one query."""

QUERY_LIMIT = 400
"""Characters of a query: it leaves this machine, and is no place for whole documents."""

TOOL_TEXT = 100_000
"""Characters that are kept of what a foreign tool gives."""

DOCUMENTS, LIBRARY, WEB, PAGES = "documents", "library", "web", "pages"

SHARE = 6
"""One tool call shows this part of what a prompt may hold: an agent has five turns and its last word."""

NO_LINKS: Mapping[str, str] = MappingProxyType({})

_URL = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)


class Documents:
    """The documents of a run as a source: searched in memory, indexed when they are first asked for."""

    name = "documents"

    def __init__(self, sources: Sequence[Source]) -> None:
        self.texts: dict[str, str] = {}
        for source in sources:
            same = sum(name == source.name or name.startswith(f"{source.name} (") for name in self.texts)
            self.texts[f"{source.name} ({same + 1})" if source.name in self.texts else source.name] = source.text

    @cached_property
    def _index(self) -> DocumentIndex:
        return DocumentIndex([Source(name, text) for name, text in self.texts.items()])

    async def search(self, query: str, most: int) -> tuple[Hit, ...] | SourceFailed:
        """See `SearchSource.search`. Cancelling ends the wait."""
        found = await asyncio.to_thread(lambda: self._index.search(query, most))
        return tuple(Hit(each.name, each.name, each.text, "") for each in found)


class SearchTools:
    """The tools of one run and the trail they leave. `trail` changes only by `took`, also on a replay.

    `linked` are links of the question that were read before, each with the name of its document: they are read no
    second time.
    """

    def __init__(
        self, kit: ResearchKit, documents: Documents | None, question: str, linked: Mapping[str, str] = NO_LINKS
    ) -> None:
        self.kit, self.documents, self.question, self.linked = kit, documents, question, linked
        self.trail = Trail()
        # A page is known by its link, and by where its redirects ended, which is its document's name.
        self._among = {canonical(url): name for link, name in linked.items() for url in (link, name) if canonical(url)}
        links = {canonical(url): url for url in map(_trimmed, _URL.findall(question)) if canonical(url)}
        self.links = {known: url for known, url in links.items() if known not in self._among}

    # --- What there is

    @property
    def names(self) -> tuple[str, ...]:
        """The sources there are, for people."""
        there = ((DOCUMENTS, self.documents), (LIBRARY, self.kit.library), (self._web_named, self.kit.web))
        named = [name for name, source in there if source is not None]
        links = ["links"] if self.linked or (self.links and self.kit.pages) else []
        return (*named, *(["tools"] if self.kit.tools else []), *links)

    @property
    def _web_named(self) -> str:
        """The web and who is asked for it: a question goes to them, and nobody is asked in silence."""
        web = self.kit.web
        return f"{WEB} ({', '.join(web.providers)})" if isinstance(web, WebSearch) and web.providers else WEB

    def tools(self, foreign: Iterable[ForeignTool] = ()) -> list[dspy.Tool]:
        """A tool for each source there is, and the foreign ones."""
        limits = f"At most {self.kit.searches} searches in all; up to {AT_ONCE} at once, one query a line."
        tools = []
        if self.documents is not None:
            names = ", ".join(map(repr, self.documents.texts))
            says = f"Search the documents handed in ({names}) by words; gives passages. {limits}"
            tools.append(dspy.Tool(self._search_documents, name="search_documents", desc=says))
        if self.kit.library is not None:
            says = f"Search the asker's library of files by words; gives passages. {limits}"
            tools.append(dspy.Tool(self._search_library, name="search_library", desc=says))
        if self.kit.web is not None:
            says = f"Search the web; gives numbered results, which are no evidence before they are read. {limits}"
            tools.append(dspy.Tool(self._search_web, name="search_web", desc=says))
        if self.kit.pages is not None and (self.kit.web is not None or self.links):
            says = (
                "Read a page: the number or the URL of a search result, or a link from the question; "
                f"up to {AT_ONCE} at once, at most {self.kit.pages_most} in all. No other page can be read."
            )
            tools.append(dspy.Tool(self._read_page, name="read_page", desc=says))
        ours = {tool.name for tool in tools} | {"finish"}
        return tools + [self._foreign(tool) for tool in foreign if tool.name not in ours]

    def deadlines(self, foreign: Iterable[ForeignTool] = ()) -> dict[str, float]:
        """How long a whole tool call may take, by tool: each query and page in it has a deadline of its own."""
        ours = {
            "search_documents": AT_ONCE * DOCUMENT_SECONDS,
            "search_library": AT_ONCE * LIBRARY_SECONDS,
            "search_web": AT_ONCE * WEB_SECONDS,
            "read_page": AT_ONCE * PAGE_SECONDS,
        }
        theirs = dict.fromkeys((tool.name for tool in foreign), FOREIGN_SECONDS)
        return {name: seconds + 5 for name, seconds in (theirs | ours).items()}

    @property
    def told(self) -> str:
        """How much of what was allowed was done: "3 searches of 8, 2 pages of 6"."""
        trail, kit = self.trail, self.kit
        searches = f"{trail.searches} search{'' if trail.searches == 1 else 'es'} of {kit.searches}"
        told = [searches]
        if kit.pages is not None:
            told.append(f"{trail.pages} page{'' if trail.pages == 1 else 's'} of {kit.pages_most}")
        if self.linked:
            told.append(f"{len(self.linked)} link{'' if len(self.linked) == 1 else 's'} read as documents")
        return ", ".join(told)

    def took(self, look: Look) -> None:
        """Go on from this look, whether it was just taken or taken before and recorded."""
        self.trail = self.trail.after(look)

    # --- What is done where the agent brought nothing

    def unasked(self, name: str) -> bool:
        """Whether nobody asked this source the question itself; for pages, whether there are some and none was read."""
        if name == PAGES:
            return self.kit.pages is not None and bool(self._first_pages) and not self.trail.pages
        source = {DOCUMENTS: self.documents, LIBRARY: self.kit.library, WEB: self.kit.web}[name]
        full = self.trail.searches >= self.kit.searches
        return source is not None and not full and (name, self._whole_question) not in self.trail.searched

    async def ask(self, name: str) -> Look:
        """Ask this source the question itself. Of pages, read the question's links, or else the first two results."""
        match name:
            case "documents":
                return await self._search_documents(self._whole_question)
            case "library":
                return await self._search_library(self._whole_question)
            case "web":
                return await self._search_web(self._whole_question)
            case _:
                return await self._read_page(" ".join(self._first_pages[:AT_ONCE]))

    @property
    def _first_pages(self) -> list[str]:
        found = [hit.where for hit in self.trail.results if canonical(hit.where) not in self._among]
        return [*self.links.values()] or found[:2]

    @property
    def _whole_question(self) -> str:
        line = " ".join(self.question.split())
        return line if len(line) <= QUERY_LIMIT else line[:QUERY_LIMIT].rsplit(" ", 1)[0]

    # --- The tools

    async def _search_documents(self, query: str) -> Look:
        assert self.documents is not None, "there is a tool only where there is a source"
        return await self._search(DOCUMENTS, self.documents, query, DOCUMENT_SECONDS)

    async def _search_library(self, query: str) -> Look:
        assert self.kit.library is not None, "there is a tool only where there is a source"
        return await self._search(LIBRARY, self.kit.library, query, LIBRARY_SECONDS)

    async def _search_web(self, query: str) -> Look:
        assert self.kit.web is not None, "there is a tool only where there is a source"
        return await self._search(WEB, self.kit.web, query, WEB_SECONDS)

    async def _search(self, name: str, source: SearchSource, query: str, seconds: float) -> Look:
        queries = list(dict.fromkeys(filter(None, (" ".join(line.split()) for line in query.splitlines()))))
        new = [each for each in queries if (name, each) not in self.trail.searched]
        asked = [each for each in new if len(each) <= QUERY_LIMIT][: self._searches_left]
        if not asked:
            return Look(self._why_not(queries, new))
        finding, told = Finding(self.trail), Observation(self.kit.characters // SHARE)
        tried, lost, results = list[str](), list[SourceFailed](), list[Hit]()
        for each in asked:
            found, passed_over = await _asked(source, each, seconds, f"the search in the {name}")
            lost += passed_over
            if isinstance(found, SourceFailed):
                lost.append(found)
                told.add(f"Search in the {name} for {each!r} failed: {found.sentence}")
                tried.append(f"Searched the {name} for: {inert(each)}; this failed: {found.sentence}")
                continue
            tried.append(f"Searched the {name} for: {inert(each)} ({len(found)} found)")
            told.add(f"Search in the {name} for {each!r}: {len(found) or 'nothing'} found")
            if name == WEB:
                results += self._results(found, len(results), told)
            else:
                self._passages(name, found, finding, told)
        if left := len(queries) - len(asked):
            told.add(f"{left} of the queries not searched: too many, over {QUERY_LIMIT} characters, or made before")
        searched = tuple((name, each) for each in asked)
        told.add(self._so_far(len(asked), 0))
        return finding.look(told.text, searched=searched, results=tuple(results), tried=tuple(tried), lost=tuple(lost))

    @property
    def _searches_left(self) -> int:
        return max(0, min(AT_ONCE, self.kit.searches - self.trail.searches))

    def _why_not(self, queries: Sequence[str] = (), new: Sequence[str] = ()) -> str:
        if not self._searches_left:
            return f"All {self.kit.searches} searches are made. Go on with what was found, or finish."
        if queries and not new:
            return "That was searched before, and what was found stands above. Ask for other words, or finish."
        if queries:
            return f"A query may have {QUERY_LIMIT} characters. Ask for a few words."
        return "The query is empty. Ask for a few words."

    def _passages(self, name: str, found: Sequence[Hit], finding: Finding, told: "Observation") -> None:
        kind: Kind = "document" if name == DOCUMENTS else "library"
        for hit in found:
            passage = told.fitting(hit.passage)
            if passage is None:
                continue
            text = self.documents.texts[hit.where] if kind == "document" and self.documents else hit.passage
            shown = [*(flag for flag in flags(text) if flag not in passage), passage]
            evidence = finding.add(kind, hit.where, hit.title, text, hit.provider, shown)
            told.passage(evidence.id, hit.title, "\n".join(shown))
        told.say_left_out()

    def _results(self, found: Sequence[Hit], before: int, told: "Observation") -> list[Hit]:
        """Pages that may be read from now on, under numbers that stay theirs."""
        results = [hit for hit in found if canonical(hit.where)]
        for number, hit in enumerate(results, start=len(self.trail.results) + before + 1):
            snippet = told.fitting(without_hidden_characters(hit.passage)) or ""
            shown = f"Result {number}: {line(hit.title)!r} at {written(hit.where)}\n{quoted_lines(snippet)}"
            told.add(shown.rstrip())
        return results

    async def _read_page(self, page: str) -> Look:
        wanted, refused, among = self._wanted(page)
        left = min(AT_ONCE, self.kit.pages_most - self.trail.pages)
        finding, told = Finding(self.trail), Observation(self.kit.characters // SHARE)
        tried, lost, read = list[str](), list[SourceFailed](), wanted[: max(0, left)]
        for url, provider in read:
            assert self.kit.pages is not None, "there is a tool only where there is a source"
            found = await _within(PAGE_SECONDS, self.kit.pages.read(url), "the page", "the page")
            if isinstance(found, SourceFailed):
                lost.append(found)
                told.add(f"Not read: {written(url)}: {found.sentence}")
                tried.append(f"Read a page, which failed: {found.sentence}")
                continue
            tried.append(f"Read {written(found.final_url)}")
            shown = [text for each in await self._best(found.text) if (text := told.fitting(each)) is not None]
            evidence = finding.add("page", found.final_url, found.title, found.text, provider, shown)
            for passage in shown:
                told.passage(evidence.id, found.title, passage)
            told.say_left_out()
        for name in among:
            told.add(f"Not read: {line(name)!r} was read before, and is among the documents. Search the documents.")
        for each in refused:
            told.add(f"Not read: {each!r} is no search result and no link of the question. Only these can be read.")
        if len(wanted) > len(read):
            told.add(
                f"{len(wanted) - len(read)} of the pages not read: {AT_ONCE} at once, {self.kit.pages_most} in all"
            )
        if not (wanted or refused or among):
            told.add("Say which page: the number of a search result, or its URL")
        told.add(self._so_far(0, len(read)))
        return finding.look(told.text, pages=len(read), tried=tuple(tried), lost=tuple(lost))

    def _wanted(self, page: str) -> tuple[list[tuple[str, str]], list[str], list[str]]:
        """The pages meant, each with the provider that found it; what means none that may be read; and documents."""
        wanted: dict[str, str] = {}
        refused, among = list[str](), dict[str, None]()
        for word in re.split(r"[\s,;]+", re.sub(r"\bresults?\b|[\[\]#<>\"']", " ", page, flags=re.IGNORECASE)):
            if not word:
                continue
            hit = self.trail.page(word)
            if word.isdecimal() and 0 < int(word[:6]) <= len(self.trail.results):
                hit = self.trail.results[int(word) - 1]
            if (name := self._among.get(canonical(hit.where if hit else word))) is not None:
                among[name] = None
            elif hit is not None:
                wanted.setdefault(hit.where, hit.provider)
            elif (link := self.links.get(canonical(word))) is not None:
                wanted.setdefault(link, "the question")
            else:
                refused.append(word[:200])
        return list(wanted.items()), refused[:AT_ONCE], list(among)

    async def _best(self, text: str) -> list[str]:
        """The passages of a page that fit the question best, or else those it begins with."""

        def best() -> list[str]:
            index = DocumentIndex([Source("page", text)])
            found = [each.text for each in index.search(self._whole_question, PASSAGES)]
            return found or [text[: self.kit.characters // SHARE]]

        found = await asyncio.to_thread(best)
        return [*(flag for flag in flags(text) if not any(flag in each for each in found)), *found]

    def _foreign(self, tool: ForeignTool) -> dspy.Tool:
        async def call(**arguments: Any) -> Look:
            return await self._call_foreign(tool, arguments)

        says = f"{tool.description} (counts as a search)"
        properties = dict(tool.arguments)
        return dspy.Tool(call, name=tool.name, desc=says, args=properties, arg_types=dict.fromkeys(properties, Any))

    async def _call_foreign(self, tool: ForeignTool, arguments: Mapping[str, Any]) -> Look:
        if not self._searches_left:
            return Look(self._why_not())
        found = await _within(FOREIGN_SECONDS, tool.call(arguments), f"the tool {tool.name}", tool.server)
        where = f"{tool.name} of {tool.server}"
        if isinstance(found, SourceFailed):
            tried = (f"Asked {where}, which failed: {inert(found.sentence)}",)
            return Look(f"{tool.name} failed: {found.sentence}", calls=1, tried=tried, lost=(found,))
        finding, told = Finding(self.trail), Observation(self.kit.characters // SHARE)
        if text := seen(found)[:TOOL_TEXT].strip():
            passage = told.fitting(text) or ""
            evidence = finding.add("tool", where, tool.name, text, tool.server, [passage])
            told.passage(evidence.id, tool.name, passage)
            told.say_left_out()
        else:
            told.add(f"{tool.name} gave nothing")
        told.add(self._so_far(1, 0))
        return finding.look(told.text, calls=1, tried=(f"Asked {where}",))

    def _so_far(self, searches: int, pages: int) -> str:
        done = f"{self.trail.searches + searches} of {self.kit.searches} searches"
        return f"({done}, {self.trail.pages + pages} of {self.kit.pages_most} pages)" if self.kit.pages else f"({done})"


async def _asked(
    source: SearchSource, query: str, seconds: float, what: str
) -> tuple[tuple[Hit, ...] | SourceFailed, tuple[SourceFailed, ...]]:
    """The hits for a query, and the providers that were passed over on the way to them."""
    if not isinstance(source, WebSearch):
        return await _within(seconds, source.search(query, PASSAGES), what, source.name), ()
    searched = await _within(seconds, source.ask(query, PASSAGES), what, source.name)
    if isinstance(searched, SourceFailed):
        return searched, ()
    if searched.answered:
        return searched.hits, searched.failed
    why = "; ".join(each.sentence for each in searched.failed) or "no provider is set up"
    return SourceFailed(source.name, FailureKind.UNAVAILABLE, why), ()


async def _within(seconds: float, work: Awaitable[T | SourceFailed], what: str, source: str) -> T | SourceFailed:
    """What a source gives, in time. Whatever else happens is a failure of the source and a value."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return SourceFailed(source, FailureKind.TIMED_OUT, f"{what} took longer than {seconds:g} s")
    except Exception as error:  # noqa: BLE001 - a source may break in its own way, and the run goes on without it
        log.warning("source.broke", source=source, error=type(error).__name__)
        return SourceFailed(source, FailureKind.UNAVAILABLE, f"{what} failed in a way that was not foreseen")


def _trimmed(url: str) -> str:
    """A link without what a sentence puts behind it."""
    url = url.rstrip(".,;:!?'\"*_~")
    return url.rstrip(")]") if url.count(")") > url.count("(") or url.count("]") > url.count("[") else url
