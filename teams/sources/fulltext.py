"""Full-text search in passages: tables in any SQLite database, filled and asked the same way.

SQLite's FTS5 with porter stemming, ranked by BM25. On section titles and sentences of real manuals it finds as much as
the engines made for search, and it comes with Python (`python -m bench library`).
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, combinations

from teams.sources.passages import JOINT, Passage, matching, words_of

SCHEMA = (
    "CREATE TABLE passages (id INTEGER PRIMARY KEY, document INTEGER NOT NULL, position INTEGER NOT NULL, "
    "title TEXT NOT NULL, heading TEXT NOT NULL, text TEXT NOT NULL)",
    "CREATE UNIQUE INDEX passage_places ON passages (document, position)",
    "CREATE VIRTUAL TABLE words USING fts5(title, heading, text, content='passages', content_rowid='id', "
    "tokenize='porter unicode61')",
    # An index of another table's text has to be told what it forgets (SQLite documentation, "FTS5 Extension", 4.4.3).
    "CREATE TRIGGER passage_added AFTER INSERT ON passages BEGIN INSERT INTO words (rowid, title, heading, text) "
    "VALUES (new.id, new.title, new.heading, new.text); END",
    "CREATE TRIGGER passage_removed AFTER DELETE ON passages BEGIN INSERT INTO words (words, rowid, title, heading, "
    "text) VALUES ('delete', old.id, old.title, old.heading, old.text); END",
)

RANK = "bm25(1.0, 4.0, 1.0)"
"""A word in a heading says four times what it says in the text; the document's title is as good as text."""

RARE = 5
"""Of a question whose words are nowhere together: the rarest of them, of which a passage has to have two. Asking for
any word finds less and takes four times as long (`python -m bench library`, words of the text)."""

MOST_ROWS = 4_000
"""Passages that are ranked for a single word of theirs, where not enough have two. BM25 takes a microsecond or two for
each, and without a bound a question would take the longer the larger the library is."""


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that fits, and where it stands."""

    id: int
    document: int
    position: int
    title: str
    heading: str
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        """The document's title and the path of headings, once each."""
        if not self.heading or self.heading == self.title:
            return self.title
        return self.heading if self.heading.startswith(self.title + JOINT) else f"{self.title}{JOINT}{self.heading}"


def add(db: sqlite3.Connection, document: int, title: str, cut: Iterable[Passage]) -> int:
    """Add a document's passages; how many they are."""
    rows = [(document, position, title, piece.heading, piece.text) for position, piece in enumerate(cut)]
    db.executemany("INSERT INTO passages (document, position, title, heading, text) VALUES (?, ?, ?, ?, ?)", rows)
    return len(rows)


def find(db: sqlite3.Connection, question: str, most: int) -> list[Found]:
    """At most `most` passages, best first: those with all words, then with two, then with one. Any text is a question.

    Of passages that stand side by side the better one speaks for both: whoever reads it reads what is around it.
    """
    chosen: list[Found] = []
    taken: set[tuple[int, int]] = set()
    for match in _matches(db, words_of(question) if most > 0 else ()):
        for found in _ranked(db, match, most):
            if (found.document, found.position) not in taken:
                chosen.append(found)
                taken |= {(found.document, found.position + side) for side in (-1, 0, 1)}
            if len(chosen) == most:
                return chosen
    return chosen


def around(db: sqlite3.Connection, found: Found, reach: int = 1) -> str:
    """The passage with `reach` neighbours on each side, as they follow one another; headings where they change."""
    rows = db.execute(
        "SELECT id, document, position, title, heading, text FROM passages WHERE document = ? "
        "AND position BETWEEN ? AND ? ORDER BY position",
        (found.document, found.position - reach, found.position + reach),
    )
    parts: list[str] = []
    standing = ""
    for each in map(_found, rows):
        if each.heading not in (standing, ""):
            parts.append(f"## {each.heading}")
        standing = each.heading
        parts.append(each.text)
    return "\n\n".join(parts)


def _ranked(db: sqlite3.Connection, match: str, most: int) -> Iterator[Found]:
    # The ranking reads no text, and only what is asked for is fetched.
    ids = db.execute(
        "SELECT rowid FROM words WHERE words MATCH ? AND rank MATCH ? ORDER BY rank LIMIT ?", (match, RANK, most * 5)
    ).fetchall()
    fetch = "SELECT id, document, position, title, heading, text FROM passages WHERE id = ?"
    for number in ids:
        yield _found(db.execute(fetch, number).fetchone())


def _found(row: object) -> Found:
    match row:
        case (int(number), int(document), int(position), str(title), str(heading), str(text)):
            return Found(number, document, position, title, heading, text)
        case _:
            raise sqlite3.DatabaseError("a passage is not as it was written")


def _matches(db: sqlite3.Connection, words: tuple[str, ...]) -> Iterator[str]:
    """Queries for the words, each for passages that have fewer of them. Which ones do not matter, how many do count."""
    if words:
        yield matching(words, "AND")
    if len(words) > 1:
        count = "SELECT count(*) FROM words WHERE words MATCH ?"
        often = {word: int(db.execute(count, (matching((word,)),)).fetchone()[0]) for word in words}
        rare = sorted((word for word in words if often[word]), key=lambda word: often[word])
        if len(rare) > 2:
            pairs = " OR ".join(f"({matching(pair, 'AND')})" for pair in combinations(rare[:RARE], 2))
            yield f"({pairs}) AND ({matching(words)})"
        within = [
            word for word, rows in zip(rare, accumulate(often[word] for word in rare), strict=True) if rows <= MOST_ROWS
        ]
        if rare:
            yield f"({matching(within or rare[:1])}) AND ({matching(words)})"
