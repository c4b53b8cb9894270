"""Words that carry a meaning which may not be lost: negations, hedges, universals, opposites; sentences. Pure.

English, German and French are known. What is not known is treated as an ordinary word, and a claim in another
language than its source is then qualified rather than supported.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is easier to read without commas."""
    return frozenset(text.split())


NEGATIONS = word_set(
    "no not never none nobody nothing neither nor cannot without hardly barely seldom rarely unable fails failed fail"
    " lacks lacked lack non false untrue"
    " nicht nie niemals kein keine keinen keinem keiner keines ohne weder nirgends nichts"
    " pas jamais sans aucun aucune ni nul nulle"
)
"""Words that turn a statement round. `n't` at the end of a word is one as well."""

UNCERTAIN = word_set(
    "may might could possibly probably perhaps maybe unlikely likely apparently allegedly reportedly suggests suggest"
    " seems seem appears appear estimated estimates roughly approximately almost nearly some sometimes"
    " often usually typically generally mostly partly partially potentially expected tends tend"
    " könnte könnten vermutlich wahrscheinlich möglicherweise vielleicht ungefähr teilweise"
    " manche manchmal meist oft scheint angeblich"
    " pourrait pourraient probablement certains certaines parfois souvent semble"
)
CONDITIONS = word_set("if unless when provided except only until wenn falls sofern außer nur bis si sauf seulement")
HEDGES = UNCERTAIN | CONDITIONS
HEDGING_PHRASES = re.compile(
    r"\b(?:up to|at most|at least|in some cases|more or less|bis zu|höchstens|mindestens|jusqu['’]à|au plus|au moins)\b"
    r"|\b(?:about|around|circa|etwa|rund|ca\.|environ)\s+[\d$€£]",
    re.IGNORECASE,
)

UNIVERSAL = word_set(
    "all every everyone everybody everything always each any entirely completely totally absolutely exclusively"
    " guaranteed guarantees proves proven definitely undoubtedly must only best worst most least largest smallest"
    " greatest fastest highest lowest first last"
    " alle allen aller jeder jede jedes immer stets sämtliche völlig ausschließlich garantiert bewiesen"
    " tous toutes toujours chaque entièrement"
)

_OPPOSED = word_set(
    "increase/decrease increases/decreases increased/decreased increasing/decreasing rise/fall rises/falls rose/fell"
    " grew/shrank grow/shrink grows/shrinks more/less more/fewer higher/lower high/low larger/smaller faster/slower"
    " fast/slow before/after enable/disable enables/disables enabled/disabled allow/forbid allows/forbids"
    " allowed/forbidden allow/prevent allows/prevents always/never minimum/maximum min/max first/last true/false"
    " with/without include/exclude includes/excludes included/excluded accept/reject accepts/rejects"
    " accepted/rejected safe/unsafe up/down above/below over/under better/worse best/worst open/closed"
    " opens/closes start/stop starts/stops older/newer old/new early/late earlier/later left/right"
    " internal/external import/export input/output success/failure succeeds/fails mutable/immutable"
    " required/optional public/private positive/negative ascending/descending inside/outside win/lose wins/loses"
    " won/lost gain/loss hypotension/hypertension add/remove adds/removes added/removed steigt/sinkt"
    " stieg/sank mehr/weniger größer/kleiner höher/niedriger erlaubt/verboten vor/nach plus/moins avant/après"
    " augmente/diminue"
)
OPPOSITES = tuple(frozenset(pair.split("/")) for pair in sorted(_OPPOSED))
NEGATIVE_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "mis", "a")

STOPWORDS = {
    "en": word_set(
        "the a an of to in on at by for with from as and or but is are was were be been being it its this that these"
        " those which who whom whose what there their they them he she his her him we our you your i my me do does did"
        " has have had will would can shall should than then so such also into over under per via not no if when while"
        " because about after before between during each other more most some any all only both own same too very just"
        " how where why up down out off again once here s t"
    ),
    "de": word_set(
        "der die das den dem des ein eine einen einem einer eines und oder aber ist sind war waren wird werden wurde"
        " wurden hat haben hatte im in am an auf aus bei mit nach von vom zu zum zur für über unter durch als wie auch"
        " nur noch nicht kein keine sich es er sie wir ihr man dass daß wenn weil so sein seine ihre um bis pro"
    ),
    "fr": word_set(
        "le la les un une des du de d l et ou mais est sont était étaient être a ont avait dans sur sous par pour avec"
        " sans en au aux ce cette ces cet qui que quoi dont où il elle ils elles on nous vous se sa son ses leur leurs"
        " ne pas plus n s c qu y"
    ),
}
ANY_STOPWORD = frozenset().union(*STOPWORDS.values())

REPORTING = word_set(
    "say says said state states stated report reports reported note notes noted write writes wrote according source"
    " sources text document page thus therefore however namely see one given called named"
    " laut quelle sagt schreibt also nämlich selon source dit indique donc"
)
"""Words that a claim may add, for they are about who says it."""

_ENDINGS = (
    *(("ings", 3), ("ing", 3), ("edly", 3), ("ied", 2), ("ies", 2), ("ed", 3), ("es", 3), ("ly", 4), ("s", 3)),
    *(("en", 4), ("em", 4), ("n", 4)),
)

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
ABBREVIATIONS = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|dr|mr|mrs|ms|prof|st|no|nr|fig|al|inc|ltd|corp|jr|sr|ca|bzw|usw|z\.\s?b|d\.\s?h"
    r"|p\.\s?ex|vol|ed|eds|pp|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)|\b[A-Z])\.$",
    re.IGNORECASE,
)


class Part(NamedTuple):
    """Where something stands in a text: `text[start:end]`."""

    start: int
    end: int


def words(text: str) -> list[str]:
    """The words of a text, folded, with straight apostrophes."""
    return [match[0].replace("’", "'").casefold() for match in WORD.finditer(text)]


def is_negation(word: str) -> bool:
    """Whether a folded word turns its statement round."""
    return word in NEGATIONS or word.endswith("n't")


def stem(word: str) -> str:
    """A folded word without its ending, near enough to see what two texts have in common."""
    return word.removesuffix("'s")[:6] if len(word) > 6 else word.removesuffix("'s").removesuffix("s")


def base(word: str) -> str:
    """A folded word without the ending that grammar gives it: `opens`, `opened` and `opening` are `open`."""
    word = word.removesuffix("'s")
    for ending, least in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least:
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return (
        word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word.removesuffix("e") if len(word) > 3 else word
    )


def added_words(text: str, there: Iterable[str]) -> list[str]:
    """The words of a text that none of the texts `there` has in any form, those of reporting and joining apart."""
    known = {base(word) for each in there for word in words(each)}
    return [
        word
        for word in dict.fromkeys(words(text))
        if len(word) > 2
        and word not in ANY_STOPWORD
        and word not in REPORTING
        and not is_negation(word)
        and not any(map(str.isdigit, word))
        and base(word) not in known
    ]


def content(text: str) -> set[str]:
    """The stems of the words that say what a text is about."""
    return {
        stem(word)
        for word in words(text)
        if len(word) > 2
        and word not in ANY_STOPWORD
        and word not in REPORTING
        and not is_negation(word)
        and not any(map(str.isdigit, word))
    }


def coverage(said: set[str], by: set[str]) -> float:
    """How much of `said` is in `by`, from 0 to 1; nothing said is nothing covered."""
    return len(said & by) / len(said) if said else 0.0


def language(text: str) -> str | None:
    """`en`, `de` or `fr` by their small words; None where these do not tell."""
    found = words(text[:20_000])
    counts = {name: sum(word in small for word in found) for name, small in STOPWORDS.items()}
    best = max(counts, key=lambda name: counts[name])
    others = max(count for name, count in counts.items() if name != best)
    return best if counts[best] > others else None


def sentences(text: str, attached: str = "") -> Iterator[Part]:
    """The sentences of a text, end to end, each with the white space after it.

    `attached` is a pattern of what belongs to the sentence before it, such as a citation after the full stop.
    """
    follows = f"(?:\\s*(?:{attached}))*" if attached else ""
    end = re.compile(
        r"[.!?…]+[\"'”’»)\]*_]*" + follows + r"(?:\s+|$)"
        r"|\n\s*\n|\n(?=\s*(?:[-*•#>|]|\d+[.)])\s)"
    )
    start = 0
    for match in end.finditer(text):
        before = text[max(start, match.start() - 14) : match.start() + 1]
        if text[match.end() : match.end() + 1].islower() or _goes_on(before, match[0]):
            continue
        yield Part(start, match.end())
        start = match.end()
    if start < len(text):
        yield Part(start, len(text))


def _goes_on(before: str, ending: str) -> bool:
    """Whether the full stop belongs to an abbreviation or to a day's number, as in German dates."""
    if not ending.startswith(".") or ending.startswith(".."):
        return False
    return ABBREVIATIONS.search(before) is not None or re.search(r"(?:^|\s)\d{1,2}\.$", before) is not None


def sentence_around(text: str, start: int, end: int, most: int = 600) -> Part:
    """The sentence or sentences that hold `text[start:end]`, reaching at most `most` characters to either side."""
    left = max(0, start - most)
    before = [part.end + left for part in sentences(text[left:start]) if _ends(text[left:start], part)]
    after = next((part.end for part in sentences(text[end : end + most])), 0)
    ended = text[start:end].rstrip(" \"'”’»)").endswith((".", "!", "?"))
    return Part(before[-1] if before else left, end if ended else end + after)


def _ends(text: str, part: Part) -> bool:
    said = text[part.start : part.end]
    return said.endswith("\n") or re.search(r"[.!?…][\"'”’»)\]]*\s*$", said) is not None
