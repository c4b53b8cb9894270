"""The verbs of the command line, each from its arguments to an exit code."""

import argparse
import asyncio
import getpass
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from adapters.port import Invocation, Place
from adapters.terminal import TerminalFrontEnd
from bot import compose, doctor
from bot.commands import Ask, Research
from bot.documents import UnreadableDocument, read_documents, read_text
from bot.download import showing_download
from bot.intake import Intake, Unaskable, brief_for
from bot.log import configure_logs
from bot.runs import Brief, LiveRun, ModelTeams
from bot.settings import BadSettings, Settings, load_settings
from teams.catalog import Catalog, load_catalog
from teams.events import event_to_json
from teams.weights import WeightsUnavailable, fetch_weights

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
        return doctor.report_settings(error) if args.verb == "doctor" else _complain(*error.faults)
    # Whoever sits at the terminal has been told there already; a service has only its log.
    configure_logs(settings.bot.panelist_log or ("warning" if args.verb == "serve" else "error"))
    try:
        return _verb(args, settings)
    except (Unaskable, UnreadableDocument) as error:
        return _complain(str(error))
    except compose.NoModel as error:
        _complain(str(error))
        return NOBODY_ANSWERED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The interpreter would complain again when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE


def _verb(args: argparse.Namespace, settings: Settings) -> int:
    catalog = load_catalog(settings.bot.panelist_panels)
    match args.verb:
        case "panel" | "research":
            brief = _brief(args, catalog)
            return asyncio.run(_events(brief, settings) if args.json else _board(brief, settings, catalog))
        case "chat":
            return asyncio.run(_chat(settings, catalog))
        case "panels":
            return _panels(catalog)
        case "serve":
            return _serve(settings)
        case "doctor":
            return asyncio.run(doctor.examine(settings, catalog))
        case _:
            return asyncio.run(_fetch(settings))


def _complain(*sentences: str) -> int:
    for sentence in sentences:
        sys.stderr.write(f"panelist: {sentence}\n")
    return USAGE


def _brief(args: argparse.Namespace, catalog: Catalog) -> Brief:
    sources = read_documents([Path(name) for name in args.docs])
    if args.verb == "research":
        return brief_for(Research(args.topic), catalog, sources)
    brief = brief_for(Ask(args.topic, args.panel), catalog, sources)
    profile = read_text(Path(args.profile)) if args.profile else ""
    return Brief(brief.team, brief.topic, brief.panel, brief.sources, profile, args.pillars)


async def _events(brief: Brief, settings: Settings) -> int:
    """The run as JSON, one event a line."""
    with showing_download() as downloading:
        async with compose.models_ready(compose.Wanted(settings, downloading)) as models:
            run = LiveRun(uuid.uuid4().hex, brief)
            with _stopping_on_interrupt(run.stop):
                async with run.events(ModelTeams(models.patience)) as events:
                    async for event in events:
                        sys.stdout.write(json.dumps(event_to_json(event)) + "\n")
                        sys.stdout.flush()
    return _exit_code(run)


async def _board(brief: Brief, settings: Settings, catalog: Catalog) -> int:
    """The run on a live board, its posts above."""
    async with _terminal(settings, catalog) as (_, intake):
        run = await intake.begin(brief, Invocation(HERE, _user(), brief.topic, uuid.uuid4().hex, "terminal"))
        with _stopping_on_interrupt(run.stop):
            await intake.settled()
    return _exit_code(run)


async def _chat(settings: Settings, catalog: Catalog) -> int:
    """A conversation. When its input ends, piped runs go on to their end; those of a person who leaves are stopped."""
    async with _terminal(settings, catalog) as (front, intake):
        await front.serve(intake.take)
        if sys.stdin.isatty():
            intake.stop_all()
        await intake.settled()
    return 0


@asynccontextmanager
async def _terminal(settings: Settings, catalog: Catalog) -> AsyncIterator[tuple[TerminalFrontEnd, Intake]]:
    home = settings.bot.panelist_home
    with showing_download() as downloading:
        async with compose.models_ready(compose.Wanted(settings, downloading)) as models, asyncio.TaskGroup() as group:
            front = TerminalFrontEnd(files=home / "answers")
            intake = Intake(front, ModelTeams(models.patience), catalog, group, compose.status_lines(models))
            try:
                yield front, intake
            finally:
                await front.close()


def _exit_code(run: LiveRun) -> int:
    if run.brief.team == "research":
        return 0 if run.progress.synthesis.written is not None else NOBODY_ANSWERED
    return 0 if run.progress.answered else NOBODY_ANSWERED


@contextmanager
def _stopping_on_interrupt(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C sets `stop`, so that the run ends in good order; a second one interrupts at once."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        stop.set()
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
        sys.stdout.write(f"{panel.name:<14}{panel.description}\n")
        sys.stdout.write(f"{'':<14}{', '.join(seat.title for seat in panel.perspectives)}\n")
    return _complain(*catalog.problems) if catalog.problems else 0


def _serve(settings: Settings) -> int:
    missing = doctor.missing_front_ends(settings)
    return _complain(*missing, "no chat front end is built into this version yet: use 'panelist' in a terminal")


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
