"""A served folder, and the processes that serve it, are killed and are started again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

from tests.model_server import ModelServer

ROOT = Path(__file__).parent.parent
SEATS = (
    "option_finder",
    "precedent_researcher",
    "cost_examiner",
    "people_advocate",
    "feasibility_planner",
    "failure_examiner",
)
WHOLE = {"root", *(f"expert/{seat}" for seat in SEATS), "synthesis", "roster"}


class Desk:
    """A served folder, whatever processes serve it."""

    def __init__(self, tmp_path: Path, server: ModelServer) -> None:
        self.folder, self.home = tmp_path / "desk", tmp_path / "home"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "PANELIST_HOME": str(self.home),
            "PANELIST_GRACE": "6",
            "FLASH_MODEL": "mock",
            "FLASH_API_BASE": server.base,
        }
        (self.folder / "in").mkdir(parents=True)

    def ask(self, name: str, text: str = "/panel Open on Sundays?", **fields: str) -> None:
        draft = self.folder / f".{name}"
        draft.write_text(json.dumps({"text": text, "author": "ann"} | fields))
        draft.rename(self.folder / "in" / f"{name}.json")

    async def serve(self, *options: str) -> asyncio.subprocess.Process:
        """A process that serves; one that was told to die may be dead already."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.crashing_serve", str(self.folder), *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=ROOT,
        )
        async with asyncio.timeout(30):
            await process.stdout.readline()
        return process

    @asynccontextmanager
    async def served(self, *options: str, end: signal.Signals = signal.SIGTERM):
        """Served for the length of the block, and then told to end."""
        process = await self.serve(*options)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(end)
            async with asyncio.timeout(30):
                _, err = await process.communicate()
            assert b"Traceback" not in err, err.decode()

    def posts(self, name: str) -> Counter[str]:
        lines = [line for path in self.folder.glob(f"out/{name}~*.jsonl") for line in path.read_text().splitlines()]
        return Counter(json.loads(line)["post"].removeprefix(f"{name}/") for line in lines)

    def text(self, name: str) -> str:
        lines = [line for path in self.folder.glob(f"out/{name}~*.jsonl") for line in path.read_text().splitlines()]
        return "\n".join(json.loads(line)["text"] for line in lines)

    def board(self, name: str) -> dict:
        (path,) = self.folder.glob(f"out/{name}~*.board.json")
        return json.loads(path.read_text())

    async def whole(self, *names: str) -> None:
        await until(lambda: all(set(self.posts(name)) >= WHOLE for name in names))

    def run(self, *words: str) -> str:
        """A command of the command line, beside whatever serves."""
        command = (sys.executable, "-m", "bot.cli", *words)
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout


async def until(there) -> None:
    async with asyncio.timeout(40):
        while not there():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(desk: Desk, module: str, *words: str):
    """A process that serves the desk with the real folder front end; `.said` is what it wrote to stderr so far."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *words), stderr=asyncio.subprocess.PIPE, env=desk.environment, cwd=ROOT
    )
    process.said = []

    async def listen() -> None:
        async for line in process.stderr:
            process.said.append(line.decode())

    listening = asyncio.create_task(listen())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await process.wait()
            await listening


def told(desk: Desk) -> str:
    return "".join(path.read_text() for path in desk.folder.glob("told/*.jsonl"))
