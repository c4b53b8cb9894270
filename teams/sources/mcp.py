"""The MCP servers of the process: started when they are needed, shared by all runs, and never believed.

Which tools there are, and what a model is told of them, is what an admin approved, read from disk: no server has to
run for that. Before each call the server is asked what it says of the tool now, and if that is not word for word what
was approved, there is no call. So a notice that its tools have changed needs no ear. Knows no model.
"""

import asyncio
import importlib
import shutil
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from teams.model import FailureKind
from teams.sources.mcp_pins import Pins, PinsUnreadable
from teams.sources.mcp_words import (
    Definition,
    Judged,
    Said,
    Server,
    ServerGarbled,
    ServerGone,
    ServerRefused,
    StdioServer,
    arguments_of,
    judged,
    judged_now,
)
from teams.sources.port import SourceFailed

if TYPE_CHECKING:
    from mcp import Client

    from teams.sources.mcp_stdio import Heard

log = structlog.get_logger()

ALWAYS_GIVEN = ("PATH", "HOME", "LANG")
"""The variables that every program gets. All others it gets by name, or not at all."""

JOINT = "__"
"""Between a server's name, which never has it, and the tool's."""


@dataclass(frozen=True, slots=True)
class McpLimits:
    """Bounds on servers, in seconds and characters.

    A server that answered nothing since a call timed out has `doubt_seconds` to say that it lives, before it is
    replaced. At most `starts` begin within `window`, each after twice the pause of the one before.
    """

    call_seconds: float = 30.0
    start_seconds: float = 60.0
    doubt_seconds: float = 5.0
    characters: int = 20_000
    starts: int = 3
    window: float = 60.0
    pause: float = 0.5


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool gave, as evidence: `text` is the first part of a text that had `whole` characters.

    `left_out` says by kind what is not text.
    """

    server: str
    tool: str
    text: str = field(repr=False)
    whole: int
    left_out: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Where it is from, for a ledger."""
        return f"{self.server}: {self.tool}"


@dataclass(frozen=True, slots=True)
class McpTool:
    """An approved tool, under a name that no other has. `definition` is the approved one, not the server's of today."""

    name: str
    server: str
    definition: Definition
    call: "Callable[[Mapping[str, Any]], Awaitable[ToolAnswer | SourceFailed]]" = field(repr=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """The JSON schema of each argument by its name, as far as it is safe to check arguments by it."""
        return arguments_of(self.definition.input_schema)


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools that an agent may be given now, and a failure for each server or tool that it may not."""

    tools: tuple[McpTool, ...]
    problems: tuple[SourceFailed, ...] = ()


class McpServers:
    """All servers that are set up. Made by `open_mcp`."""

    def __init__(self, servers: Iterable["_Kept"], pins: Pins) -> None:
        self._servers = {kept.server.name: kept for kept in servers}
        self._pins = pins

    @property
    def names(self) -> tuple[str, ...]:
        """The servers' names, in their order."""
        return tuple(self._servers)

    def offer(self) -> Offer:
        """What is approved now. Starts no server."""
        tools: list[McpTool] = []
        problems: list[SourceFailed] = []
        for name, kept in self._servers.items():
            try:
                approved = self._pins.of(name)
            except PinsUnreadable as error:
                return Offer((), (SourceFailed("MCP", FailureKind.REFUSED, str(error)),))
            if not approved:
                sentence = f"no tool of it is approved; run 'panelist mcp approve {name}'"
                problems.append(SourceFailed(name, FailureKind.REFUSED, sentence))
            for definition in approved.values():
                known = kept.known_fault(definition)
                if known is None:
                    tools.append(McpTool(f"{name}{JOINT}{definition.name}", name, definition, kept.caller(definition)))
                else:
                    problems.append(known)
        return Offer(tuple(tools), tuple(problems))

    async def look(self, name: str) -> tuple[Judged, ...] | SourceFailed:
        """What the server lists now, held against what is approved. Starts it. Raises `PinsUnreadable`, `KeyError`."""
        return await self._servers[name].look(self._pins.of(name))

    def last_words(self, name: str) -> str:
        """The end of what the server wrote to its error output, for an admin's eyes: hostile text."""
        return self._servers[name].last_words


@asynccontextmanager
async def open_mcp(
    servers: Iterable[Server],
    pins: Pins,
    environment: Mapping[str, str],
    limits: McpLimits = McpLimits(),
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[McpServers]:
    """The servers for as long as the block lasts; none runs before it is asked for, and none is left behind.

    `environment` is where the values of variables are taken from that a server's entry names.
    """
    async with asyncio.TaskGroup() as group:
        kept = [
            _Kept(server, environment, limits, group, clock or asyncio.get_running_loop().time) for server in servers
        ]
        try:
            yield McpServers(kept, pins)
        finally:
            for each in kept:
                each.close()


class _Down(Exception):
    def __init__(self, failure: SourceFailed) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


@dataclass(slots=True)
class _Line:
    """One connection, from its start on. `settled` is set once there is a client, or never will be one."""

    settled: asyncio.Event = field(default_factory=asyncio.Event)
    client: "Client | None" = None
    heard: "Heard | None" = None
    failure: SourceFailed | None = None
    task: asyncio.Task[None] | None = None
    over: bool = False
    doubtful: bool = False

    def close(self) -> None:
        """End it; what it started is ended by the task that holds it."""
        self.over = True
        if self.client is not None and self.heard is not None:
            self.heard.ended.set()
        elif self.task is not None:
            self.task.cancel()


class _Kept:
    """One server: at most one connection at a time, made when it is asked for and again when it was lost.

    The connection is opened and closed in one task, as the MCP library wants it; calls come from any.
    """

    def __init__(
        self,
        server: Server,
        environment: Mapping[str, str],
        limits: McpLimits,
        group: asyncio.TaskGroup,
        clock: Callable[[], float],
    ) -> None:
        self.server = server
        self._environment, self._limits, self._group, self._clock = environment, limits, group, clock
        self._line: _Line | None = None
        self._starts: deque[float] = deque(maxlen=limits.starts)
        self._listed: tuple[Definition, ...] | None = None

    # --- For runs

    def caller(self, definition: Definition) -> "Callable[[Mapping[str, Any]], Awaitable[ToolAnswer | SourceFailed]]":
        """The call of one approved tool."""

        async def call(arguments: Mapping[str, Any]) -> ToolAnswer | SourceFailed:
            return await self.call(definition, arguments)

        return call

    async def call(self, definition: Definition, arguments: Mapping[str, Any]) -> ToolAnswer | SourceFailed:
        """What the tool gives, if it is still the one that was approved. Every failure is a value."""
        what = f"{self.server.name}: {definition.name}"
        said: Said | None = None
        failure: SourceFailed | None = None
        try:
            async with asyncio.timeout(self._limits.call_seconds):
                line = await self._asked(self._limits.call_seconds)
                self._require(definition)
                said = await self._wire().called(line.client, definition.name, arguments)
                line.doubtful = False
        except Exception as error:
            failure = self._failure(error)
            if failure is None:
                raise
        if said is not None and said.error:
            failure = SourceFailed(what, FailureKind.REFUSED, "the tool says that it failed")
        if failure is not None:
            log.warning("mcp.failed", server=self.server.name, tool=definition.name, kind=failure.kind.value)
            return SourceFailed(what, failure.kind, failure.sentence)
        assert said is not None, "either it said something or it failed"
        text = self._without_secrets(said.text)
        shown = text[: self._limits.characters]
        return ToolAnswer(self.server.name, definition.name, shown, len(text), said.left_out)

    def known_fault(self, definition: Definition) -> SourceFailed | None:
        """Why the tool cannot be had, as far as that is known without asking."""
        if definition.unfit is not None:
            return self._refused(definition.name, definition.unfit)
        if self._listed is None:
            return None
        try:
            self._require(definition)
        except _Down as down:
            return down.failure
        return None

    # --- For admins

    async def look(self, approved: Mapping[str, Definition]) -> tuple[Judged, ...] | SourceFailed:
        """What the server lists now, each tool judged."""
        try:
            async with asyncio.timeout(self._limits.start_seconds + self._limits.call_seconds):
                await self._asked(self._limits.call_seconds)
        except Exception as error:
            failure = self._failure(error)
            if failure is None:
                raise
            return failure
        assert self._listed is not None, "it was asked"
        return judged(self._listed, approved)

    @property
    def last_words(self) -> str:
        """The end of its error output."""
        heard = self._line.heard if self._line else None
        return self._without_secrets(heard.words.decode(errors="replace").strip()) if heard else ""

    # --- The connection

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._line is not None:
            self._line.close()

    async def _asked(self, patience: float) -> _Line:
        """A connection over which the server has just said what tools it has."""
        again = True
        while True:
            line = await self._live()
            try:
                async with asyncio.timeout(self._limits.doubt_seconds if line.doubtful else patience):
                    self._listed = await self._wire().listing(line.client)
            except (ServerGone, ServerRefused, TimeoutError) as error:
                # Listing does nothing, so it may be done again: with another process, for this one crashed or hangs.
                line.close()
                if not again:
                    raise
                log.info("mcp.replaced", server=self.server.name, why=type(error).__name__)
                again = False
            else:
                line.doubtful = False
                return line

    async def _live(self) -> _Line:
        if self._line is None or self._line.over:
            self._line = self._begun()
        line = self._line
        await line.settled.wait()
        if line.client is None:
            raise _Down(line.failure or self._unavailable("it ended as soon as it was started"))
        return line

    def _begun(self) -> _Line:
        now = self._clock()
        recent = [at for at in self._starts if now - at < self._limits.window]
        if len(recent) == self._limits.starts:
            before = self._line.failure.sentence if self._line and self._line.failure else "it ended each time"
            sentence = f"it was started {len(recent)} times in a short while and is left alone for now; {before}"
            raise _Down(self._unavailable(sentence))
        self._starts.append(now)
        line = _Line()
        line.task = self._group.create_task(self._hold(line, self._limits.pause * (2 ** len(recent) - 1)))
        return line

    async def _hold(self, line: _Line, pause: float) -> None:
        """The task of one connection, from its start to its end."""
        try:
            await asyncio.sleep(pause)
            values = self._values()
            # More than a second of imports, which would hold up everything else in the loop.
            await asyncio.to_thread(importlib.import_module, "teams.sources.mcp_line")
            from teams.sources.mcp_stdio import Heard

            line.heard = heard = Heard()
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._limits.start_seconds):
                    client = await stack.enter_async_context(self._wire().connected(self.server, values, heard))
                line.client = client
                line.settled.set()
                log.info("mcp.started", server=self.server.name)
                await heard.ended.wait()
                # From now on nobody takes it for alive, while it is being ended.
                line.over = True
        except _Down as down:
            line.failure = down.failure
        except Exception as error:  # noqa: BLE001 - whatever a server or the library for it does ends this server alone
            line.failure = self._why_lost(error, line)
            log.warning("mcp.lost", server=self.server.name, error=type(error).__name__)
        finally:
            line.over = True
            line.settled.set()

    @staticmethod
    def _wire() -> Any:
        """The module that talks to servers; loaded by the time there is a connection."""
        from teams.sources import mcp_line

        return mcp_line

    def _values(self) -> dict[str, str]:
        """The variables that the server gets. Raises `_Down` where one is not set, or the program is not there."""
        missing = [name for name in self.server.variables if not self._environment.get(name)]
        if missing:
            sentence = f"it needs {', '.join(missing)}, which the environment does not have"
            raise _Down(SourceFailed(self.server.name, FailureKind.REFUSED, sentence))
        values = {name: self._environment[name] for name in self.server.variables}
        if not isinstance(self.server, StdioServer):
            return values
        given = {name: self._environment[name] for name in ALWAYS_GIVEN if name in self._environment}
        folder = self.server.folder
        command = self.server.command
        there = str(folder / command) if folder and "/" in command else command
        if shutil.which(there, path=given.get("PATH")) is None:
            sentence = "its program is not on this machine, or cannot be run; correct its command or install it"
            raise _Down(SourceFailed(self.server.name, FailureKind.REFUSED, sentence))
        return given | values

    # --- What is said

    def _require(self, definition: Definition) -> None:
        """Raises `_Down` unless the server's last list has the tool, once, exactly as it was approved."""
        assert self._listed is not None, "it was asked"
        now = judged_now(self._listed, definition)
        if now.state != "approved":
            raise _Down(self._refused(definition.name, now.sentence))

    def _refused(self, tool: str, why: str) -> SourceFailed:
        sentence = f"{why}, so it is not used until 'panelist mcp approve {self.server.name} {tool}'"
        return SourceFailed(f"{self.server.name}: {tool}", FailureKind.REFUSED, sentence)

    def _unavailable(self, sentence: str) -> SourceFailed:
        return SourceFailed(self.server.name, FailureKind.UNAVAILABLE, sentence)

    def _failure(self, error: Exception) -> SourceFailed | None:
        """What an expected error says; None for a bug."""
        heard = self._line.heard if self._line else None
        if heard is not None and heard.too_large:
            heard.too_large = False
            return SourceFailed(self.server.name, FailureKind.TOO_LONG, "it sent more than is read")
        match error:
            case _Down():
                return error.failure
            case TimeoutError():
                if self._line is not None:
                    self._line.doubtful = True
                sentence = f"it did not answer within {self._limits.call_seconds:g} s"
                return SourceFailed(self.server.name, FailureKind.TIMED_OUT, sentence)
            case ServerGone():
                return self._unavailable("it ended or hung up before it had answered")
            case ServerGarbled():
                sentence = str(error) or "it answered in a form that MCP does not have"
                return SourceFailed(self.server.name, FailureKind.UNREADABLE, sentence)
            case ServerRefused():
                if heard is not None and heard.status in (401, 403):
                    sentence = f"it refused the login ({heard.status}); look at the variables that its headers name"
                    return SourceFailed(self.server.name, FailureKind.REFUSED, sentence)
                return SourceFailed(self.server.name, FailureKind.REFUSED, "it answered with an error")
            case _:
                return None

    def _why_lost(self, error: Exception, line: _Line) -> SourceFailed:
        wire = self._wire()
        if isinstance(error, TimeoutError):
            return self._unavailable(f"it was not ready within {self._limits.start_seconds:g} s")
        if line.heard is not None and line.heard.status in (401, 403):
            sentence = f"it refused the login ({line.heard.status}); look at the variables that its headers name"
            return SourceFailed(self.server.name, FailureKind.REFUSED, sentence)
        if line.heard is not None and line.heard.left:
            return self._unavailable("it ended as it was started")
        if wire.failed_with(error, wire.httpx2.TransportError):
            return self._unavailable("it could not be reached")
        return self._unavailable("it does not answer as an MCP server does")

    def _without_secrets(self, text: str) -> str:
        for name in self.server.variables:
            value = self._environment.get(name, "")
            # Shorter ones are words, and no secrets.
            if len(value) >= 8:
                for secret in {value, value.removeprefix("Bearer ")}:
                    text = text.replace(secret, f"[{name}]")
        return text
