"""`panelist serve`: from its arguments to a process that serves, alone or as one of several."""

import argparse
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from pydantic import SecretStr

from adapters.port import FrontEnd
from bot import chat, compose
from bot.house import Open, served_folder
from bot.loop import run_serving
from bot.loop_lag import watching_the_loop
from bot.metrics import Metrics
from bot.ownership import Role
from bot.serve import serve
from bot.settings import BotSettings, Settings
from bot.sources import web_line
from bot.watching import Watch, unwatched
from teams.catalog import Catalog

_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Seat:
    """What this process does, and its name among those that share a database."""

    role: Role = "all"
    worker: str = "worker-0"

    @property
    def listens(self) -> bool:
        """Whether it takes questions in."""
        return self.role != "worker"


def serving(args: argparse.Namespace, settings: Settings, catalog: Catalog) -> tuple[str, ...]:
    """Serve until told to end. What keeps it from that, as sentences, if something does.

    Raises what `serve` raises, and `NoModel`.
    """
    seat = Seat(args.role, args.worker_id or (f"gateway-{uuid4().hex[:8]}" if args.role == "gateway" else "worker-0"))
    if not _WORKER.fullmatch(seat.worker):
        return (f"--worker-id {seat.worker!r} is none; write letters, digits, '.', '_' and '-', 63 at most",)
    if seat.role != "all" and settings.bot.database_url is None:
        why = "SQLite serves one process alone"
        return (f"--role {seat.role} needs a database that several processes share: set DATABASE_URL; {why}",)
    if args.front_end is not None:
        kind, _, folder = args.front_end.partition(":")
        if kind != "folder" or not folder:
            return (f"--front-end {args.front_end} is none; write folder:DIR, as in folder:./panelist",)
        run_serving(_serve_folder(Path(folder), seat, settings, catalog))
        return ()
    setup = chat.setup_of(settings.bot, Path(), listens=seat.listens)
    if not setup.any:
        return (*setup.missing, "set one up (see README.md), or use 'panelist' in a terminal")
    run_serving(_serve_chat(seat, settings, catalog))
    return ()


async def _serve_folder(folder: Path, seat: Seat, settings: Settings, catalog: Catalog) -> None:
    """Serve a folder; runs under way go on at the next start."""
    # Needs a POSIX file system, and so must not be asked of whoever only opens a terminal.
    from adapters.folder import FolderFrontEnd

    front = FolderFrontEnd(folder)
    said = f"serving {folder}; commands go into {folder / 'in'}"
    await _served({front.name: front}, (said, seat), (settings, catalog))


async def _serve_chat(seat: Seat, settings: Settings, catalog: Catalog) -> None:
    """Serve the chat front ends that are set up, the same way."""
    from bot.http import Web

    bot = settings.bot
    panels = [(panel.name, panel.title) for panel in catalog]
    setup = chat.setup_of(bot, served_folder(bot.panelist_home), panels, listens=seat.listens)
    ready, metrics = chat.Readiness(), Metrics()
    async with AsyncExitStack() as stack:
        # Open before the models are: whoever watches the process sees that it starts.
        chats = await stack.enter_async_context(chat.chat(setup, _together(bot, ready)))
        said = f"serving {', '.join(chats.fronts)}"
        port = chat.web_port(bot, setup)
        if port is not None:
            routes = (*chats.routes, metrics.route)
            await stack.enter_async_context(Web(chats.health, routes, port, checks=ready.checks))
            await stack.enter_async_context(watching_the_loop(metrics.watch))
            said += f"; web server on port {port}"

        def opened(house: Open) -> None:
            ready.opened(house)
            metrics.opened(house)

        await _served(metrics.watched(chats.fronts), (said, seat), (settings, catalog), opened, metrics.watch)


def _together(bot: BotSettings, ready: chat.Readiness) -> chat.Together | None:
    """What the front ends share with those of other processes, where there are any."""
    url = bot.database_url
    if url is None:
        return None

    def installations() -> sa.Engine:
        from bot.postgres import postgres_engine

        assert isinstance(url, SecretStr)
        return postgres_engine(url, looks_first=True)

    @asynccontextmanager
    async def session() -> AsyncIterator[None]:
        from bot.sessions import only_one

        assert ready.house is not None, "front ends are served in an open house"
        assert ready.house.leases is not None, "its database is shared"
        async with only_one(ready.house.leases, bot.discord_shard_count or 1)():
            yield

    return chat.Together(installations, session)


async def _served(
    fronts: Mapping[str, FrontEnd],
    who: tuple[str, Seat],
    by: tuple[Settings, Catalog],
    opened: Callable[[Open], None] = lambda _: None,
    watch: Watch = unwatched,
) -> None:
    (said, seat), (settings, catalog) = who, by
    bot = settings.bot
    role = "" if seat.role == "all" else f" as {seat.role} {seat.worker}"

    having = compose.means_told_of(settings) if seat.role == "gateway" else compose.means_ready(settings)
    async with having as found:
        sys.stderr.write(f"panelist: {said}{role}\npanelist: {web_line(settings)}\n")
        plan = replace(
            compose.plan_of(served_folder(bot.panelist_home), found, settings, catalog),
            rules=compose.rules_of(settings),
            database=bot.database_url,
            worker=seat.worker,
            role=seat.role,
            watch=watch,
        )
        await serve(plan, fronts, bot.panelist_grace, opened)
