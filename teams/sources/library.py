"""The library as a source: files and folders of the user, found by words. How they come into it, `updating` knows."""

import asyncio
import sqlite3
import threading
from pathlib import Path

from teams.model import FailureKind
from teams.reading import DOUBTFUL_TEXT, PARTIAL_TEXT, REMOVED_CHARACTERS, REMOVED_TEXT
from teams.sources import fulltext
from teams.sources.port import Hit, SourceFailed
from teams.sources.shelf import LibraryUnusable, open_reader, path_in_library, translated

FILE = "library.sqlite"
"""The index's name under `PANELIST_HOME`: a file of its own, whatever the run database is."""


class Library:
    """The library as a source of evidence. A passage comes with its neighbours, under its document's path in the
    library: where that is on this machine is for nobody who only asks."""

    name = "library"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()

    async def search(self, query: str, most: int) -> tuple[Hit, ...] | SourceFailed:
        """At most `most` passages, best first. Any text is a query. Cancelling ends the wait: a search takes but
        milliseconds."""
        try:
            return await asyncio.to_thread(self._search, query, most)
        except LibraryUnusable as error:
            return SourceFailed(self.name, FailureKind.UNAVAILABLE, str(error))

    def _search(self, query: str, most: int) -> tuple[Hit, ...]:
        db = self._connection()
        try:
            # One state of the library, whoever writes meanwhile.
            with translated(), db:
                db.execute("BEGIN")
                found = fulltext.find(db, query, most)
                return tuple(Hit(each.name, self._where(db, each), _evidence(db, each), self.name) for each in found)
        except LibraryUnusable:
            self._own.__dict__.clear()
            raise

    def _where(self, db: sqlite3.Connection, found: fulltext.Found) -> str:
        row = db.execute("SELECT path FROM documents WHERE id = ?", (found.document,)).fetchone()
        roots = [str(root) for (root,) in db.execute("SELECT path FROM roots")]
        return path_in_library(str(row[0]), roots) if row else found.title

    def _connection(self) -> sqlite3.Connection:
        """This thread's own, and of the file that is there now: a library may be removed and made again."""
        try:
            status = self._path.stat()
        except OSError:
            status = None
        file = (status.st_dev, status.st_ino) if status else None
        if file is None or getattr(self._own, "file", None) != file:
            self._own.__dict__.clear()
            self._own.db = open_reader(self._path)
            self._own.file = file
        db: sqlite3.Connection = self._own.db
        return db


_FLAGS = frozenset({REMOVED_CHARACTERS, REMOVED_TEXT, DOUBTFUL_TEXT, PARTIAL_TEXT})


def _evidence(db: sqlite3.Connection, found: fulltext.Found) -> str:
    """The passage and those around it, under what the reader said of the whole document in its first lines."""
    text = fulltext.around(db, found)
    first = db.execute("SELECT text FROM passages WHERE document = ? AND position = 0", (found.document,)).fetchone()
    lines = str(first[0]).split("\n", len(_FLAGS))[: len(_FLAGS)] if first else []
    return "\n".join([*(line for line in lines if line in _FLAGS and line not in text), text])
