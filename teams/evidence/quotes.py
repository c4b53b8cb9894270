"""Quotes looked up in a text: the same words, whatever became of spaces, quotation marks and hyphens. Pure.

A quote is found word for word, or with slips of spelling in single words. Never with another number, without a
negation, with a word more or less, or torn out from behind a "not".
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from teams.evidence.figures import NUMBER_WORDS
from teams.evidence.words import HEDGES, Part, is_negation, word_set

LEAST_WORDS, LEAST_CHARACTERS = 3, 12
"""A quote has to have one of the two: less than that is in every text."""

GAP = 600
"""The most characters that one ellipsis may stand for."""

LIKENESS = 0.95
"""Of characters, below which two texts are not the same quote."""

SLIP_LETTERS = 5
"""A word shorter than that has no slips: `form` is not a slip of `from`."""

_LOOKED_AT = 200
"""Places that a slip is looked for at: a text of the same line a thousand times has to end as well."""

_MARKS = dict.fromkeys('“”„‟«»‹›‘’‚‛´′″＂＇"', "'") | dict.fromkeys("–—―−⸺﹘", "-") | dict.fromkeys("‐‑", "-")
_DROPPED = "-*`\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
# White space that is not one blank; hyphens inside words, at the end of a line or not; emphasis; what is not seen.
_UNEVEN = (
    r"[^\S ]\s*| \s+|-(?<=[^\W\d_]-)(?:\s*\n\s*)?(?=[^\W\d_])|\*+(?<![\w)]\*)|\*+(?![\w(])|`+"
    r"|[\u00ad\u200b-\u200f\u2060\ufeff]+(?:\s*\n\s*)?"
)
_UNEVEN_ALONE = re.compile(_UNEVEN)
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_ELLIPSIS = re.compile(r"\s*(?:\[\s*(?:\.\s?\.\s?\.|…)\s*\]|\(\s*(?:\.\s?\.\s?\.|…)\s*\)|…|\.\s?\.\s?\.)[.,;:]?\s*")
_EDGES = " \t\r\n.,;:!?'\"“”„‘’«»‹›()[]{}*_`-–—"
_TOKEN = re.compile(r"(?:(?<![\w)\]])-)?\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[%$€£<>=+^]")
_ARTICLES = word_set("the a an der die das den dem des ein eine einen le la les un une")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a quote stands in the original text, by offsets. `pieces` are what an ellipsis left of it."""

    start: int
    end: int
    exact: bool = True
    pieces: tuple[tuple[int, int], ...] = ()


class Searchable:
    """A text made ready for looking up several quotes: its plain form and the way back to its own offsets."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.plain, self._places, self._origins = _plain(text)
        folded = self.plain.lower()
        self.folded = folded if len(folded) == len(self.plain) else "".join(map(_lower, self.plain))

    def find(self, quote: str) -> Span | None:
        """Where `quote` stands, or None. A quote below the least length stands nowhere."""
        whole = _Quote(quote)
        if not whole.long_enough:
            return None
        if (found := self._locate(whole, 0)) is not None and self._fair(found):
            return self._span([found])
        pieces = [_Quote(piece) for piece in _ELLIPSIS.split(quote) if piece.strip(_EDGES)]
        if len(pieces) > 1:
            return self._in_order(pieces)
        if len(pieces) == 1 and pieces[0].plain != whole.plain:
            return self.find(pieces[0].plain)
        return None

    def holds(self, words: str) -> bool:
        """Whether these words stand here word for word, however few they are."""
        return self._exact(_Quote(words), 0) is not None

    def _in_order(self, pieces: list["_Quote"]) -> Span | None:
        """All pieces one after the other, no gap too wide and none that swallows a negation."""
        if any(len(piece.tokens) < 2 for piece in pieces) or sum(len(piece.tokens) for piece in pieces) < LEAST_WORDS:
            return None
        at = 0
        for _ in range(20):
            first = self._locate(pieces[0], at)
            if first is None:
                return None
            chain = [first]
            for piece in pieces[1:]:
                following = self._locate(piece, chain[-1].end, chain[-1].end + GAP + 2 * len(piece.plain))
                if following is None or following.start - chain[-1].end > GAP:
                    break
                if _swallows(self.plain[chain[-1].end : following.start]):
                    break
                chain.append(following)
            if len(chain) == len(pieces) and all(map(self._fair, chain)):
                return self._span(chain)
            at = first.start + 1
        return None

    def _locate(self, quote: "_Quote", after: int, before: int | None = None) -> "_Found | None":
        found = self._exact(quote, after, before)
        return found if found is not None else self._near(quote, after, before)

    def _exact(self, quote: "_Quote", after: int, before: int | None = None) -> "_Found | None":
        if not quote.plain:
            return None
        for text, wanted in ((self.plain, quote.plain), (self.folded, quote.folded)):
            fallback: _Found | None = None
            for start in _occurrences(text, wanted, after, before):
                found = _Found(start, start + len(wanted), True)
                if not self._whole_words(found):
                    continue
                if self._fair(found):
                    return found
                fallback = fallback or found
            if fallback is not None:
                return fallback
        return None

    def _whole_words(self, found: "_Found") -> bool:
        """Whether neither a word nor a number is cut at either end."""
        text, start, end = self.plain, found.start, found.end
        before, after = text[max(0, start - 2) : start], text[end : end + 2]
        if (before and _joined(before[-1], text[start])) or (after and _joined(text[end - 1], after[0])):
            return False
        if text[start].isdigit() and re.search(r"(?:\d[.,:/]|(?:^|\W)-)$", before):
            return False
        return not (text[end - 1].isdigit() and re.match(r"[.,:/^]\d|\^", after))

    def _fair(self, found: "_Found") -> bool:
        """Whether the words right before and after leave the meaning as it is: no "not" was cut off."""
        before = re.split(r"[.!?;:,]\s|\n", self.plain[max(0, found.start - 40) : found.start])[-1]
        after = re.split(r"[.!?;:,]", self.plain[found.end : found.end + 24])[0]
        left, right = _TOKEN.findall(before.lower())[-2:], _TOKEN.findall(after.lower())[:1]
        return not any(map(is_negation, (*left, *right)))

    def _near(self, quote: "_Quote", after: int, before: int | None) -> "_Found | None":
        """The quote with slips of spelling: some stretch of it is there to the letter, around it words are compared."""
        length = len(quote.folded)
        if len(quote.tokens) < LEAST_WORDS:
            return None
        # At least two, for marks that are no word's are not counted later.
        slips = max(2, int((1 - LIKENESS) * length))
        looked: set[int] = set()
        stretches = min(slips + 1, 24)
        for number in range(stretches):
            offset, end = number * length // stretches, (number + 1) * length // stretches
            low = max(0, after + offset - slips)
            for place in _occurrences(self.folded, quote.folded[offset:end], low, before):
                start = max(after, place - offset)
                if start in looked:
                    continue
                looked.add(start)
                if len(looked) > _LOOKED_AT:
                    return None
                if (found := self._compared(quote, start, slips)) is not None and found.start >= after:
                    return found
        return None

    def _compared(self, quote: "_Quote", start: int, slips: int) -> "_Found | None":
        left = max(0, start - slips - 12)
        window = self.folded[left : start + len(quote.folded) + slips + 12]
        tokens = list(_TOKEN.finditer(window))
        there = [token[0] for token in tokens]
        if len(set(there) & set(quote.tokens)) < 0.5 * len(set(quote.tokens)):
            return None
        codes = list(SequenceMatcher(None, quote.tokens, there, autojunk=False).get_opcodes())
        inside = _trimmed(codes, quote.tokens, there)
        if inside is None:
            return None
        begin, end = tokens[inside.start].start(), tokens[inside.end - 1].end()
        if not _alike(" ".join(quote.tokens), " ".join(there[inside.start : inside.end])):
            return None
        return _Found(left + begin, left + end, False)

    def _span(self, chain: list["_Found"]) -> Span:
        pieces = tuple((self._origin(found.start), self._origin(found.end - 1) + 1) for found in chain)
        exact = all(found.exact for found in chain)
        return Span(pieces[0][0], pieces[-1][1], exact, pieces)

    def _origin(self, place: int) -> int:
        at = bisect_right(self._places, place) - 1
        following = self._origins[at + 1] if at + 1 < len(self._origins) else len(self.text)
        return min(self._origins[at] + place - self._places[at], max(self._origins[at], following - 1))


def find_quote(text: str, quote: str) -> Span | None:
    """Where `quote` stands in `text`, or None. For several quotes in one text make a `Searchable` of it first."""
    return Searchable(text).find(quote)


def as_it_stands(text: str, span: Span) -> str:
    """The quoted words as the text has them, on one line, with an ellipsis for each gap."""
    return " … ".join(_one_line(text[start:end]) for start, end in span.pieces)


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    end: int
    exact: bool


class _Quote:
    """A quote, or a piece of one, in the plain form of texts."""

    def __init__(self, quote: str) -> None:
        bare = re.sub(r"\[(\w)\](?=\w)", r"\1", quote)  # "[T]he": a letter set to fit the sentence around it
        self.plain = _trimmed_edges(_plain(bare)[0])
        self.folded = "".join(map(_lower, self.plain))
        self.tokens = _TOKEN.findall(self.folded)

    @property
    def long_enough(self) -> bool:
        return len(self.tokens) >= LEAST_WORDS or len(self.plain) >= LEAST_CHARACTERS


def _plain(text: str) -> tuple[str, list[int], list[int]]:
    """The text in its plain form; where each stretch of it begins, there and in the original."""
    for mark, instead in _MARKS.items():
        if mark in text:
            text = text.replace(mark, instead)
    unusual = "" if text.isascii() else "".join(sorted(char for char in set(text) if _changes(char)))
    pattern = re.compile(f"{_UNEVEN}|.?[{re.escape(unusual)}]+") if unusual else _UNEVEN_ALONE
    out: list[str] = []
    places, origins = [0], [0]
    length = last = 0
    for match in pattern.finditer(text):
        start, end = match.span()
        instead = " " if text[start].isspace() else ""
        if text[end - 1] in unusual:
            instead = _compatible(match[0])
        out.append(text[last:start])
        out.append(instead)
        length += start - last
        if len(instead) > 1:
            places.append(length)
            origins.append(start)
        length += len(instead)
        places.append(length)
        origins.append(end)
        last = end
    out.append(text[last:])
    return "".join(out), places, origins


def _changes(char: str) -> bool:
    if char.isascii() or char.isspace() or char in _DROPPED:
        return False
    return unicodedata.combining(char) > 0 or unicodedata.normalize("NFKC", char) != char


def _compatible(found: str) -> str:
    """Compatibility forms in their usual letters; a power stays one, for 10² is not 102."""
    if found[0].isdigit() and found[1:2] in _SUPERSCRIPTS:
        return f"{found[0]}^{unicodedata.normalize('NFKC', found[1:])}"
    return unicodedata.normalize("NFKC", found)


def _trimmed_edges(text: str) -> str:
    """The text without marks at its ends; a minus before a number stays."""
    bare = text.strip(_EDGES)
    return f"-{bare}" if re.search(rf"(?:^|\s)-{re.escape(bare)}", text) and bare[:1].isdigit() else bare


def _lower(char: str) -> str:
    lower = char.lower()
    return lower if len(lower) == 1 else char


def _one_line(text: str) -> str:
    return " ".join(re.sub(r"(?<=[^\W\d_])[-‐‑\u00ad]\s*\n\s*(?=[^\W\d_])", "", text).split())


def _occurrences(text: str, wanted: str, after: int, before: int | None) -> Iterator[int]:
    at = text.find(wanted, after) if before is None else text.find(wanted, after, before)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1) if before is None else text.find(wanted, at + 1, before)


def _joined(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and not (_UNSPACED.match(left) or _UNSPACED.match(right))


def _swallows(gap: str) -> bool:
    """Whether a gap hides a negation or a hedge in a sentence that a piece belongs to."""
    ends = [match.end() for match in re.finditer(r"[.!?]\s", gap)]
    hidden = gap if not ends else gap[: ends[0]] + " " + gap[ends[-1] :]
    return any(is_negation(word) or word in HEDGES for word in _TOKEN.findall(hidden.lower()))


def _trimmed(codes: Sequence[tuple[str, int, int, int, int]], said: list[str], there: list[str]) -> Part | None:
    """Which tokens of a window are the quote, if every difference is an article or a slip of spelling."""
    while codes and codes[0][0] == "insert":
        codes = codes[1:]
    while codes and codes[-1][0] == "insert":
        codes = codes[:-1]
    if not codes:
        return None
    begin, end = codes[0][3], codes[-1][4]
    for number, (kind, a, b, c, d) in enumerate(codes):
        mine, theirs = said[a:b], there[c:d]
        if kind == "replace":
            # At the edges of the window stand words that are not of the quote.
            if number == 0:
                theirs = theirs[len(theirs) - len(mine) :] if len(theirs) > len(mine) else theirs
                begin = d - len(theirs)
            if number == len(codes) - 1:
                theirs = theirs[: len(mine)]
                end = begin + len(theirs) if number == 0 else c + len(theirs)
            if not _slips(mine, theirs):
                return None
        elif kind != "equal" and not set(mine + theirs) <= _ARTICLES:
            return None
    return Part(begin, end) if end > begin else None


def _slips(mine: list[str], theirs: list[str]) -> bool:
    if len(mine) != len(theirs):
        return "".join(mine) == "".join(theirs) and not any(map(_kept, (*mine, *theirs)))
    return all(a == b or _slip(a, b) for a, b in zip(mine, theirs, strict=True))


def _kept(word: str) -> bool:
    """Whether a word has to be the same to the letter."""
    return not word[0].isalpha() or is_negation(word) or word in HEDGES or word in NUMBER_WORDS


def _slip(mine: str, theirs: str) -> bool:
    """Whether two words are one word with a slip: accents apart, or a letter or two in a long one, not the first."""
    if _kept(mine) or _kept(theirs):
        return False
    if _unaccented(mine) == _unaccented(theirs):
        return True
    shorter = min(len(mine), len(theirs))
    if shorter < SLIP_LETTERS or mine[0] != theirs[0]:
        return False
    return _edits(mine, theirs, 2) <= (2 if shorter >= 8 else 1)


def _unaccented(word: str) -> str:
    apart = unicodedata.normalize("NFD", word.replace("ß", "ss"))
    return "".join(char for char in apart if not unicodedata.combining(char)).replace("'", "")


def _alike(mine: str, theirs: str) -> bool:
    """Whether two texts are as alike as a quote has to be; their words were compared before."""
    mine, theirs = _unaccented(mine), _unaccented(theirs)
    most = int((1 - LIKENESS) * max(len(mine), len(theirs)))
    return (
        sum(
            _edits(mine[a:b], theirs[c:d], most)
            for kind, a, b, c, d in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes()
            if kind != "equal"
        )
        <= most
    )


def _edits(mine: str, theirs: str, most: int) -> int:
    """Letters to change, add, drop or swap (optimal string alignment); more than `most` is only known as more."""
    if abs(len(mine) - len(theirs)) > most:
        return most + 1
    earlier: list[int] = []
    row = list(range(len(theirs) + 1))
    for i, a in enumerate(mine, 1):
        later = [i]
        for j, b in enumerate(theirs, 1):
            cost = min(row[j] + 1, later[-1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == theirs[j - 2] and mine[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            later.append(cost)
        earlier, row = row, later
    return row[-1]
