"""Search in the documents of one run: an index in memory. Knows no model."""

import sqlite3
from collections.abc import Sequence

from teams.model import Source
from teams.sources import fulltext
from teams.sources.passages import passages, title_of


class DocumentIndex:
    """Passages of the given documents, found by their words as in the library (`teams/sources/fulltext.py`)."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.names = tuple(source.name for source in sources)
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        for statement in fulltext.SCHEMA:
            self._db.execute(statement)
        for number, source in enumerate(sources):
            fulltext.add(self._db, number, title_of(source.text, source.name), passages(source.text))

    def search(self, query: str, most: int = 5) -> tuple[Source, ...]:
        """The passages that fit the words of `query` best with those around them, best first. Any text is a query."""
        found = fulltext.find(self._db, query, most)
        return tuple(Source(self.names[each.document], fulltext.around(self._db, each)) for each in found)
