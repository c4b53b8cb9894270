"""What the doctor says of the sources of research: which there are, and whether each answers."""

from collections.abc import AsyncIterator

from bot.settings import Settings
from bot.sources import READ_OFF, tools_open
from teams.sources.library import FILE, Library
from teams.sources.mcp import McpServers
from teams.sources.mcp_file import BadServerFile
from teams.sources.mcp_pins import PinsUnreadable
from teams.sources.port import SearchSource, SourceFailed
from teams.sources.shelf import LibraryUnusable, read_shelf
from teams.sources.web import web_search

Finding = tuple[bool, str, str]
"""Whether it is fine, what was looked at, and a sentence."""

QUERY = "opening hours of bakeries"
"""What providers are asked: one search, so that a key and a quota are known to work."""

NEEDS_NOTHING = "ddgs"
"""The provider that is asked where nothing is set up. Where it does not answer, no setting is wrong."""


async def examine_sources(settings: Settings) -> AsyncIterator[Finding]:
    """Each source with what was found: the library, each provider of web search, each MCP server."""
    async for finding in _library(settings):
        yield finding
    async for finding in _web(settings):
        yield finding
    async for finding in _servers(settings):
        yield finding


async def _library(settings: Settings) -> AsyncIterator[Finding]:
    file = settings.bot.panelist_home / FILE
    try:
        with read_shelf(file) as shelf:
            documents = shelf.documents()
    except LibraryUnusable as error:
        yield not file.exists(), "library", str(error)
        return
    found = await Library(file).search(QUERY, 1)
    if isinstance(found, SourceFailed):
        yield False, "library", found.sentence
        return
    unread = sum(bool(document.problem) for document in documents)
    readable = len(documents) - unread
    said = f"{readable:,} file{'' if readable == 1 else 's'} can be searched"
    yield True, "library", f"{said}, {unread:,} could not be read ('panelist library list')" if unread else said


async def _web(settings: Settings) -> AsyncIterator[Finding]:
    sources = settings.sources
    if sources.panelist_web == READ_OFF:
        yield True, "web", "off: nothing is searched there, and links are not read (PANELIST_WEB)"
    for name in sources.web_providers:
        # One alone, for a chain ends with the first that answers.
        alone = web_search(sources.model_copy(update={"panelist_web": name}))
        assert alone is not None, "it was named"
        yield await _provider(name, alone)


async def _provider(name: str, source: SearchSource) -> Finding:
    found = await source.search(QUERY, 1)
    if not isinstance(found, SourceFailed):
        return True, f"web search {name}", "answers" if found else "answers, and found nothing"
    if name == NEEDS_NOTHING:
        sentence = f"does not answer now: {found.sentence}; set a key of another provider, or PANELIST_WEB=off"
        return True, f"web search {name}", sentence
    return False, f"web search {name}", found.sentence


async def _servers(settings: Settings) -> AsyncIterator[Finding]:
    if settings.bot.panelist_mcp is None:
        return
    try:
        async with tools_open(settings) as servers:
            for name in servers.names:
                yield await _server(name, servers)
    except BadServerFile as error:
        for fault in error.faults:
            yield False, "MCP", fault


async def _server(name: str, servers: McpServers) -> Finding:
    what = f"MCP server {name}"
    try:
        found = await servers.look(name)
    except PinsUnreadable as error:
        return False, what, str(error)
    if isinstance(found, SourceFailed):
        return False, what, found.sentence
    counts = [
        (state, sum(tool.state == state for tool in found)) for state in ("approved", "new", "changed", "unfit", "gone")
    ]
    said = ", ".join(f"{count} {state}" for state, count in counts if count) or "no tools"
    changed = any(tool.state in ("changed", "gone") for tool in found)
    return not changed, what, f"tools: {said}; see 'panelist mcp list {name}'" if changed else f"tools: {said}"
