"""A program as an MCP server: its messages as streams, within bounds, and its end together with ours.

In place of the library's own transport, which hands down more of the environment, takes in lines without a limit, and
leaves a server that hangs behind when this process is killed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from teams.sources import mcp_child
from teams.sources.mcp_words import StdioServer

log = structlog.get_logger()

LARGEST = 4 * 1024 * 1024
"""The largest message from a server in bytes. What is larger is not read to its end, and the connection is given up."""

LAST_WORDS = 2_000
"""How much of a server's error output is kept, in bytes."""

LEAVE_SECONDS = 1.0
"""How long a server may take to leave once its input is closed."""

Incoming = SessionMessage | Exception

# -I -S: nothing of the caller's or the user's is looked at.
_CHILD = (sys.executable, "-I", "-S", mcp_child.__file__)


@dataclass(slots=True)
class Heard:
    """What became known of one connection beside its messages.

    `ended` is set once no more can come, `left` says that this was the server's doing, `status` is the last one of
    HTTP, and `words` are the end of a program's error output.
    """

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    left: bool = False
    too_large: bool = False
    status: int | None = None
    words: bytes = field(default=b"", repr=False)


@asynccontextmanager
async def program(
    server: StdioServer, environment: Mapping[str, str], heard: Heard
) -> AsyncIterator[tuple[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]]]:
    """The server started, as the two streams of an MCP session. It and what it started are gone when the block ends."""
    lifeline, ours = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *(*_CHILD, str(lifeline), server.command, *server.args),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LARGEST,
            env=dict(environment),
            cwd=server.folder or Path.cwd(),
            pass_fds=(lifeline,),
            # A group to end as one, which Ctrl-C in our terminal does not reach.
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(lifeline)
    to_session, incoming = anyio.create_memory_object_stream[Incoming](0)
    # With some room: whoever gives up a call waits until that was sent, and a server that hangs reads nothing.
    outgoing, from_session = anyio.create_memory_object_stream[SessionMessage](64)
    async with asyncio.TaskGroup() as pumps:
        reading = pumps.create_task(_read(process, to_session, heard))
        listening = pumps.create_task(_listen(process, heard))
        writing = pumps.create_task(_write(process, from_session, heard))
        try:
            yield incoming, outgoing
        finally:
            heard.left = heard.ended.is_set()
            for stream in (incoming, outgoing):
                stream.close()
            try:
                await _leave(process)
            finally:
                # From here on it ends whether we live to see it or not.
                os.close(ours)
            await _gone(process)
            await asyncio.wait((reading, listening), timeout=LEAVE_SECONDS)
            for task in (reading, listening, writing):
                task.cancel()


async def _read(
    process: asyncio.subprocess.Process, to_session: MemoryObjectSendStream[Incoming], heard: Heard
) -> None:
    assert process.stdout is not None
    noise = 0
    with to_session:
        try:
            while line := await process.stdout.readline():
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    # Programs print; that is no message, and no reason to end.
                    noise += 1
                    continue
                await to_session.send(SessionMessage(message))
        except ValueError:
            heard.too_large = True
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass
    heard.ended.set()
    if noise:
        log.debug("mcp.noise_dropped", lines=noise)
    # To its end: a server that cannot write cannot leave either.
    with suppress(OSError):
        while await process.stdout.read(65_536):
            pass


async def _write(
    process: asyncio.subprocess.Process, from_session: MemoryObjectReceiveStream[SessionMessage], heard: Heard
) -> None:
    assert process.stdin is not None
    with from_session:
        try:
            async for each in from_session:
                process.stdin.write(each.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                await process.stdin.drain()
        except OSError:
            heard.ended.set()


async def _listen(process: asyncio.subprocess.Process, heard: Heard) -> None:
    assert process.stderr is not None
    with suppress(OSError):
        while said := await process.stderr.read(4_096):
            heard.words = (heard.words + said)[-LAST_WORDS:]


async def _leave(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    await _ended(process, LEAVE_SECONDS)


async def _gone(process: asyncio.subprocess.Process) -> None:
    if not await _ended(process, mcp_child.GRACE + LEAVE_SECONDS):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await _ended(process, LEAVE_SECONDS)


async def _ended(process: asyncio.subprocess.Process, seconds: float) -> bool:
    # Not process.wait(): that also waits for pipes which whatever the server started may hold open.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while process.returncode is None:  # noqa: ASYNC110 - there is no event for that alone
                await asyncio.sleep(0.01)
    return process.returncode is not None
