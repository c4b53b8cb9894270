"""A statement held against passages of sources: figures, names, negations, hedges, universals. Pure.

This compares words and understands nothing; it looks for what the two have against each other.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from teams.evidence.figures import Convention, Figure, borne_out, convention, figures, same
from teams.evidence.ledger import Evidence, Ledger, independent_sources
from teams.evidence.quotes import Searchable, Span
from teams.evidence.words import (
    ANY_STOPWORD,
    HEDGES,
    HEDGING_PHRASES,
    NEGATIONS,
    NEGATIVE_PREFIXES,
    OPPOSITES,
    REPORTING,
    UNIVERSAL,
    WORD,
    added_words,
    content,
    coverage,
    is_negation,
    language,
    sentence_around,
    sentences,
    stem,
    word_set,
    words,
)

ABOUT_THE_SAME = 0.6
"""Of a claim's words, from which on a stretch of text is about the same thing."""

COVERED = 0.4
"""Of a claim's words, below which its quotes say too little of it."""

_CLAUSE = re.compile(r"[,;:()–—]|\s-\s|\b(?:but|while|whereas|although|though|aber|während|obwohl|mais|tandis)\b")
_TITLES = word_set("dr mr mrs ms prof professor sir herr frau monsieur madame")
_NO_NAMES = ANY_STOPWORD | NEGATIONS | HEDGES | UNIVERSAL | REPORTING | _TITLES
_MAY_THE_MONTH = re.compile(r"(?<!^)(?<![.!?]\s)\bMay\b|\b\d{1,2}\.?\s+may\b|\bmay\s+\d|^May\s\d")


class Checked:
    """A source made ready for checking: quotes are looked up in it many times, its words and language found once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.searchable = Searchable(evidence.text)
        self.language = language(evidence.text)
        self.convention: Convention = convention(evidence.text)
        self._common: frozenset[str] | None = None

    @property
    def common(self) -> frozenset[str]:
        """Words that the source writes without a capital letter."""
        if self._common is None:
            self._common = frozenset(word for word in re.findall(r"[^\W\d_]+", self.evidence.text) if word.islower())
        return self._common

    def passage(self, span: Span) -> "Passage":
        """The passage at a span."""
        text = self.evidence.text
        around = sentence_around(text, span.start, span.end)
        return Passage(" … ".join(text[start:end] for start, end in span.pieces), text[around.start : around.end], self)


class Passage:
    """Words of a source that something rests on: as quoted, and with the sentence around them."""

    def __init__(self, quoted: str, around: str, source: Checked) -> None:
        self.quoted, self.around, self.source = quoted, around, source
        self.content, self.content_around = content(quoted), content(around)
        self.figures = figures(quoted, source.convention)
        self.negations = sum(map(is_negation, words(quoted)))


class Desk:
    """The sources of a ledger, each made ready when it is first asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._ready: dict[str, Checked] = {}
        self._found: dict[str, list[tuple[Checked, Span]]] = {}
        self._independent: int | None = None

    def get(self, source_id: str) -> Checked | None:
        """The source of that id, ready for checking; None when there is no such source or its text was not kept."""
        if source_id not in self._ready:
            evidence = self.ledger.get(source_id)
            if evidence is None or not evidence.text.strip():
                return None
            self._ready[source_id] = Checked(evidence)
        return self._ready[source_id]

    def found(self, quote: str) -> list[tuple[Checked, Span]]:
        """Every source that has the quote: those that have it to the letter first, else in the ledger's order."""
        if quote not in self._found:
            found = [(source, span) for source in self.all if (span := source.searchable.find(quote)) is not None]
            self._found[quote] = sorted(found, key=lambda each: not each[1].exact)
        return self._found[quote]

    @property
    def all(self) -> list[Checked]:
        """Every source that has a text."""
        return [ready for evidence in self.ledger.all if (ready := self.get(evidence.id)) is not None]

    @property
    def independent(self) -> int:
        """How many of all sources are texts of their own."""
        if self._independent is None:
            self._independent = independent_sources(self.ledger, [evidence.id for evidence in self.ledger.all])
        return self._independent


@dataclass(frozen=True, slots=True)
class Findings:
    """What a statement and the passages it rests on have against each other."""

    figures_missing: tuple[Figure, ...] = ()
    names_missing: tuple[str, ...] = ()
    against: str = ""
    stronger: str = ""
    words_added: tuple[str, ...] = ()
    covered: float = 1.0
    same_language: bool = True


def weigh(text: str, passages: Sequence[Passage]) -> Findings:
    """A statement held against the passages it rests on. Without passages everything in it is missing."""
    mine = figures(text)
    in_words = _without(mine, text)
    said = content(in_words)
    there = set().union(*(passage.content for passage in passages)) if passages else set()
    known = [figure for passage in passages for figure in passage.figures]
    missing = tuple(figure for figure in mine if not _known(figure, known, passages))
    against = _other_polarity(text, said, passages) or _other_number(mine, known, coverage(said, there))
    return Findings(
        missing,
        missing_names(text, passages),
        against,
        "" if against else _stronger(text, said, passages),
        tuple(added_words(in_words, _at_hand(passages))),
        coverage(said, there) if said else 1.0,
        not passages or language(text) in (None, *(passage.source.language for passage in passages)),
    )


def _without(listed: Sequence[Figure], text: str) -> str:
    for figure in listed:
        text = text[: figure.start] + " " * (figure.end - figure.start) + text[figure.end :]
    return text


def _at_hand(passages: Sequence[Passage]) -> list[str]:
    return [each for passage in passages for each in (passage.around, passage.source.evidence.title)]


def _known(figure: Figure, known: Sequence[Figure], passages: Sequence[Passage]) -> bool:
    if borne_out(figure, known):
        return True
    # A label is a name: the title may have it, too.
    return figure.kind == "label" and any(
        figure.literal.casefold() in words_and_labels(f"{passage.quoted} {passage.source.evidence.title}")
        for passage in passages
    )


def words_and_labels(text: str) -> set[str]:
    """The folded words of a text and its labels, such as `utf-8`."""
    return set(words(text)) | {figure.literal.casefold() for figure in figures(text) if figure.kind == "label"}


def missing_names(text: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    """Names in a statement that neither the passages nor their sources' titles have.

    German writes every noun with a capital letter, so there only abbreviations and names of several words count.
    """
    there = {
        word.removesuffix("'s")
        for passage in passages
        for word in words(f"{passage.quoted} {passage.source.evidence.title}")
    }
    common = frozenset().union(*(passage.source.common for passage in passages)) if passages else frozenset()
    german = language(text) == "de"
    return tuple(name for name in names(text, common, german) if name.casefold().removesuffix("'s") not in there)


def names(text: str, common: frozenset[str] = frozenset(), german: bool = False, *, first: bool = True) -> list[str]:
    """The words of a text that are names by their capital letters. `common` are words known to be none.

    Without `first`, a single word that begins a sentence is taken for an ordinary one.
    """
    found: list[str] = []
    for part in sentences(text):
        listed = list(WORD.finditer(text, part.start, part.end))
        for at, match in enumerate(listed):
            word = match[0].replace("’", "'").removesuffix("'s")
            folded = word.casefold()
            if not word[0].isupper() or len(word) < 2 or any(map(str.isdigit, word)) or folded in _NO_NAMES:
                continue
            abbreviated = not word[1:].islower() and "'" not in word  # or a name such as SQLite
            among_names = _capital(listed, at - 1) or _capital(listed, at + 1)
            ordinary = at == 0 and (folded in common or (not first and not among_names))
            if abbreviated or (not ordinary and (among_names or not german)):
                found.append(word)
    return list(dict.fromkeys(found))


def _capital(listed: Sequence[re.Match[str]], at: int) -> bool:
    return 0 < at < len(listed) and listed[at][0][0].isupper() and listed[at][0].casefold() not in ANY_STOPWORD


def _other_polarity(text: str, said: set[str], passages: Sequence[Passage]) -> str:
    """A sentence on that the passages negate what the claim says, or the other way round; empty when they do not."""
    mine = sum(map(is_negation, words(text)))
    clauses = [clause for passage in passages for clause in _CLAUSE.split(passage.quoted)]
    about = max(clauses, key=lambda clause: coverage(said, content(clause)), default="")
    if coverage(said, content(about)) < ABOUT_THE_SAME:
        return ""
    theirs = sum(map(is_negation, words(about)))
    whole = [passage.negations for passage in passages]
    if mine and not any(whole):
        return "The claim has a negation, and the quote has none."
    if theirs and not mine:
        return "The quote has a negation, and the claim has none."
    return ""


def _other_number(mine: Sequence[Figure], known: Sequence[Figure], covered: float) -> str:
    """A sentence on that the quote has another number for the same thing."""
    dates = [figure for figure in known if figure.kind == "date"]
    for figure in mine:
        thing = figure.noun or figure.unit
        sure = figure.kind == "date" and len(dates) == 1 and len(figure.values) == len(dates[0].values) == 1
        if sure and covered >= ABOUT_THE_SAME and not borne_out(figure, known):
            return f"The claim says {figure.literal}, and the quote {dates[0].literal}."
        if figure.kind != "number" or not thing or covered < ABOUT_THE_SAME:
            continue
        theirs = [other for other in known if other.kind == "number" and thing in (other.noun, other.unit)]
        if len({other.values for other in theirs}) == 1 and not same(figure, theirs[0]):
            return f"The claim says {figure.literal}, and the quote {theirs[0].literal}."
    return ""


def _stronger(text: str, said: set[str], passages: Sequence[Passage]) -> str:
    """A sentence on how the claim says more than the passages; empty when it does not."""
    mine = set(words(text))
    for passage in passages:
        if coverage(said, passage.content_around) < COVERED:
            continue
        if (hedge := _hedge(passage.around)) and not _hedge(text):
            return f"The source says {hedge!r}, and the claim does not."
    theirs = {word for passage in passages for word in words(passage.around)}
    if more := sorted((mine & UNIVERSAL) - theirs):
        return f"The claim says {more[0]!r}, and the quote does not."
    if passages and (other := _opposite(mine, theirs)):
        return f"The claim says {other[0]!r}, and the quote {other[1]!r}."
    return _negation_elsewhere(text, said, passages)


def _hedge(text: str) -> str:
    if phrase := HEDGING_PHRASES.search(text):
        return phrase[0]
    without_month = _MAY_THE_MONTH.sub("", text)
    return next((word for word in words(without_month) if word in HEDGES), "")


def _opposite(mine: set[str], theirs: set[str]) -> tuple[str, str] | None:
    for pair in OPPOSITES:
        for word in sorted(mine & pair):
            (other,) = pair - {word}
            if other in theirs and word not in theirs:
                return word, other
    for word in sorted(word for word in mine - theirs if len(word) > 3):
        for prefix in NEGATIVE_PREFIXES:
            if prefix + word in theirs:
                return word, prefix + word
            if word.startswith(prefix) and len(word) - len(prefix) > 3 and word.removeprefix(prefix) in theirs:
                return word, word.removeprefix(prefix)
    return None


def _negation_elsewhere(text: str, said: set[str], passages: Sequence[Passage]) -> str:
    """A sentence on a negation that stands elsewhere in the passages than in the claim."""
    mine = _negated(text)
    quoted = [_negated(passage.quoted) for passage in passages]
    if mine and not any(
        coverage(set(negated[:1]), set(stems)) for negated in mine for each in quoted for stems in each
    ):
        return "The claim negates something else than the quote does."
    counts = {passage.negations for passage in passages}
    if passages and sum(map(is_negation, words(text))) not in counts:
        return "The quote has other negations than the claim."
    for passage in passages:
        before, _, after = passage.around.partition(passage.quoted)
        clause = re.split(r"[,;:]|\b(?:but|and|aber|und|mais|et)\b", after)[0]
        if any(map(is_negation, (*words(before), *words(clause)))) and coverage(said, passage.content) > 0:
            return "The sentence around the quote has a negation that the quote leaves out."
    return ""


def _negated(text: str) -> list[list[str]]:
    """For each negation the stems that follow it, or that stand before it at the end."""
    listed = words(text)
    found = []
    for at, word in enumerate(listed):
        if is_negation(word):
            after = [stem(each) for each in listed[at + 1 :] if each not in ANY_STOPWORD and len(each) > 2][:4]
            found.append(after or [stem(each) for each in listed[:at] if len(each) > 2][-2:])
    return found
