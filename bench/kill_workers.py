"""The kill loop of several workers on one Postgres: each lives for a moment, is killed with SIGKILL, and is away for
another; what it left goes on with the others, or with itself when it is back.

`python bench/kill_workers.py --workers 2 --kills N`. All serve the same folder, so every question is delivered to all
of them. The last line has the counts; exit code 1 on a violation.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # run as a script, Python puts bench/ there

import psycopg  # noqa: E402
from aiohttp import web  # noqa: E402

from bench.kill_loop import FINISH_SECONDS, IDLE_START_SECONDS, READY_SECONDS, Counts, Loop, Model  # noqa: E402
from tests.postgres import server  # noqa: E402

AWAY_SECONDS = 4.0
"""The longest that a killed worker is away: in the middle of that another takes over from it."""


@dataclass
class TimedModel(Model):
    """A model that also writes down when it was asked, in seconds since 1970."""

    times: list[float] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """POST /v1/chat/completions."""
        self.times.append(time.time())
        # The other list is written once the request was read, in the same order: nothing is awaited before that.
        return await super().answer(request)


class WorkersLoop(Loop):
    """The workers, and what they leave in `folder` and in the database at `url`."""

    def __init__(self, folder: Path, model: TimedModel, slow: float, url: str) -> None:
        super().__init__(folder, model, slow)
        self.url, self.times = url, model.times
        self.environment["DATABASE_URL"] = url
        self.kills = self.takeovers = 0

    async def serve(self, worker: str = "worker-0") -> asyncio.subprocess.Process:
        """Start a worker."""
        options = (str(self.desk), "--slow", str(self.slow), "--worker-id", worker)
        with (self.folder / f"{worker}.log").open("ab") as errors:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.crashing_serve", *options),
                env=self.environment,
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )

    def rows(self, statement: str) -> list[tuple[str, ...]]:
        """What the database says; nothing where its tables are not yet made."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            try:
                return connection.execute(statement.encode()).fetchall()
            except psycopg.errors.UndefinedTable:
                return []

    def statuses(self) -> dict[str, str]:
        """How every run stands in the database."""
        return dict(self.rows("SELECT id, status FROM runs"))  # type: ignore[arg-type]

    async def life(self, worker: str, kills: int, longest: float) -> None:
        """Have a worker live and die until all of them were killed so often, and leave it dead."""
        while self.kills < kills:
            began = time.monotonic()
            process = await self.serve(worker)
            assert process.stdout is not None
            if random.random() < 0.9:  # else anywhere in its start
                async with asyncio.timeout(READY_SECONDS):
                    await process.stdout.readline()
                self.slowness = max(1.0, (time.monotonic() - began) / IDLE_START_SECONDS)
            await asyncio.sleep(random.uniform(0, longest * self.slowness))
            self.kills += 1
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()
            await asyncio.sleep(random.uniform(0, AWAY_SECONDS))

    async def asking(self, kills: int, runs: int) -> None:
        """Ask for as large a part of the runs as of the kills are done."""
        while len(self.asked) < runs:
            while len(self.asked) < runs * min(1.0, (self.kills + 1) / kills):
                self.ask()
            await asyncio.sleep(0.05)

    async def finish_with(self, workers: list[str]) -> None:
        """Let the workers finish what is under way, and end them in good order."""
        processes = [await self.serve(worker) for worker in workers]
        until = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < until:
            statuses = self.statuses()
            if all(statuses.get(name) not in (None, "accepted", "running") for name in self.asked):
                break
            await asyncio.sleep(0.25)
        for process in processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in processes:
            await process.wait()

    def asked_though_recorded(self) -> int:
        """How many calls were for something whose result had been recorded before they came."""
        recorded = {
            (run, step): int(at) / 1000
            for run, step, at in self.rows(
                "SELECT workflow_uuid, function_name, completed_at_epoch_ms FROM dbos.operation_outputs"
                " WHERE completed_at_epoch_ms IS NOT NULL"
            )
        }
        return sum(at > recorded.get(call, at) for call, at in zip(self.model.asked, self.times, strict=True))

    def counts(self, kills: int) -> Counts:
        """Everything counted, from the database, the threads and the model."""
        self.repeated = self.asked_though_recorded()
        self.takeovers = len(self.rows("SELECT run FROM takeovers"))
        return super().counts(kills)


async def run(args: argparse.Namespace, folder: Path, url: str) -> dict[str, int]:
    """The whole loop; the counts, and how many runs were taken over."""
    model = TimedModel(args.slowest_answer)
    runner = await model.start()
    try:
        loop = WorkersLoop(folder, model, args.slow, url)
        workers = [f"worker-{number}" for number in range(args.workers)]
        async with asyncio.TaskGroup() as group:
            group.create_task(loop.asking(args.kills, args.runs))
            for worker in workers:
                group.create_task(loop.life(worker, args.kills, args.longest_life))
        await loop.finish_with(workers)
        found = loop.counts(loop.kills)
        if found.violations:
            print({name: status for name, status in loop.statuses().items() if status != "finished"})
        return found.__dict__ | {"takeovers": loop.takeovers, "violations": found.violations}
    finally:
        await runner.cleanup()


def main() -> int:
    """0 without a violation, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--runs", type=int, default=None, help="how many runs are asked for; as many as kills")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--slow", type=float, default=0.06, help="longest wait before and after a post is accepted")
    parser.add_argument("--slowest-answer", type=float, default=0.6, help="of the fake model, in seconds")
    parser.add_argument("--longest-life", type=float, default=8.0, help="of a worker that is ready, in seconds")
    parser.add_argument("--keep", type=Path, default=None, help="a new folder to keep everything in")
    args = parser.parse_args()
    args.runs = args.kills if args.runs is None else args.runs
    random.seed(args.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-workers-") as name, server() as postgres:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(run(args, folder, postgres.fresh().url.get_secret_value()))
    violated = found.pop("violations")
    print(f"{time.monotonic() - began:.0f} s; {'violated' if violated else 'kept'}")
    print(json.dumps(found))
    return 1 if violated else 0


if __name__ == "__main__":
    sys.exit(main())
