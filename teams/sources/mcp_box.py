"""MCP servers as the tools of research: what is approved now, in the shape of `teams.sources.kit`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from teams.sources.kit import OpenTools
from teams.sources.mcp import McpServers, McpTool, ToolAnswer
from teams.sources.port import SourceFailed


@dataclass(frozen=True, slots=True)
class McpForeignTool:
    """An approved tool as `ForeignTool`."""

    tool: McpTool

    @property
    def name(self) -> str:
        """Unique among the tools of all servers."""
        return self.tool.name

    @property
    def description(self) -> str:
        """What the approved definition says it does."""
        return self.tool.definition.description

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The JSON schema of each argument by name."""
        return self.tool.arguments

    @property
    def server(self) -> str:
        """Whose it is."""
        return self.tool.server

    async def call(self, arguments: Mapping[str, Any]) -> str | SourceFailed:
        """What it gives, with a last line on what was left out."""
        given = await self.tool.call(arguments)
        return _text(given) if isinstance(given, ToolAnswer) else given


class McpToolBox:
    """All servers of the process as `ToolBox`: their connections are shared, and outlive each run."""

    def __init__(self, servers: McpServers) -> None:
        self.servers = servers

    def opened(self) -> AbstractAsyncContextManager[OpenTools]:
        """What is approved now, and which servers or tools cannot be used. Starts no server."""
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[OpenTools]:
        offer = self.servers.offer()
        yield OpenTools([McpForeignTool(tool) for tool in offer.tools], offer.problems)


def _text(answer: ToolAnswer) -> str:
    notes = []
    if answer.whole > len(answer.text):
        notes.append(f"[cut: the first {len(answer.text):,} of {answer.whole:,} characters]")
    if answer.left_out:
        notes.append(f"[left out, for it is no text: {', '.join(answer.left_out)}]")
    return "\n\n".join([answer.text, *notes] if answer.text or not notes else notes)
