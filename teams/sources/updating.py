"""Files and folders into the library, once and again: only what changed is read.

One after the other, in the child process of `teams/reading.py`.
"""

import asyncio
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from teams.reading import LIMITS, UnreadableDocument, read_document
from teams.sources import walk
from teams.sources.passages import Passage, passages, title_of
from teams.sources.shelf import Document, Shelf, is_within, open_shelf

P = ParamSpec("P")
T = TypeVar("T")

LIBRARY_LIMITS = replace(
    LIMITS, text_bytes=20_000_000, characters=5_000_000, pages=10_000, cpu_seconds=120, seconds=180.0
)
"""Books are meant to be in a library: no prompt holds a document whole, and nobody waits at a board for it."""

SNIFFED = 8_192
"""Bytes in which a file without text gives itself away by a zero. Only of formats that are read it means nothing."""

_WITH_ZEROS = (b"%PDF", b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0", b"\xff\xfe", b"\xfe\xff")

TIDIED_FROM = 1_000
"""Passages changed in one update from which it pays to tidy the index."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an update is: files looked at of all that were found, and the one that is next."""

    done: int
    total: int
    path: str


@dataclass(slots=True)
class Update:
    """What an update did. `missing` are roots that are not there: what was in a folder is kept until it is removed, for
    it may be on a disk that is not plugged in."""

    read: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    problems: list[Document] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)


async def update(path: Path, roots: Sequence[Path] = (), told: Callable[[Progress], None] = lambda _: None) -> Update:
    """Add folders and files to the library at `path`, or look again at all that were added before.

    Files whose size and time are as they were are not read; a file that was only touched is not parsed. What is gone
    is forgotten. Each file is kept as soon as it was read, so that an update that is cut short goes on where it was.
    Raises `LibraryUnusable`.
    """
    # Cancelled in the middle, the thread ends what it is at before the file is closed.
    with open_shelf(path) as shelf, ThreadPoolExecutor(1, "library") as thread:
        return await _Updating(shelf, thread, told).work(roots)


class _Updating:
    """One update under way."""

    def __init__(self, shelf: Shelf, thread: Executor, told: Callable[[Progress], None]) -> None:
        self.shelf, self.thread, self.told = shelf, thread, told
        self.roots: Sequence[str] = ()
        self.known: dict[str, Document] = {}
        self.done = Update()

    async def work(self, roots: Sequence[Path]) -> Update:
        files = await self._in_thread(self._survey, roots)
        for number, path in enumerate(files):
            self.told(Progress(number, len(files), path))
            await self._one(path)
        self.told(Progress(len(files), len(files), ""))
        if self.done.passages >= TIDIED_FROM:
            await self._in_thread(self.shelf.tidy)
        return self.done

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, partial(work, *args, **kwargs))

    def _survey(self, roots: Sequence[Path]) -> list[str]:
        """The files there are, once each; what is known of others under the roots is forgotten."""
        added = list(dict.fromkeys(os.path.realpath(root) for root in roots))
        for root in filter(os.path.exists, added):
            self.shelf.add_root(root, _now())
        self.roots = added or self.shelf.roots()
        self.known = {document.path: document for document in self.shelf.documents()}
        files: dict[str, None] = {}
        for root in self.roots:
            if not os.path.exists(root):
                self.done.missing.append(root)
                if root in self.known:
                    self.shelf.drop([root])
                    self.done.removed += 1
                continue
            found = walk.walk(root, LIBRARY_LIMITS.file_bytes)
            self.done.skipped += found.skipped
            files |= dict.fromkeys(found.files)
            self._forget(root, set(found.files), found.unlisted)
        return list(files)

    def _forget(self, root: str, files: set[str], unlisted: Sequence[str]) -> None:
        # Roots within this one may be what its walk leaves out: hidden, or large.
        inner = [other for other in self.shelf.roots() if other != root and is_within(other, root)]
        gone = [
            path
            for path in self.known
            if is_within(path, root)
            and path not in files
            and not any(is_within(path, kept) for kept in (*unlisted, *inner))
        ]
        self.shelf.drop(gone)
        self.done.removed += len(gone)

    async def _one(self, path: str) -> None:
        before = self.known.get(path)
        looked = await self._in_thread(_look, path, before, path in self.roots)
        match looked:
            case str(reason):
                self.done.skipped[reason] += 1
                if before is not None:
                    await self._in_thread(self.shelf.drop, [path])
                    self.done.removed += 1
            case _Looked(document, None):
                self.done.unchanged += 1
                if document != before:
                    await self._in_thread(self.shelf.touch, path, document.size, document.mtime)
                self._note(document)
            case _Looked(document, bytes(content)):
                await self._read(document, content)

    async def _read(self, document: Document, content: bytes) -> None:
        name = os.path.basename(document.path)
        cut: list[Passage] = []
        try:
            if not document.problem:
                text = await read_document(name, content, LIBRARY_LIMITS)
                document = replace(document, title=title_of(text, name))
                cut = await self._in_thread(passages, text)
        except UnreadableDocument as error:
            document = replace(document, problem=str(error))
        await self._in_thread(self.shelf.keep, document, cut)
        self.done.read += not document.problem
        self.done.passages += len(cut)
        self._note(document)

    def _note(self, document: Document) -> None:
        if document.problem:
            self.done.problems.append(document)


@dataclass(frozen=True, slots=True)
class _Looked:
    """A file as it is; no content if it holds what it held before."""

    document: Document
    content: bytes | None = field(repr=False)


def _look(path: str, before: Document | None, named: bool) -> _Looked | str:
    """A file with its content if that is new, or the reason to leave it out."""
    name = os.path.basename(path)
    try:
        # A folder's file may have become a link, or a pipe that never ends, since it was listed.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return walk.SPECIAL
            size, mtime = status.st_size, status.st_mtime_ns
            if before is not None and before.sha256 and (before.size, before.mtime) == (size, mtime):
                return _Looked(before, None)
            start = file.read(SNIFFED)
            if not named and b"\x00" in start and not start.startswith(_WITH_ZEROS):
                return walk.BINARY
            # One byte more than is read tells the reader that there is more.
            content = start + file.read(LIBRARY_LIMITS.file_bytes + 1 - len(start))
    except FileNotFoundError:
        return walk.GONE
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        return _Looked(Document(path, 0, 0, "", _now(), problem=f"{name}: {why}; check that you may read it"), b"")
    sha256 = hashlib.sha256(content).hexdigest()
    if before is not None and before.sha256 == sha256:
        return _Looked(replace(before, size=size, mtime=mtime), None)
    return _Looked(Document(path, size, mtime, sha256, _now()), content)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
