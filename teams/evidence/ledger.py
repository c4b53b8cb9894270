"""The ledger of evidence: each source as it was when it was read, under an id that answers may cite. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

from teams.evidence.words import words
from teams.wire import dump, load

Kind = Literal["document", "library", "page", "tool"]

SHINGLE = 5
"""Words of one shingle: long enough that two authors hardly ever write the same one."""

NEAR_DUPLICATE = 0.9
"""Of the shingles of the shorter text, from which on two sources are one."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One source as it was when it was read.

    `where` is the final URL, the path, the document's name, or tool and server. `at` is an ISO time in UTC. `sha256` is
    of the text's UTF-8. `provider` says which search provider found it, or which server it is from.
    """

    id: str
    kind: Kind
    where: str
    title: str
    text: str = field(repr=False)
    at: str
    sha256: str
    provider: str = ""


class Ledger:
    """All sources of a run, in the order in which they were read: S1, S2, …"""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._known: dict[str, Evidence] = {}

    def add(self, kind: Kind, where: str, title: str, text: str, provider: str = "") -> Evidence:
        """The source under its id. The same text from the same place is the same source, however often it is read."""
        text = text.encode("utf-8", "replace").decode()
        digest = sha256(text.encode()).hexdigest()
        for known in self._known.values():
            if (known.where, known.sha256) == (where, digest):
                return known
        at = self._now().astimezone(UTC).isoformat(timespec="seconds")
        added = Evidence(f"S{len(self._known) + 1}", kind, where, title, text, at, digest, provider)
        self._known[added.id] = added
        return added

    def get(self, source_id: str) -> Evidence | None:
        """The source of that id, or None: models invent ids."""
        return self._known.get(source_id)

    @property
    def all(self) -> tuple[Evidence, ...]:
        """Every source, in its order."""
        return tuple(self._known.values())

    def to_json(self) -> list[dict[str, Any]]:
        """The whole ledger as plain JSON: for a step, and for an export."""
        return [dump(evidence) for evidence in self._known.values()]

    @classmethod
    def from_json(cls, plain: Iterable[dict[str, Any]], now: Callable[[], datetime] | None = None) -> "Ledger":
        """The ledger that `to_json` gave. Raises `ValueError` when a text is not the one that was read."""
        ledger = cls(now) if now else cls()
        for each in plain:
            evidence = load(Evidence, each)
            if sha256(evidence.text.encode()).hexdigest() != evidence.sha256:
                raise ValueError(f"The text of source {evidence.id} is not the one that was read.")
            if evidence.id != f"S{len(ledger._known) + 1}":
                raise ValueError(f"Source {evidence.id} does not come next in its ledger.")
            ledger._known[evidence.id] = evidence
        return ledger


def independent_sources(ledger: Ledger, ids: Iterable[str]) -> int:
    """How many of these sources are texts of their own: copies of one text, near enough, count once.

    Ids that the ledger does not have, and sources without a word, count as none.
    """
    texts = [_shingles(known.text) for source_id in dict.fromkeys(ids) if (known := ledger.get(source_id)) is not None]
    groups: list[list[set[tuple[str, ...]]]] = []
    for shingles in filter(None, texts):
        joined = [group for group in groups if any(_overlap(shingles, other) >= NEAR_DUPLICATE for other in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([shingles, *(each for group in joined for each in group)])
    return len(groups)


def _shingles(text: str) -> set[tuple[str, ...]]:
    said = words(text)
    return {tuple(said[at : at + SHINGLE]) for at in range(max(1, len(said) - SHINGLE + 1))} if said else set()


def _overlap(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    shorter, longer = sorted((one, other), key=len)
    return len(shorter & longer) / len(shorter)
