"""What research of this process can search: from settings to sources that are open, and closed again in good order."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from bot.asking import Reach, Unaskable
from bot.settings import Settings
from teams.sources.ddgs_child import ENGINES
from teams.sources.kit import ResearchKit, ToolBox
from teams.sources.library import FILE, Library

if TYPE_CHECKING:
    from teams.sources.mcp import McpServers

READ_OFF = "off"
"""The value of PANELIST_WEB with which nothing of the web is searched or read."""


def reach_by_settings(settings: Settings, folder: str = "") -> Reach:
    """How far research reaches with these settings and this folder, told without opening anything. Raises `Unaskable`
    where there is no such folder."""
    if folder and not Path(folder).exists():
        raise Unaskable(f"{folder}: no such folder; check the path behind --library")
    library = bool(folder) or (settings.bot.panelist_home / FILE).exists()
    web = bool(settings.sources.web_providers)
    return Reach(library or web or settings.bot.panelist_mcp is not None, _reads_pages(settings))


@asynccontextmanager
async def sources_ready(settings: Settings, folder: str = "") -> AsyncIterator[ResearchKit]:
    """The sources of this process until the block ends: the library, or `folder` instead, the web, and MCP servers.

    Raises `BadServerFile`, `LibraryUnusable`, and `Unaskable` for a folder in which there is nothing to search.
    """
    # The clients of providers and the readers of pages are loaded where they are needed.
    from teams.sources.pages import Pages
    from teams.sources.web import web_search

    async with AsyncExitStack() as stack:
        yield ResearchKit(
            library=await _library(settings.bot.panelist_home, folder),
            web=web_search(settings.sources),
            pages=Pages() if _reads_pages(settings) else None,
            tools=await _tools(settings, stack),
        )


def web_line(settings: Settings) -> str:
    """Who is sent what research searches for, and how to end that: for whoever serves."""
    providers = settings.sources.web_providers
    if not providers:
        return f"web: {READ_OFF}; research searches documents, the library and tools alone"
    named = (f"{name} ({', '.join(ENGINES)})" if name == "ddgs" else name for name in providers)
    return f"web: {', '.join(named)}; research sends its queries there, and PANELIST_WEB={READ_OFF} turns it off"


def _reads_pages(settings: Settings) -> bool:
    return settings.sources.panelist_web != READ_OFF


async def _library(home: Path, folder: str) -> Library | None:
    path = await indexed(home, Path(folder)) if folder else home / FILE
    return Library(path) if path.exists() else None


async def _tools(settings: Settings, stack: AsyncExitStack) -> ToolBox | None:
    if settings.bot.panelist_mcp is None:
        return None
    from teams.sources.mcp_box import McpToolBox

    return McpToolBox(await stack.enter_async_context(tools_open(settings)))


@asynccontextmanager
async def tools_open(settings: Settings) -> "AsyncIterator[McpServers]":
    """The MCP servers of the file that is set, until the block ends. Raises `BadServerFile`."""
    from teams.sources.mcp import open_mcp
    from teams.sources.mcp_file import load_servers
    from teams.sources.mcp_pins import Pins

    assert settings.bot.panelist_mcp is not None, "a file is set"
    named = load_servers(settings.bot.panelist_mcp)
    # Its own settings are read already; these are the variables that a server's entry names.
    async with open_mcp(named, Pins(settings.bot.panelist_home), dict(os.environ)) as servers:
        yield servers


async def indexed(home: Path, folder: Path) -> Path:
    """The library of one folder, in a file of its own, brought up to date; what it could not read is said on stderr.

    Raises `LibraryUnusable`, and `Unaskable` where nothing in the folder can be searched.
    """
    from bot.library_verbs import showing_progress
    from teams.sources.updating import update

    path = library_of(home, folder)
    with showing_progress() as told:
        done = await update(path, [folder], told)
    if done.problems:
        first = done.problems[0].problem
        count = len(done.problems)
        files = "1 file" if count == 1 else f"{count:,} files"
        sys.stderr.write(f"panelist: {files} of {folder} could not be read, as in: {first}\n")
    if not done.read + done.unchanged:
        raise Unaskable(f"there is nothing in {folder} that can be searched; see docs/research.md for what is read")
    return path


def library_of(home: Path, folder: Path) -> Path:
    """Where the library of one folder is kept."""
    name = sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:16]
    return home / "libraries" / f"{name}.sqlite"
