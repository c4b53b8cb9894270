"""Serves a folder as a platform would that knows nothing of keys, and ends itself with SIGKILL where it is told to.

`python -m tests.crashing_serve FOLDER [--die POINT:N] [--slow SECONDS] [--poison TEXT] [--worker-id NAME]`, with
PANELIST_HOME, FLASH_MODEL and FLASH_API_BASE set, and perhaps DATABASE_URL. It prints `ready` once it serves. Posts
are appended however often they are sent, so that one that is sent twice stands there twice; each waits before it is
accepted, and before that is acknowledged.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

from adapters.folder import FolderFrontEnd
from adapters.folder.names import plain, thread_name
from adapters.plain import doc_source
from adapters.port import Doc, Invocation, MessageRef, Receipt, Sink, ThreadRef
from bot import compose
from bot.house import Plan, served_folder
from bot.log import configure_logs
from bot.loop import run_serving
from bot.model_teams import ModelTeams
from bot.serve import serve
from bot.settings import load_settings
from teams.catalog import load_catalog
from teams.tiers import Models


class ForgetfulFolder(FolderFrontEnd):
    """A folder that takes every post, also one whose key stands there; `slow` is the longest wait on either side."""

    def __init__(self, folder: Path, slow: float, reached) -> None:
        super().__init__(folder, poll_seconds=0.02)
        self._out, self._slow, self._reached = folder / "out", slow, reached
        self._out.mkdir(parents=True, exist_ok=True)

    async def open_thread(self, invocation: Invocation, root: Doc, *, key: str):
        thread = ThreadRef(invocation.place, thread_name(invocation.key))
        await self._put(thread, root, key)
        return thread

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        await self._put(thread, doc, key)
        return Receipt("sent", MessageRef(thread, (plain(key),)), 1)

    async def serve(self, sink: Sink) -> None:
        async def slowly(invocation: Invocation) -> None:
            await sink(invocation)
            self._reached("safe")
            await self._wait()

        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await super().serve(slowly)

    async def _put(self, thread: ThreadRef, doc: Doc, key: str) -> None:
        await self._wait()
        line = json.dumps({"post": plain(key), "text": doc_source(doc), "files": []}) + "\n"
        descriptor = os.open(self._out / f"{thread.thread}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(descriptor, line.encode())
        os.close(descriptor)
        self._reached("accepted")
        await self._wait()

    async def _wait(self) -> None:
        if self._slow:
            await asyncio.sleep(random.uniform(0, self._slow))


class PoisonTeams(ModelTeams):
    """Teams that end the process when a topic holds the poison, once experts would be asked."""

    def __init__(self, models: Models, poison: str) -> None:
        super().__init__(models)
        self._poison = poison

    def events(self, brief, steps, run_id, stop):
        if self._poison and self._poison in brief.topic:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().events(brief, steps, run_id, stop)


def dying_at(point: str):
    """A callback that ends the process the Nth time it is told `NAME`, where `point` is `NAME:N`."""
    name, _, number = point.partition(":")
    seen: Counter[str] = Counter()

    def reached(where: str) -> None:
        seen[where] += 1
        if where == name and seen[where] == int(number or 1):
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


async def main(args: argparse.Namespace) -> None:
    settings = load_settings()
    configure_logs("warning")
    reached = dying_at(args.die)
    front = ForgetfulFolder(args.folder, args.slow, reached)
    wanted = compose.Wanted(settings, lambda done, total: None)
    async with compose.models_ready(wanted) as models, PoisonTeams(models, args.poison) as teams:
        home = served_folder(settings.bot.panelist_home)
        options = {"reached": reached, "database": settings.bot.database_url, "worker": args.worker_id}
        plan = Plan(home, teams, load_catalog(None), **options)
        await serve(plan, {front.name: front}, settings.bot.panelist_grace)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests.crashing_serve")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--die", default="", metavar="POINT:N")
    parser.add_argument("--slow", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--poison", default="", metavar="TEXT")
    parser.add_argument("--worker-id", default="worker-0", metavar="NAME")
    run_serving(main(parser.parse_args()))
    sys.exit(0)
