"""What a process can search: the sources of all its research, and how far one piece of research may go.

Built once and shared by all runs. Knows the ports of sources only.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from teams.sources.port import SearchSource, SourceFailed

if TYPE_CHECKING:
    from teams.sources.pages import Page


class PageReader(Protocol):
    """Something that reads pages of the web."""

    async def read(self, url: str) -> "Page | SourceFailed":
        """What the page at a URL says. Cancelling ends it."""


class ForeignTool(Protocol):
    """A tool of a server that is not ours. Its description and what it gives are foreign text."""

    @property
    def name(self) -> str:
        """Unique among the tools of a run."""

    @property
    def description(self) -> str:
        """What it says it does."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The JSON schema of each argument by name."""

    @property
    def server(self) -> str:
        """Whose it is."""

    async def call(self, arguments: Mapping[str, Any]) -> str | SourceFailed:
        """What it gives, as text. Cancelling ends the wait."""


@dataclass(frozen=True, slots=True)
class OpenTools:
    """The tools that could be had, and the servers that could not."""

    tools: Sequence[ForeignTool] = ()
    lost: tuple[SourceFailed, ...] = ()


class ToolBox(Protocol):
    """Servers with tools."""

    def opened(self) -> AbstractAsyncContextManager[OpenTools]:
        """Their tools for one run; the connections are closed when the block ends."""


@dataclass(frozen=True, slots=True)
class ResearchKit:
    """What can be searched and read, and the caps on it.

    `searches` counts searches and calls of foreign tools, `pages_most` pages of the web, each in one run.
    `characters` is how much quoted text a prompt holds at most: less for a model with a small window.
    """

    library: SearchSource | None = None
    web: SearchSource | None = None
    pages: PageReader | None = None
    tools: ToolBox | None = None
    searches: int = 8
    pages_most: int = 6
    characters: int = 48_000
