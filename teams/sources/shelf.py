"""The library's file: which folders and files were added, what each document was when it was read, and its passages.

SQLite in WAL mode: one process writes, others read meanwhile, and each document changes in one transaction, so that
whatever ends the process leaves whole documents. Knows nothing of reading files.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from teams.sources import fulltext
from teams.sources.passages import Passage

VERSION = 1
"""Of the tables. The library can be made again from the files, so another version is no reason to translate."""

SCHEMA = (
    "CREATE TABLE roots (path TEXT PRIMARY KEY, added_at TEXT NOT NULL)",
    "CREATE TABLE documents (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, "
    "mtime INTEGER NOT NULL, sha256 TEXT NOT NULL, indexed_at TEXT NOT NULL, title TEXT NOT NULL, "
    "passages INTEGER NOT NULL, problem TEXT NOT NULL)",
    *fulltext.SCHEMA,
    f"PRAGMA user_version = {VERSION}",
)

LOCK_SECONDS = 30.0
"""How long one writer waits for another."""


NO_LIBRARY = "there is no library yet; add a folder with 'panelist library add FOLDER'"


class LibraryUnusable(Exception):
    """The library's file cannot be used. The message is one sentence with the way out, and names no path."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file as it was when it was last read. `mtime` is in nanoseconds, `indexed_at` ISO time in UTC.

    With a `problem`, a sentence, it could not be read and has no passages; without a `sha256` it could not even be
    opened.
    """

    path: str
    size: int
    mtime: int
    sha256: str
    indexed_at: str
    title: str = ""
    passages: int = 0
    problem: str = ""


class Shelf:
    """The library's file, open for writing. Not for several threads at once."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def roots(self) -> tuple[str, ...]:
        """The folders and files that were added, by path."""
        return tuple(str(path) for (path,) in self._rows("SELECT path FROM roots ORDER BY path"))

    def documents(self) -> tuple[Document, ...]:
        """All files that were read or tried, by path."""
        columns = ", ".join(each.name for each in fields(Document))
        return tuple(Document(*row) for row in self._rows(f"SELECT {columns} FROM documents ORDER BY path"))  # noqa: S608

    def add_root(self, path: str, at: str) -> None:
        """Note that a folder or file was added; again does nothing."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO roots VALUES (?, ?)", (path, at))

    def remove_root(self, path: str) -> int:
        """Take a folder or file out, with its documents but for those that another root holds; how many these were."""
        with self._transaction():
            self._db.execute("DELETE FROM roots WHERE path = ?", (path,))
            roots = self.roots()
            gone = [
                each.path
                for each in self.documents()
                if is_within(each.path, path) and not any(is_within(each.path, root) for root in roots)
            ]
            self._drop(gone)
        return len(gone)

    def keep(self, document: Document, cut: Sequence[Passage]) -> None:
        """Put a document in the place of what was known of its path, passages and all."""
        with self._transaction():
            self._drop([document.path])
            added = self._db.execute(
                "INSERT INTO documents (path, size, mtime, sha256, indexed_at, title, passages, problem) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(document.path, document.size, document.mtime, document.sha256, document.indexed_at),
                    *(document.title, len(cut), document.problem),
                ),
            )
            assert added.lastrowid is not None, "a row was inserted"
            fulltext.add(self._db, added.lastrowid, document.title, cut)

    def touch(self, path: str, size: int, mtime: int) -> None:
        """Note that a file was written again with what it held before."""
        with self._transaction():
            self._db.execute("UPDATE documents SET size = ?, mtime = ? WHERE path = ?", (size, mtime, path))

    def drop(self, paths: Sequence[str]) -> None:
        """Forget documents."""
        with self._transaction():
            self._drop(paths)

    def tidy(self) -> None:
        """Merge the index's parts into one, which halves the time of a search after much was added."""
        with self._transaction():
            self._db.execute("INSERT INTO words (words) VALUES ('optimize')")

    def _drop(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._db.execute("DELETE FROM passages WHERE document = (SELECT id FROM documents WHERE path = ?)", (path,))
            self._db.execute("DELETE FROM documents WHERE path = ?", (path,))

    def _rows(self, query: str) -> list[Any]:
        with translated():
            return self._db.execute(query).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


@contextmanager
def open_shelf(path: Path) -> Iterator[Shelf]:
    """The library's file for writing, made if there is none, for its owner alone. Raises `LibraryUnusable`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives the files beside it the same rights.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.close(descriptor)
        path.chmod(0o600)
    except OSError as error:
        why = (error.strerror or "no reason given").lower()
        raise LibraryUnusable(
            f"the library's file cannot be opened ({why}); set PANELIST_HOME to your own folder"
        ) from error
    with closing(sqlite3.connect(path, isolation_level=None, timeout=LOCK_SECONDS, check_same_thread=False)) as db:
        with translated():
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            _prepare(db)
        yield Shelf(db)


@contextmanager
def read_shelf(path: Path) -> Iterator[Shelf]:
    """The library's file for looking at it. Raises `LibraryUnusable` where there is none."""
    with closing(open_reader(path)) as db:
        yield Shelf(db)


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, for the thread that asked. Raises `LibraryUnusable` where there is no library."""
    if not path.exists():
        raise LibraryUnusable(NO_LIBRARY)
    with translated():
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0, isolation_level=None)
        try:
            # Kibibytes: the words that questions have in common stay in memory.
            db.execute("PRAGMA cache_size = -8000")
            _check_version(db)
        except BaseException:
            db.close()
            raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    # Two that begin at once: the second finds the tables made.
    db.execute("BEGIN IMMEDIATE")
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        for statement in SCHEMA:
            db.execute(statement)
    db.execute("COMMIT")
    _check_version(db)


def _check_version(db: sqlite3.Connection) -> None:
    if db.execute("PRAGMA user_version").fetchone() != (VERSION,):
        raise LibraryUnusable(f"the library was made by another version of Panelist; {_ANEW}")


def is_within(path: str, root: str) -> bool:
    """Whether a path is that of a root or of something in it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def path_in_library(path: str, roots: Iterable[str]) -> str:
    """A document's path as people who ask see it: from the folder on that was added, by that folder's own name. Of
    folders within one another the outer one counts."""
    root = min((root for root in roots if is_within(path, root)), key=len, default=path)
    return os.path.relpath(path, os.path.dirname(root)).replace(os.sep, "/")


_ANEW = "remove library.sqlite from PANELIST_HOME and add your folders again"

_REASONS = {
    sqlite3.SQLITE_BUSY: "another process is writing to the library; wait until it is done",
    sqlite3.SQLITE_FULL: "no space is left on the disk for the library; make room",
    sqlite3.SQLITE_IOERR: "the disk refused to read or write the library; look at the disk and at the room on it",
    sqlite3.SQLITE_READONLY: "the library is read-only; let the user that runs this write to PANELIST_HOME",
    sqlite3.SQLITE_CANTOPEN: "the library cannot be opened; let the user that runs this read and write PANELIST_HOME",
    sqlite3.SQLITE_PERM: "the library cannot be opened; let the user that runs this read and write PANELIST_HOME",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raise what SQLite refuses as `LibraryUnusable`. What is not listed is a file that is damaged or no library."""
    try:
        yield
    # SQLite quotes what it could not read, and that may be no text.
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # The low byte is the kind, the rest says more of it (SQLite documentation, "Result and Error Codes").
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        raise LibraryUnusable(_REASONS.get(code, f"the library is damaged; {_ANEW}")) from error
