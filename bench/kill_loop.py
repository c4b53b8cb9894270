"""Kills a served process at random moments, again and again, and counts what was lost, doubled or paid twice.

`python bench/kill_loop.py --kills N`: the process is started, killed with SIGKILL at a random moment, and started
again, while runs of six experts are asked for; then it is left to finish. The front end posts whatever it is sent, also
twice, and is slow on both sides of accepting it. The last line has the counts; exit code 1 on a violation.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # run as a script, Python puts bench/ there

from aiohttp import web  # noqa: E402

from bot.house import served_folder  # noqa: E402
from teams.scripted import chat_text, expert_reply, synthesis_reply  # noqa: E402
from tests.model_server import completion  # noqa: E402

SEATS = (
    "option_finder",
    "precedent_researcher",
    "cost_examiner",
    "people_advocate",
    "feasibility_planner",
    "failure_examiner",
)
PARTS = ("root", *(f"expert/{seat}" for seat in SEATS), "synthesis", "roster")
READY_SECONDS = 120.0
FINISH_SECONDS = 600.0
IDLE_START_SECONDS = 1.5
"""What a start takes where nothing else runs. Where it takes longer, processes live longer by as much: a life has to be
long enough for a step, or what is counted is how busy the machine is."""


@dataclass
class Model:
    """A fake model that answers everybody after a moment, and writes down who asked for what."""

    slowest: float
    base: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    answered: list[tuple[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """POST /v1/chat/completions."""
        prompt = "\n".join(str(message["content"]) for message in (await request.json())["messages"])
        topic = re.findall(r"\[\[ ## topic ## \]\]\s+(\S+)", prompt)[-1]
        seat = re.search(r"\[\[ ## expert_perspective ## \]\]\n(\w+)", prompt)
        call = (topic, f"expert:{seat[1]}" if seat else "synthesis")
        self.asked.append(call)
        await asyncio.sleep(random.uniform(self.slowest / 5, self.slowest))
        self.answered.append(call)
        return completion(chat_text(expert_reply(f"{seat[1]} speaks") if seat else synthesis_reply("all in all")))

    async def start(self) -> web.AppRunner:
        """Listen on loopback."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self.answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.base = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner


@dataclass
class Counts:
    """What was seen. The first five have to be 0."""

    runs_lost: int = 0
    posts_lost: int = 0
    posts_doubled: int = 0
    recorded_calls_repeated: int = 0
    quarantined: int = 0
    kills: int = 0
    runs: int = 0
    posts: int = 0
    calls: int = 0
    cut_off_calls_repeated: int = 0
    answered_unrecorded_calls_repeated: int = 0

    @property
    def violations(self) -> int:
        """How often a promise was broken."""
        return self.runs_lost + self.posts_lost + self.posts_doubled + self.recorded_calls_repeated + self.quarantined


class Loop:
    """The processes and what they leave in `folder`."""

    def __init__(self, folder: Path, model: Model, slow: float) -> None:
        self.folder, self.model, self.slow = folder, model, slow
        self.desk, self.home = folder / "desk", folder / "home"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "PANELIST_HOME": str(self.home),
            "FLASH_MODEL": "mock",
            "FLASH_API_BASE": model.base,
            "NO_PROXY": "127.0.0.1",
        }
        (self.desk / "in").mkdir(parents=True)
        self.asked: list[str] = []
        self.repeated = 0
        self.slowness = 1.0

    def ask(self) -> None:
        """Ask for one more run."""
        name = f"run{len(self.asked):04d}"
        self.asked.append(name)
        draft = self.desk / f".{name}"
        draft.write_text(json.dumps({"text": f"/panel {name}", "author": "ann"}))
        draft.rename(self.desk / "in" / f"{name}.json")

    async def serve(self) -> asyncio.subprocess.Process:
        """Start the process."""
        command = (sys.executable, "-m", "tests.crashing_serve", str(self.desk), "--slow", str(self.slow))
        with (self.folder / "stderr.log").open("ab") as errors:
            return await asyncio.create_subprocess_exec(
                *command, env=self.environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=errors
            )

    def recorded(self) -> set[tuple[str, str]]:
        """Every run and step whose result is in the database."""
        path = served_folder(self.home) / "steps.sqlite"
        if not path.exists():
            return set()
        database = sqlite3.connect(path, timeout=30)
        try:
            rows = database.execute("SELECT workflow_uuid, function_name FROM operation_outputs").fetchall()
        except sqlite3.OperationalError:  # killed before the tables were made
            return set()
        finally:
            database.close()
        return {(str(run), str(step)) for run, step in rows}

    def statuses(self) -> dict[str, str]:
        """How every run stands in the database."""
        path = served_folder(self.home) / "runs.sqlite"
        if not path.exists():
            return {}
        database = sqlite3.connect(path, timeout=30)
        try:
            return dict(database.execute("SELECT id, status FROM runs").fetchall())
        except sqlite3.OperationalError:
            return {}
        finally:
            database.close()

    async def killed_once(self, longest: float) -> None:
        """Start the process, kill it at a random moment, and see that it asked for nothing that was recorded."""
        before, seen, began = self.recorded(), len(self.model.asked), time.monotonic()
        process = await self.serve()
        assert process.stdout is not None
        if random.random() < 0.9:  # else anywhere in its start
            async with asyncio.timeout(READY_SECONDS):
                await process.stdout.readline()
            self.slowness = max(1.0, (time.monotonic() - began) / IDLE_START_SECONDS)
        await asyncio.sleep(random.uniform(0, longest * self.slowness))
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        self.repeated += sum(call in before for call in self.model.asked[seen:])

    async def finish(self) -> None:
        """Let the process finish what is under way, and end it in good order."""
        before, seen = self.recorded(), len(self.model.asked)
        process = await self.serve()
        until = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < until and process.returncode is None:
            statuses = self.statuses()
            if all(statuses.get(name) not in (None, "accepted", "running") for name in self.asked):
                break
            await asyncio.sleep(0.25)
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()
        self.repeated += sum(call in before for call in self.model.asked[seen:])

    def counts(self, kills: int) -> Counts:
        """Everything counted, from the database, the threads and the model."""
        statuses = self.statuses()
        found = Counts(kills=kills, runs=len(self.asked), calls=len(self.model.asked))
        found.runs_lost = sum(statuses.get(name) != "finished" for name in self.asked)
        found.quarantined = sum(status == "quarantined" for status in statuses.values())
        found.recorded_calls_repeated = self.repeated
        asked, answered = (
            sum(count - 1 for count in Counter(calls).values()) for calls in (self.model.asked, self.model.answered)
        )
        found.answered_unrecorded_calls_repeated = answered - self.repeated
        found.cut_off_calls_repeated = asked - answered
        for name in self.asked:
            threads = list(self.desk.glob(f"out/{name}~*.jsonl"))
            lines = [line for thread in threads for line in thread.read_text().splitlines()]
            posts = Counter(json.loads(line)["post"] for line in lines)
            found.posts += posts.total()
            found.posts_lost += sum(not posts[f"{name}/{part}"] for part in PARTS)
            found.posts_doubled += sum(count - 1 for count in posts.values())
        return found


async def run(args: argparse.Namespace, folder: Path) -> Counts:
    """The whole loop."""
    model = Model(args.slowest_answer)
    server = await model.start()
    try:
        loop = Loop(folder, model, args.slow)
        for kill in range(args.kills):
            while len(loop.asked) * args.kills < args.runs * (kill + 1):
                loop.ask()
            await loop.killed_once(args.longest_life)
            if args.verbose:
                done = sum(status == "finished" for status in loop.statuses().values())
                print(f"kill {kill + 1}: {len(loop.asked)} asked, {done} finished", flush=True)
        await loop.finish()
        found = loop.counts(args.kills)
        if found.violations and args.verbose:
            print({name: status for name, status in loop.statuses().items() if status != "finished"})
        return found
    finally:
        await server.cleanup()


def main() -> int:
    """0 without a violation, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--runs", type=int, default=None, help="how many runs are asked for; as many as kills")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--slow", type=float, default=0.06, help="longest wait before and after a post is accepted")
    parser.add_argument("--slowest-answer", type=float, default=0.6, help="of the fake model, in seconds")
    parser.add_argument("--longest-life", type=float, default=3.0, help="of a process that is ready, in seconds")
    parser.add_argument("--keep", type=Path, default=None, help="a new folder to keep everything in")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    args.runs = args.kills if args.runs is None else args.runs
    random.seed(args.seed)
    began = time.monotonic()
    if args.keep is not None:
        args.keep.mkdir(parents=True)
        found = asyncio.run(run(args, args.keep))
    else:
        with tempfile.TemporaryDirectory(prefix="kill-loop-") as folder:
            found = asyncio.run(run(args, Path(folder)))
    print(f"{time.monotonic() - began:.0f} s; {'violated' if found.violations else 'kept'}")
    print(json.dumps(found.__dict__))
    return 1 if found.violations else 0


if __name__ == "__main__":
    sys.exit(main())
