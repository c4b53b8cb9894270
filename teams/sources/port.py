"""The port of all sources: what a search finds, and how a source fails. Knows no source, model or chat."""

from dataclasses import dataclass, field
from typing import Protocol

from teams.model import FailureKind


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found, best first among its like. `where` is a URL or a path.

    `passage` is what the source says of it: of the library the passage itself, of a web search its snippet, which is
    no evidence before the page was read.
    """

    title: str
    where: str
    passage: str = field(repr=False)
    provider: str


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """A source brought nothing, as a value: `what` was asked (the source's name), and a sentence for people.

    Shown like an expert that failed. The sentence quotes neither keys nor what a server wrote.
    """

    what: str
    kind: FailureKind
    sentence: str


class SearchSource(Protocol):
    """Something that can be searched by words."""

    @property
    def name(self) -> str:
        """What it is called in answers and rosters."""

    async def search(self, query: str, most: int) -> tuple[Hit, ...] | SourceFailed:
        """At most `most` hits, best first; none is no failure. Cancelling ends the search."""
