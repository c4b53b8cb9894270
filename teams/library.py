"""Search in the documents of one run: an FTS5 index in memory. Knows no model."""

import re
import sqlite3
from collections.abc import Sequence

from teams.model import Source

PASSAGE = 1_200
"""Characters of one passage: long enough to hold an argument, short enough that five fit into a prompt."""


class DocumentIndex:
    """Passages of the given documents, found by their words (SQLite FTS5, porter stemming, ranked by BM25)."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.names = tuple(source.name for source in sources)
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute(
            "CREATE VIRTUAL TABLE passages USING fts5(source UNINDEXED, text, tokenize='porter unicode61')"
        )
        rows = [(source.name, passage) for source in sources for passage in passages(source.text)]
        self._db.executemany("INSERT INTO passages VALUES (?, ?)", rows)

    def search(self, query: str, most: int = 5) -> tuple[Source, ...]:
        """The passages that fit the words of `query` best, best first. Any text is a valid query."""
        words = re.findall(r"\w+", query)
        if not words:
            return ()
        match = " OR ".join(f'"{word}"' for word in words)
        found = self._db.execute(
            "SELECT source, text FROM passages WHERE passages MATCH ? ORDER BY rank LIMIT ?", (match, most)
        )
        return tuple(Source(name, text) for name, text in found)


def passages(text: str) -> list[str]:
    """The text in passages of at most `PASSAGE` characters, cut at paragraphs where it has any."""
    cut: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        block = paragraph.strip()
        if cut and block and len(cut[-1]) + len(block) + 2 <= PASSAGE:
            cut[-1] += f"\n\n{block}"
        else:
            cut.extend(block[at : at + PASSAGE] for at in range(0, len(block), PASSAGE))
    return cut
