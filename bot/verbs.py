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

from adapters.port import FrontEnd, Gone, Invocation, Place
from adapters.safety import one_line
from adapters.terminal import TerminalFrontEnd
from bot import compose, doctor
from bot.commands import Ask, Research
from bot.documents import UnreadableDocument, read_documents, read_text
from bot.download import showing_download
from bot.intake import Intake, NotOpened, Unaskable, brief_for, topic_of
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
    except Exception as error:
        code = _outcome(_sole(error))
        if code is None:
            raise
        return code


def _outcome(error: BaseException) -> int | None:
    """What an expected end says and exits with; None for a bug."""
    match error:
        case NotOpened() if isinstance(error.error, Gone):
            return READER_GONE
        case Unaskable() | UnreadableDocument():
            return _complain(str(error))
        case compose.NoModel():
            _complain(str(error))
            return NOBODY_ANSWERED
        case BrokenPipeError():
            # The interpreter would complain again when it flushes stdout at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return READER_GONE
        case _:
            return None


def _sole(error: BaseException) -> BaseException:
    """The one exception that a group was made around; a task group wraps whatever leaves it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _verb(args: argparse.Namespace, settings: Settings) -> int:
    catalog = load_catalog(settings.bot.panelist_panels)
    match args.verb:
        case "panel" | "research":
            brief = _brief(args, catalog)
            _complain(*catalog.problems)
            return asyncio.run(_events(brief, settings) if args.json else _board(brief, settings, catalog))
        case "chat":
            return asyncio.run(_chat(settings, catalog))
        case "panels":
            return _panels(catalog)
        case "serve":
            return _serve(args.front_end, settings, catalog)
        case "doctor":
            return asyncio.run(doctor.examine(settings, catalog))
        case _:
            return asyncio.run(_fetch(settings))


def _complain(*sentences: str) -> int:
    for sentence in sentences:
        sys.stderr.write(f"panelist: {one_line(sentence)}\n")
    return USAGE


def _brief(args: argparse.Namespace, catalog: Catalog) -> Brief:
    sources = read_documents([Path(name) for name in args.docs])
    if args.verb == "research":
        return brief_for(Research(args.topic), catalog, sources)
    brief = brief_for(Ask(args.topic, args.panel), catalog, sources)
    profile = read_text(Path(args.profile)) if args.profile else ""
    pillars = topic_of(args.pillars, "pillars") if args.pillars else ""
    return Brief(brief.team, brief.topic, brief.panel, brief.sources, profile, pillars)


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
    async with _answering(_terminal(settings), settings, catalog) as intake:
        run = await intake.begin(brief, Invocation(HERE, _user(), brief.topic, uuid.uuid4().hex, "terminal"))
        with _stopping_on_interrupt(run.stop):
            await intake.settled()
    return _exit_code(run)


async def _chat(settings: Settings, catalog: Catalog) -> int:
    """A conversation. When its input ends, piped runs go on to their end; those of a person who leaves are stopped."""
    front = _terminal(settings)
    async with _answering(front, settings, catalog) as intake:
        await front.serve(intake.take)
        if sys.stdin.isatty():
            intake.stop_all()
        await intake.settled()
    return 0


async def _serve_folder(folder: Path, settings: Settings, catalog: Catalog) -> int:
    """Serve a folder until SIGTERM or Ctrl-C; the runs under way are then stopped and told so."""
    # Needs a POSIX file system, and so must not be asked of whoever only opens a terminal.
    from adapters.folder import FolderFrontEnd

    front = FolderFrontEnd(folder)
    async with _answering(front, settings, catalog) as intake:
        serving = asyncio.create_task(front.serve(intake.take))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, serving.cancel)
        sys.stderr.write(f"panelist: serving {folder}; commands go into {folder / 'in'}\n")
        await asyncio.wait([serving])
        intake.stop_all()
        await intake.settled()
        if not serving.cancelled():
            serving.result()
    return 0


def _terminal(settings: Settings) -> TerminalFrontEnd:
    return TerminalFrontEnd(files=settings.bot.panelist_home / "answers")


@asynccontextmanager
async def _answering(front: FrontEnd, settings: Settings, catalog: Catalog) -> AsyncIterator[Intake]:
    """An intake for `front`, with models that are ready; the front end is closed when the block ends."""
    with showing_download() as downloading:
        async with compose.models_ready(compose.Wanted(settings, downloading)) as models, asyncio.TaskGroup() as group:
            try:
                yield Intake(front, ModelTeams(models.patience), catalog, group, compose.status_lines(models))
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
        sys.stdout.write(f"{one_line(panel.name):<14}{one_line(panel.description)}\n")
        titles = ", ".join(seat.title for seat in panel.perspectives)
        sys.stdout.write(f"{'':<14}{one_line(titles)}\n")
    return _complain(*catalog.problems) if catalog.problems else 0


def _serve(front_end: str | None, settings: Settings, catalog: Catalog) -> int:
    if front_end is not None:
        kind, _, folder = front_end.partition(":")
        if kind != "folder" or not folder:
            return _complain(f"--front-end {front_end} is none; write folder:DIR, as in folder:./panelist")
        return asyncio.run(_serve_folder(Path(folder), settings, catalog))
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
