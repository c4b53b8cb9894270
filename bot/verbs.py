"""The verbs of the command line, each from its arguments to an exit code."""

import argparse
import asyncio
import getpass
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.port import FrontEnd, FrontEndFailed, Invocation, Place
from adapters.safety import one_line
from bot import compose
from bot.asking import Unaskable, brief_for, topic_of
from bot.brief import Brief
from bot.commands import Ask, Research
from bot.documents import UnreadableDocument, read_documents, read_text
from bot.download import showing_download
from bot.errors import StoreFailed, sole
from bot.log import configure_logs
from bot.loop import run_serving
from bot.model_teams import loading
from bot.progress import Progress
from bot.rounds import RoundId
from bot.settings import BadSettings, Settings, load_settings
from bot.sources import reach_by_settings, web_line
from teams.catalog import Catalog, load_catalog
from teams.events import event_to_json
from teams.sources.kit import ResearchKit
from teams.sources.mcp_file import BadServerFile
from teams.sources.shelf import LibraryUnusable
from teams.steps import MemorySteps
from teams.weights import WeightsUnavailable, fetch_weights

if TYPE_CHECKING:
    from adapters.terminal import TerminalFrontEnd
    from bot.house import Open, Plan
    from bot.record import Found
    from bot.stored import StoredRun

FAILED = 1
"""Exit code when a front end cannot go on: whoever watches the process starts it again."""

USAGE = 2
"""Exit code for a command line or settings that cannot be used."""

READER_GONE = 141
"""Exit code when whoever read the output went away, as shells report it (128 + SIGPIPE)."""

NOBODY_ANSWERED = 3
"""Exit code when no expert answered, or when research came to no answer."""

HERE = Place("terminal", "local", "terminal")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb. What the user can mend is one sentence on stderr, never a traceback."""
    try:
        settings = load_settings()
    except BadSettings as error:
        return _examined_settings(error) if args.verb == "doctor" else _complain(*error.faults)
    # Whoever sits at the terminal has been told there already; a service has only its log.
    configure_logs(settings.bot.panelist_log or ("warning" if args.verb == "serve" else "error"))
    try:
        return _verb(args, settings)
    except Exception as error:
        code = _outcome(sole(error))
        if code is None:
            raise
        return code


def _outcome(error: BaseException) -> int | None:
    """What an expected end says and exits with; None for a bug."""
    match error:
        case Unaskable() | UnreadableDocument() | StoreFailed() | LibraryUnusable():
            return _complain(str(error))
        case BadServerFile():
            return _complain(*error.faults)
        case FrontEndFailed():
            _complain(str(error))
            return FAILED
        case compose.NoModel():
            _complain(str(error))
            return NOBODY_ANSWERED
        case BrokenPipeError():
            # The interpreter would complain again when it flushes stdout at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return READER_GONE
        case _:
            return None


def _verb(args: argparse.Namespace, settings: Settings) -> int:
    catalog = load_catalog(settings.bot.panelist_panels)
    match args.verb:
        case "panel" | "research":
            brief = _brief(args, catalog, settings)
            _complain(*catalog.problems)
            return asyncio.run(_events(brief, settings) if args.json else _board(brief, settings, catalog))
        case "chat":
            return asyncio.run(_chat(settings, catalog))
        case "panels":
            return _panels(catalog)
        case "serve":
            return _serve(args.front_end, settings, catalog)
        case "runs":
            return _runs(args, settings)
        case "library":
            from bot.library_verbs import library

            return library(args.action, [Path(name) for name in getattr(args, "paths", ())], settings.bot.panelist_home)
        case "slack":
            return _slack_manifest(args.url, socket=args.socket or args.url is None, public=args.public)
        case "discord":
            return asyncio.run(_discord(args.action, settings, catalog))
        case "mcp":
            from bot.mcp_verbs import mcp

            return mcp(args, settings)
        case "doctor":
            from bot.doctor import examine

            return asyncio.run(examine(settings, catalog))
        case _:
            return asyncio.run(_fetch(settings))


def _examined_settings(error: BadSettings) -> int:
    from bot.doctor import report_settings

    return report_settings(error)


def _complain(*sentences: str) -> int:
    for sentence in sentences:
        sys.stderr.write(f"panelist: {one_line(sentence)}\n")
    return USAGE


def _brief(args: argparse.Namespace, catalog: Catalog, settings: Settings) -> Brief:
    sources = read_documents([Path(name) for name in args.docs])
    if args.verb == "research":
        folder = os.path.realpath(args.library) if args.library else ""
        reach = reach_by_settings(settings, folder)
        return replace(brief_for(Research(args.topic), catalog, sources, reach=reach), library=folder)
    brief = brief_for(Ask(args.topic, args.panel), catalog, sources)
    profile = read_text(Path(args.profile)) if args.profile else ""
    pillars = topic_of(args.pillars, "pillars") if args.pillars else ""
    return replace(brief, profile=profile, pillars=pillars)


async def _events(brief: Brief, settings: Settings) -> int:
    """The run as JSON, one event a line; whoever reads it keeps it, so it is in memory only."""
    progress, stop = Progress(), asyncio.Event()
    async with compose.means_ready(settings, brief.library) as means, loading(means.teams):
        brief = await _with_links_read(brief, means.kit)
        with _stopping_on_interrupt(stop.set):
            async with means.teams.events(brief, MemorySteps(), uuid.uuid4().hex, stop) as events:
                async for event in events:
                    progress = progress.after(event)
                    sys.stdout.write(json.dumps(event_to_json(event)) + "\n")
                    sys.stdout.flush()
    answered = progress.synthesis.written if brief.team == "research" else progress.answered
    return 0 if answered else NOBODY_ANSWERED


async def _with_links_read(brief: Brief, kit: ResearchKit) -> Brief:
    """The brief with what its links say; those that could not be read are named on stderr."""
    from bot.reading import Readers, links_in_vain, read_what_came

    asked = Invocation(HERE, _user(), brief.topic, "", "terminal")
    _, read = await read_what_came(None, Readers(pages=kit.pages), asked, brief)
    _complain(*(f"{link.url}: {link.problem}" for link in links_in_vain(read)))
    return read


async def _board(brief: Brief, settings: Settings, catalog: Catalog) -> int:
    """The run on a live board, its posts above."""
    from bot.record import has_answer

    async with _answering(settings, catalog, library=brief.library) as (house, _):
        asked = Invocation(HERE, _user(), brief.topic, uuid.uuid4().hex, "terminal")
        run_id = await house.intake.begin(brief, asked)
        with _stopping_on_interrupt(lambda: house.conductor.stop(RoundId(run_id, 1))):
            await house.intake.settled()
        run = await house.store.get(run_id)
    assert run is not None, "a run of now is not removed"
    if run.status == "unopened":
        return READER_GONE
    return 0 if has_answer(run) else NOBODY_ANSWERED


async def _chat(settings: Settings, catalog: Catalog) -> int:
    """A conversation. When its input ends, piped runs go on to their end; those of a person who leaves are stopped."""
    async with _answering(settings, catalog) as (house, front):
        await front.serve(house.intake.take)
        if sys.stdin.isatty():
            await house.intake.stop_all()
        await house.intake.settled()
    return 0


async def _serve_folder(folder: Path, settings: Settings, catalog: Catalog) -> int:
    """Serve a folder until SIGTERM or Ctrl-C; runs under way go on at the next start."""
    # Needs a POSIX file system, and so must not be asked of whoever only opens a terminal.
    from adapters.folder import FolderFrontEnd

    front = FolderFrontEnd(folder)
    said = f"serving {folder}; commands go into {folder / 'in'}"
    return await _served({front.name: front}, said, settings, catalog)


async def _serve_chat(settings: Settings, catalog: Catalog) -> int:
    """Serve the chat front ends that are set up, the same way."""
    from bot import chat
    from bot.house import served_folder
    from bot.http import Web

    panels = [(panel.name, panel.title) for panel in catalog]
    setup = chat.setup_of(settings.bot, served_folder(settings.bot.panelist_home), panels)
    ready = chat.Readiness()
    async with AsyncExitStack() as stack:
        # Open before the models are: whoever watches the process sees that it starts.
        chats = await stack.enter_async_context(chat.chat(setup))
        said = f"serving {', '.join(chats.fronts)}"
        port = chat.web_port(settings.bot, setup)
        if port is not None:
            await stack.enter_async_context(Web(chats.health, chats.routes, port, checks=ready.checks))
            said += f"; web server on port {port}"
        return await _served(chats.fronts, said, settings, catalog, ready.opened)


async def _served(
    fronts: "Mapping[str, FrontEnd]",
    said: str,
    settings: Settings,
    catalog: Catalog,
    opened: "Callable[[Open], None]" = lambda _: None,
) -> int:
    from bot.house import served_folder
    from bot.serve import serve

    bot = settings.bot
    async with compose.means_ready(settings) as means:
        sys.stderr.write(f"panelist: {said}\npanelist: {web_line(settings)}\n")
        plan = replace(
            _plan(served_folder(bot.panelist_home), means, settings, catalog),
            rules=compose.rules_of(settings),
            database=bot.database_url,
        )
        await serve(plan, fronts, bot.panelist_grace, opened)
    return 0


@asynccontextmanager
async def _answering(
    settings: Settings, catalog: Catalog, folder: Path | None = None, library: str = ""
) -> "AsyncIterator[tuple[Open, TerminalFrontEnd]]":
    """A house for this terminal, with models that are ready and run databases of its own, or those in `folder`.
    `library` is a folder to search instead of the library.

    Whoever sits here pays for the models, so no quota counts; a budget that was set does.
    """
    from adapters.terminal import TerminalFrontEnd
    from bot.house import folder_of_its_own, open_house

    front = TerminalFrontEnd(files=settings.bot.panelist_home / "answers")
    async with (
        compose.means_ready(settings, library) as means,
        folder_of_its_own(settings.bot.panelist_home, settings.bot.panelist_keep_days, folder) as own,
    ):
        plan = _plan(own, means, settings, catalog)
        try:
            async with open_house(plan, {front.name: front}) as house, loading(plan.teams):
                yield house, front
        finally:
            await front.close()


def _plan(folder: Path, means: compose.Means, settings: Settings, catalog: Catalog) -> "Plan":
    from bot.house import Plan

    return Plan(
        folder,
        means.teams,
        catalog,
        kit=means.kit,
        tariff=compose.tariff_of(means.models),
        budgets=compose.budgets_of(settings),
        status=compose.status_lines(means.models),
        keep_days=settings.bot.panelist_keep_days,
    )


@contextmanager
def _stopping_on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `stop`, so that the run ends in good order; a second one interrupts at once."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        stop()
        loop.remove_signal_handler(signal.SIGINT)

    try:
        loop.add_signal_handler(signal.SIGINT, interrupted)
    except NotImplementedError:  # Windows: Ctrl-C interrupts at once
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _panels(catalog: Catalog) -> int:
    for panel in catalog:
        sys.stdout.write(f"{one_line(panel.name):<14}{one_line(panel.description)}\n")
        titles = ", ".join(seat.title for seat in panel.perspectives)
        sys.stdout.write(f"{'':<14}{one_line(titles)}\n")
    return _complain(*catalog.problems) if catalog.problems else 0


def _serve(front_end: str | None, settings: Settings, catalog: Catalog) -> int:
    if front_end is not None:
        kind, _, folder = front_end.partition(":")
        if kind != "folder" or not folder:
            return _complain(f"--front-end {front_end} is none; write folder:DIR, as in folder:./panelist")
        return run_serving(_serve_folder(Path(folder), settings, catalog))
    from bot import chat

    setup = chat.setup_of(settings.bot, Path())
    if not setup.any:
        return _complain(*setup.missing, "set one up (see README.md), or use 'panelist' in a terminal")
    return run_serving(_serve_chat(settings, catalog))


def _slack_manifest(url: str | None, *, socket: bool, public: bool) -> int:
    from adapters.slack.manifest import manifest

    if url is not None and not url.startswith("https://"):
        return _complain(f"--url {url} cannot be used: Slack sends to https:// addresses only")
    made = manifest(url, socket=socket, public=public)
    sys.stdout.write(json.dumps(made, indent=2) + "\n")
    return 0


async def _discord(action: str, settings: Settings, catalog: Catalog) -> int:
    """Print the link that adds the bot to a server, or tell Discord its commands now."""
    from bot import chat
    from bot.house import served_folder

    panels = [(panel.name, panel.title) for panel in catalog]
    config = chat.setup_of(settings.bot, served_folder(settings.bot.panelist_home), panels).discord
    if config.missing:
        return _complain(f"Discord is not set up: {config.missing}")
    if action == "invite":
        from adapters.discord.invite import application_of, invite_url

        sys.stdout.write(f"{invite_url((await application_of(config)).id)}\n")
    else:
        from adapters.discord.connect import sync_commands

        sys.stdout.write(f"{await sync_commands(config)} commands are known to Discord now\n")
    return 0


def _runs(args: argparse.Namespace, settings: Settings) -> int:
    from bot import record
    from bot.house import run_databases

    databases = run_databases(settings.bot.panelist_home, settings.bot.database_url)
    problems: list[str] = []
    if args.action is None:
        sys.stdout.write(record.listing(record.recent(databases, args.most, problems.append)))
        return _complain(*problems) if problems else 0
    found = record.named(databases, args.run, problems.append)
    _complain(*problems)
    if len(found) != 1:
        what = "no run has" if not found else f"{len(found)} runs have"
        return _complain(f"{what} an id that begins with {args.run!r}; see 'panelist runs'")
    if args.action == "resume":
        return _resume(found[0], settings)
    sys.stdout.write(record.exported(found[0], args.format if args.action == "export" else "md"))
    return 0


def _resume(found: "Found", settings: Settings) -> int:
    from bot.house import served_folder
    from bot.runs_at import InPostgres

    at = found.database
    if found.run.ended:
        return _complain(f"run {found.run.id} is over; 'panelist runs show {found.run.id}' prints it")
    if not found.interrupted:
        return _complain(f"run {found.run.id} is under way in another process")
    if isinstance(at, InPostgres) or at.folder == served_folder(settings.bot.panelist_home):
        return _complain(f"run {found.run.id} was served; it goes on when 'panelist serve' starts again")
    return asyncio.run(_taken_up(at.folder, found.run, settings))


async def _taken_up(folder: Path, run: "StoredRun", settings: Settings) -> int:
    """Go on with what was under way in a folder of run databases; what was shown before is not shown again."""
    from bot.record import has_answer

    round_id, catalog = run.round_id, load_catalog(settings.bot.panelist_panels)
    async with _answering(settings, catalog, folder, run.brief.library) as (house, _):
        with _stopping_on_interrupt(lambda: house.conductor.stop(round_id)):
            await house.intake.settled()
        ended = await house.store.get(run.id)
    assert ended is not None, "a run under way is not removed"
    return 0 if has_answer(ended) else NOBODY_ANSWERED


async def _fetch(settings: Settings) -> int:
    with showing_download() as downloading:
        try:
            path = await fetch_weights(settings.bot.panelist_home, downloading)
        except WeightsUnavailable as error:
            _complain(str(error))
            return 1
    sys.stdout.write(f"the built-in model is at {path}\n")
    return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in a container
        return "you"
