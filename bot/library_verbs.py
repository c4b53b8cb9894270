"""`panelist library`: what is added, listed and removed, and how that is said."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adapters.safety import one_line
from teams.sources.library import FILE
from teams.sources.shelf import NO_LIBRARY, Document, LibraryUnusable, is_within, open_shelf, read_shelf
from teams.sources.updating import Progress, Update, update

UNUSABLE = 2
"""Exit code when a path or the library itself cannot be used."""

UNREAD = 1
"""Exit code when a file that was named could not be read."""

SAID_EVERY = 5.0
"""Seconds between two lines of progress where stderr is no terminal."""

MOST_PROBLEMS = 20
"""Files that could not be read, as many as are named at once; the rest is in the list."""


def library(action: str, paths: Sequence[Path], home: Path) -> int:
    """Carry out an action on the library under `home`."""
    try:
        match action:
            case "add":
                return _add(paths, home / FILE)
            case "remove":
                return _remove(paths, home / FILE)
            case _:
                return _list(home / FILE)
    except LibraryUnusable as error:
        return _complain(str(error))


def _add(paths: Sequence[Path], file: Path) -> int:
    absent = [path for path in paths if not path.exists()]
    if absent:
        return _complain(*(f"{path} is not there; check the path" for path in absent))
    if not paths and not file.exists():
        return _complain(NO_LIBRARY)
    with showing_progress() as told:
        done = asyncio.run(update(file, paths, told))
    _report(done)
    named = {os.path.realpath(path) for path in paths}
    return UNREAD if any(each.path in named for each in done.problems) else 0


def _report(done: Update) -> None:
    _say(
        f"read {_files(done.read)} into {_passages(done.passages)}; {done.unchanged:,} unchanged, {done.removed:,} gone"
    )
    for reason, count in done.skipped.most_common():
        _say(f"left out {count:,}: {reason}")
    for root in done.missing:
        _complain(f"{root} is not there; bring it back, or take it out with 'panelist library remove'")
    for each in done.problems[:MOST_PROBLEMS]:
        _complain(_problem(each))
    if len(done.problems) > MOST_PROBLEMS:
        _complain(f"{len(done.problems) - MOST_PROBLEMS:,} more could not be read; see 'panelist library list'")


def _list(file: Path) -> int:
    if not file.exists():
        _say(NO_LIBRARY)
        return 0
    with read_shelf(file) as shelf:
        roots, documents = shelf.roots(), shelf.documents()
    for root in roots:
        readable = [each for each in documents if is_within(each.path, root) and not each.problem]
        _say(f"{root}: {_files(len(readable))}, {_passages(sum(each.passages for each in readable))}")
    problems = [each for each in documents if each.problem]
    if problems:
        _say(f"could not be read, and will be tried again when they change: {_files(len(problems))}")
    for each in problems:
        _say(f"  {_problem(each)}")
    if not roots:
        _say(NO_LIBRARY)
    return 0


def _remove(paths: Sequence[Path], file: Path) -> int:
    if not file.exists():
        return _complain(NO_LIBRARY)
    with open_shelf(file) as shelf:
        roots = shelf.roots()
        # What is gone from the disk can be removed too, by the path it had.
        wanted = [os.path.realpath(path) for path in paths]
        strange = [path for path in wanted if path not in roots]
        if strange:
            return _complain(*(_strange(path, roots) for path in strange))
        for path in wanted:
            _say(f"took out {path}: {_files(shelf.remove_root(path))}")
    return 0


def _strange(path: str, roots: Sequence[str]) -> str:
    holder = next((root for root in roots if is_within(path, root)), None)
    if holder is None:
        return f"{path} was not added; see 'panelist library list'"
    return f"{path} came with {holder}; remove that, or move the file elsewhere and run 'panelist library add'"


def _problem(document: Document) -> str:
    return f"{os.path.dirname(document.path)}{os.sep}: {document.problem}"


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _passages(count: int) -> str:
    return f"{count:,} passage{'' if count == 1 else 's'}"


def _say(sentence: str) -> None:
    sys.stdout.write(f"{one_line(sentence)}\n")


def _complain(*sentences: str) -> int:
    for sentence in sentences:
        sys.stderr.write(f"panelist: {one_line(sentence)}\n")
    return UNUSABLE


@contextmanager
def showing_progress() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, elsewhere a line now and then."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("library"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda progress: bar.update(task, completed=progress.done, total=progress.total)


def _lines() -> Callable[[Progress], None]:
    said = time.monotonic()

    def told(progress: Progress) -> None:
        nonlocal said
        if progress.done < progress.total and time.monotonic() - said >= SAID_EVERY:
            said = time.monotonic()
            sys.stderr.write(f"panelist: {progress.done:,} of {progress.total:,} files; {one_line(progress.path)}\n")

    return told
