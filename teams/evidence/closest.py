"""The sentences of sources that share most with a question, word for word: shown where no claim held. Pure.

Code alone picks them. No model has a part in which they are or in what they say.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from teams.evidence.export import inert
from teams.evidence.ledger import Evidence, Ledger
from teams.evidence.links import Addresses
from teams.evidence.quotes import LEAST_WORDS
from teams.evidence.words import base, sentences, words
from teams.observations import FLAGS
from teams.sources.passages import passages, words_of

MOST = 3
"""Sentences that are shown: a pointer to the sources, not a summary of them."""

PIECES = 20
"""Passages that are looked at sentence by sentence: texts can be long."""

LENGTH = 40
"""Words that are added to a sentence's own in the ranking: the shorter of two like ones is closer, but not by much."""

_ITEM = re.compile(r"\A\s*(?:[-*+•#>|]+\s+)*")


@dataclass(frozen=True, slots=True)
class Closest:
    """A sentence as it stands in a source, on one line."""

    source: str
    text: str = field(repr=False)


def closest(question: str, ledger: Ledger, most: int = MOST) -> tuple[Closest, ...]:
    """At most `most` sentences, the one with most of the question's words first, rare words counting more.

    Tools are left out: what they give may repeat what a model asked them. So are sentences with an address that is no
    source's or with characters that nobody sees, for they could not be shown as they stand.
    """
    wanted = _bases(" ".join(words_of(question)))
    pieces = [(evidence, piece) for evidence in ledger.all if evidence.kind != "tool" for piece in _pieces(evidence)]
    shared = [wanted & _bases(piece) for _, piece in pieces]
    often = Counter(word for each in shared for word in each)
    weights = {word: math.log(1 + len(pieces) / count) for word, count in often.items()}

    def weight(some: set[str]) -> float:
        # Sets have another order in another process, and a plain sum would have another value.
        return math.fsum(weights.get(word, 0.0) for word in some)

    ranked = sorted(zip(shared, pieces, strict=True), key=lambda each: -weight(each[0]))
    addresses = Addresses(ledger.all)
    found: dict[tuple[str, ...], tuple[float, Closest]] = {}
    for _, (evidence, piece) in ranked[:PIECES]:
        for line in _lines(piece, evidence, addresses):
            said = tuple(words(line))
            found.setdefault(said, (weight(_bases(line)) / (LENGTH + len(said)), Closest(evidence.id, line)))
    best = sorted((each for each in found.values() if each[0]), key=lambda each: -each[0])
    return tuple(each for _, each in best[:most])


def _bases(text: str) -> set[str]:
    return set(map(base, words(text)))


def _pieces(evidence: Evidence) -> list[str]:
    # What its reader pointed to in a text is no word of it.
    text = "\n".join(line for line in evidence.text.split("\n") if line not in FLAGS)
    return [passage.text for passage in passages(text)]


def _lines(piece: str, evidence: Evidence, addresses: Addresses) -> Iterator[str]:
    """The sentences of a passage that can be shown as they stand."""
    for part in sentences(piece):
        said = _ITEM.sub("", piece[part.start : part.end]).strip()
        line = " ".join(said.split())
        as_it_stands = said in evidence.text and line.isprintable() and len(words(line)) >= LEAST_WORDS
        if as_it_stands and all(addresses.cleaned(shown) == shown for shown in (line, inert(line))):
            yield line
