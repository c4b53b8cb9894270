"""The start of `panelist serve` as Slack and whoever watches the process meet it: a real process on a fake Slack."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from adapters.slack.connect import EVENTS_PATH
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_reading import plain
from tests.adapters.slack.fake_slack import Delivered, FakeSlack
from tests.adapters.slack.fake_world import GENERAL, HOME
from tests.house import SEATS
from tests.model_server import ModelServer, model_server

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Host:
    """Where the process is started, again and again: a home, a Slack, a model, and the port of the web server."""

    home: Path
    slack: FakeSlack
    models: ModelServer
    port: int

    @property
    def go(self) -> Path:
        """The file for which the import of DSPy waits."""
        return self.home / "go"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process that is ready, ended with the block."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.held_serve", str(self.go)),
            stderr=asyncio.subprocess.PIPE,
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "PANELIST_HOME": str(self.home / "data"),
                "PANELIST_WEB": "off",
                "FLASH_MODEL": "mock",
                "FLASH_API_BASE": self.models.base,
                "SLACK_API_URL": self.slack.url,
                "SLACK_BOT_TOKEN": HOME.token,
                "SLACK_SIGNING_SECRET": self.slack.signing_secret,
                "PORT": str(self.port),
            },
        )
        try:
            async with asyncio.timeout(60), aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as client:
                while not await is_ready(client):
                    assert process.returncode is None, (await process.communicate())[1].decode()
                    await asyncio.sleep(0.02)
            yield process
        finally:
            self.go.touch()
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await process.communicate()

    async def asks(self, topic: str) -> Delivered:
        command = payloads.slash_command(self.slack.gesture(), topic)
        return await self.slack.deliver(f"http://127.0.0.1:{self.port}{EVENTS_PATH}", command, "command")

    async def until(self, said: str) -> list[str]:
        """Wait until a text stands in the channel or its threads; all that stands there then."""
        async with asyncio.timeout(60):
            while True:
                shown = [plain(message) for message in self.slack.messages(GENERAL.id)]
                if any(said in text for text in shown):
                    return shown
                await asyncio.sleep(0.02)


async def is_ready(client: aiohttp.ClientSession) -> bool:
    with suppress(aiohttp.ClientError):
        async with client.get("/readyz") as answer:
            return answer.status == 200
    return False


@pytest.fixture
async def host(tmp_path, unused_tcp_port):
    async with FakeSlack() as slack, model_server() as models:
        yield Host(tmp_path, slack, models, unused_tcp_port)


async def test_commands_are_taken_in_while_dspy_is_imported_beside_and_their_runs_wait_for_it(host):
    async with host.serving():
        answer = await host.asks("Open on Sundays?")
        assert answer.status == 200
        await host.until("Open on Sundays?")
        assert host.go.with_suffix(".thread").read_text() != "MainThread"
        assert not host.models.calls
        host.go.touch()
        shown = await host.until("from 6 of 6")
    assert all(any(f"{seat} speaks" in text for text in shown) for seat in SEATS)


async def test_where_dspy_cannot_be_imported_the_process_says_so_and_ends_and_its_runs_go_on_at_the_next_start(host):
    async with host.serving() as process:
        await host.asks("Open on Sundays?")
        await host.until("Open on Sundays?")
        host.go.write_text("dspy is broken here")
        async with asyncio.timeout(60):
            _, said = await process.communicate()
    assert process.returncode == 1
    assert "dspy is broken here" in said.decode().splitlines()[-1]
    await host.until("Paused, will resume")
    assert not host.models.calls

    host.go.write_text("")
    async with host.serving():
        shown = await host.until("from 6 of 6")
    assert sum("Synthesis" in text and "all in all" in text for text in shown) == 1


async def test_a_process_that_is_told_to_end_while_dspy_is_imported_puts_off_what_it_took_in(host):
    async with host.serving() as process:
        await host.asks("Open on Sundays?")
        await host.until("Open on Sundays?")
        process.send_signal(signal.SIGTERM)
        await host.until("Paused, will resume")
        host.go.touch()
        async with asyncio.timeout(60):
            await process.communicate()
    assert process.returncode == 0

    async with host.serving():
        await host.until("from 6 of 6")
