"""`panelist serve` in a process of its own, on a fake Slack of this process, as somebody starts it from a shell."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from adapters.slack.connect import EVENTS_PATH
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import HOME

READY_SECONDS, END_SECONDS = 120.0, 30.0
"""How long a start may take, and an end in good order."""

LOOK = 0.005
"""Seconds between two looks whether it is ready."""


@dataclass(frozen=True, slots=True)
class Served:
    """A process that is ready: the seconds that took, where its events go, and what it has written to stderr."""

    seconds: float
    events: str
    errors: Path


def script() -> Path:
    """The `panelist` command. Raises `RuntimeError` where it is not installed."""
    found = Path(sys.executable).with_name("panelist")
    if not found.exists():
        raise RuntimeError(f"{found} is missing; install the project here: pip install -e .")
    return found


@asynccontextmanager
async def serving(
    slack: FakeSlack, model: str, environment: Mapping[str, str], options: tuple[str, ...] = ()
) -> AsyncIterator[Served]:
    """Start it on an empty folder with its database not yet made; ended in good order behind the block. `options` are
    Python's. Raises `RuntimeError` with its last words where it ends early or does not get ready."""
    port = _free_port()
    command = (sys.executable, *options, str(script()), "serve")
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as name:
        home, errors = Path(name, "home"), Path(name, "stderr.log")
        settings = _settings(slack, model, home, port)
        with errors.open("wb") as log:  # noqa: ASYNC230 - the process writes, and this does not wait for it
            began = time.perf_counter()
            process = await asyncio.create_subprocess_exec(*command, env={**environment, **settings}, stderr=log)
        try:
            await _ready(process, port, errors)
            yield Served(time.perf_counter() - began, f"http://127.0.0.1:{port}{EVENTS_PATH}", errors)
        finally:
            await _ended(process)


def _settings(slack: FakeSlack, model: str, home: Path, port: int) -> dict[str, str]:
    return {
        "FLASH_API_BASE": model,
        "FLASH_MODEL": "bench",
        "NO_PROXY": "127.0.0.1",
        "PANELIST_HOME": str(home),
        "PORT": str(port),
        "SLACK_API_URL": slack.url,
        "SLACK_BOT_TOKEN": HOME.token,
        "SLACK_SIGNING_SECRET": slack.signing_secret,
    }


async def _ready(process: asyncio.subprocess.Process, port: int, errors: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < until and process.returncode is None:
            with suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(LOOK)
    said = await asyncio.to_thread(errors.read_text, errors="replace")
    raise RuntimeError(f"'panelist serve' did not get ready: {said[-1000:].strip()}")


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def shell(bytecode: Path) -> dict[str, str]:
    """The environment of a shell without any setting of the bot. Bytecode is kept in a folder of the bench's own, also
    where PYTHONDONTWRITEBYTECODE would leave it uncompiled."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    return kept | {"PYTHONPYCACHEPREFIX": str(bytecode), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
