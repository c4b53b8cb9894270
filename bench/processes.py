"""The processes of a bench: the mock model, and the loads that are put on it, each fresh."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bench.environments import Peer, environment_of, python_of
from bench.peers.measuring import Load
from bench.runs_load import RunsLoad
from bench.slack_house import SlackHouse

LOAD_SECONDS = 180.0
"""How long one load may take, unless it says otherwise."""

START_SECONDS = 60.0
"""How long the mock model, or a house, may take to start."""

LONGEST_LINE = 2**24
"""Bytes of one answer of a house."""


@asynccontextmanager
async def model_server(delay: float) -> AsyncIterator[str]:
    """The API base of a mock model that lives as long as the block."""
    command = (sys.executable, "-m", "bench.model_server", "--delay", str(delay))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=_environment())
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            base = (await process.stdout.readline()).decode().strip()
        if not base:
            raise RuntimeError("the mock model did not start")
        yield base
    finally:
        process.stdin.close()
        await _ended(process, 10.0)


@dataclass(frozen=True, slots=True)
class HouseProcess:
    """A house in a process of its own; `events` is the address of its events, empty where they come over a socket."""

    process: asyncio.subprocess.Process
    events: str

    async def figures(self) -> dict[str, Any]:
        """Its figures so far. Raises `RuntimeError` where it has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"figures\n")
        async with asyncio.timeout(START_SECONDS):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("the house ended early")
        found: dict[str, Any] = json.loads(line)
        return found


@asynccontextmanager
async def slack_house(house: SlackHouse) -> AsyncIterator[HouseProcess]:
    """A house on a fake Slack of this process, that serves as long as the block."""
    command = (sys.executable, "-m", "bench.slack_house", json.dumps(asdict(house)))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, env=_environment(), limit=LONGEST_LINE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError("the house did not start")
        yield HouseProcess(process, line.decode().strip())
    finally:
        process.stdin.close()
        await _ended(process, 10.0)


async def measured(load: Load | RunsLoad, module: str = "bench.load", seconds: float = LOAD_SECONDS) -> dict[str, Any]:
    """What `module` measures of `load` in a fresh process. Raises `RuntimeError` when it fails or takes longer."""
    return await _measured((sys.executable, "-m", module), load, _environment(), seconds)


async def measured_peer(load: Load, peer: Peer, seconds: float) -> dict[str, Any]:
    """What a peer's script measures of `load`, in an environment of its own. Raises `RuntimeError` like `measured`,
    with the script's last words; where it does not fail, what it warned of is not shown."""
    python = await python_of(peer)
    return await _measured((str(python), str(peer.script)), load, environment_of(peer), seconds, PIPE)


async def _measured(
    command: tuple[str, ...],
    load: Load | RunsLoad,
    environment: dict[str, str],
    seconds: float,
    errors: int | None = None,
) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *command, json.dumps(asdict(load)), stdout=PIPE, stderr=errors, env=environment
    )
    try:
        async with asyncio.timeout(seconds):
            out, said = await process.communicate()
    except TimeoutError as error:
        raise RuntimeError(f"{load.label} took over {seconds:g} s") from error
    finally:
        await _ended(process, 0.0)
    if process.returncode:
        last = (said or b"").decode(errors="replace").strip()[-300:]
        raise RuntimeError(f"{load.label} ended with exit code {process.returncode}{last and f': {last}'}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


async def _ended(process: asyncio.subprocess.Process, patience: float) -> None:
    if process.returncode is not None:
        return
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    # Nothing of a bench leaves this machine: no proxy for the loopback, no price list from the network.
    return os.environ | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
