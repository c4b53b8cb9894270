"""Sentences of an answer held against what they cite: numbers, names, agreement of all sources, strength. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from teams.evidence.answer_quotes import looked_up, too_short
from teams.evidence.claims import CheckedClaim
from teams.evidence.figures import Figure, borne_out, figures
from teams.evidence.ledger import Evidence, Ledger
from teams.evidence.marks import (
    ADDED,
    ATTACHED,
    CITATION,
    CORRECTED,
    NOT_ALL,
    NOT_IN_SOURCE,
    NOT_VERIFIED,
    OTHERWISE,
    PARTLY,
    QUOTED,
    STRONGER,
    blanked,
    cited,
    quoted_words,
)
from teams.evidence.weighing import COVERED, Desk, Passage, names, weigh
from teams.evidence.words import added_words, content, coverage, language, sentences, word_set, words

_PREFIX = re.compile(r"\s*(?:#{1,6}\s+(?:\d+[.)]\s)?|[-*+•]\s+(?:\[[ xX]\]\s+)?|\d+[.)]\s+)?")
_WHO = (
    r"(?:sources?|stud(?:y|ies)|experts?|reports?|documents?|authors?|researchers?|papers?|articles?|scientists?|pages?"
    r"|texts?|references?|evidence|literature|quellen?|studien?|expert(?:en|innen)|berichte?|dokumente?|autoren|études?|rapports?|auteurs?)"
)
_DISPUTE = (
    r"(?:disagree\w*|disput\w*|contradict\w*|contest(?:s|ed)?|dissent\w*|object(?:s|ed)?"
    r"|widersprech\w*|widerspricht|contredi\w*)"
)
_BETWEEN = (
    rf"(?:{_WHO}|of|them|these|those|that|which|was|were|is|are|we|read|found|seen|cited|here|the|ones?|two|seem|to"
    r"|\w+ly)"
)
_AGREE = r"(?:agrees?|concurs?|coincide|tally|tallies)"
_AGREEMENT = re.compile(
    rf"\b(?:all|every|each|both|most|many|several|numerous|multiple|various|countless|alle|sämtliche|jede|beide|viele|mehrere"
    rf"|tous|toutes|chaque|plusieurs)\b[^.!?\n]{{0,40}}?\b{_WHO}\b"
    rf"|\b(?:sources|studies|experts|researchers|scientists|everyone|everybody|they\s+all|quellen|studien|experten)\s+(?:all\s+|unanimously\s+|universally\s+)?"
    r"(?:agree|agrees|confirm|concur|stimmen|bestätigen)\b"
    r"|\bunanim\w+|\bconsensus\b|\bwithout\s+exception\b|\b(?:universally|widely|generally)\s+(?:accepted|agreed|recogni[sz]ed)\b"
    r"|\beinhellig\w*|\beinstimmig\w*|\bkonsens\b"
    rf"|\b(?:no|none|neither|nobody|nothing|not\s+one|not\s+a\s+single|keine?r?|niemand|aucun\w*|personne)\b[^.!?\n]{{0,40}}?\b{_DISPUTE}"
    rf"|\b(?:all|both|each|every\w*|they)(?:\s+{_BETWEEN}){{0,6}}\s+{_AGREE}\b"
    rf"|\b{_WHO}\b[^.!?\n]{{0,40}}?\b(?:{_AGREE}|agreed)\b"
    r"|\bin\s+(?:\w+\s+){0,2}(?:agreement|accord|unison|harmony)\b|\bagreement\s+(?:among|between|across)\b"
    r"|\b(?:with|of|as)\s+one\s+(?:voice|mind)\b|\b(?:undisputed|uncontested|undisputedly)\b|\bwithout\s+(?:dissent|dispute|disagreement)\b"
    r"|\bsich\s+(?:alle\s+)?einig\b|\bunbestritten\w*|\bmit\s+einer\s+stimme\b|\bd['’]une\s+seule\s+voix\b",
    re.IGNORECASE,
)
_OF_ITS_OWN = word_set(
    "yes additionally furthermore moreover overall summary summarise summarize short conclusion conclude finally"
    " instead still answer question finding findings found first second third means meaning according example"
    " zudem außerdem insgesamt kurz fazit schließlich antwort frage zusammenfassung bedeutet beispiel"
    " enfin résumé réponse question également signifie exemple"
)
"""Words that lead through an answer and say nothing of its subject."""

_MANY_OF_ITS_OWN, _SOME_OF_ITS_OWN, _SHARE_OF_ITS_OWN = 3, 2, 1 / 3
"""Words of a cited sentence that its sources do not have: so many are too many; some are, if they are that share."""
_STRUCTURE = word_set(
    "reasons ways steps points options parts kinds things questions step option gründe schritte punkte"
)
_ORDINAL = re.compile(r"(?<=[^\W\d_] )\d{1,2}$")  # "Report 1"
_CODE = re.compile(r"`[^`\n]*`")
_INDEX = re.compile(r"\w+\[\w+\]")
_BOLD_LABEL = re.compile(r"\*\*[^*\n]*:?\*\*:?")


@dataclass(frozen=True, slots=True)
class Rest:
    """What an answer's sentences may rest on: the passages of the checked claims by source."""

    desk: Desk
    claims: tuple[CheckedClaim, ...]
    passages: dict[str, list[Passage]]
    names: tuple[str, ...]

    @classmethod
    def of(cls, ledger: Ledger, claims: Sequence[CheckedClaim]) -> "Rest":
        """What a ledger and its checked claims give."""
        desk = Desk(ledger)
        passages: dict[str, list[Passage]] = {}
        for claim in claims:
            for each in claim.spans:
                if (source := desk.get(each.source)) is not None:
                    passages.setdefault(each.source, []).append(source.passage(each.span))
        named = {name for evidence in ledger.all for name in _names(evidence)}
        return cls(desk, tuple(claims), passages, tuple(sorted(named, key=len, reverse=True)))

    @property
    def everywhere(self) -> list[Passage]:
        """All passages of all claims."""
        return [passage for listed in self.passages.values() for passage in listed]

    def said_of(self, ids: Sequence[str]) -> set[str]:
        """The words of the claims that rest on these sources and were not refuted."""
        said: set[str] = set()
        for claim in self.claims:
            if claim.verdict in ("supported", "qualified") and _cites(claim, ids):
                said |= content(claim.claim.text)
        return said


def sentences_checked(text: str, rest: Rest, *, counted: bool) -> str:
    """The text of a paragraph, heading or row with its sentences checked. `counted`: these are sentences of prose."""
    prefix = _PREFIX.match(text)
    start = prefix.end() if prefix else 0
    return text[:start] + "".join(_sentence(each, rest, counted) for each in _split(text[start:]))


def uncited_in(text: str) -> int:
    """How many sentences of a paragraph cite no source. What leads up to a list is none."""
    prefix = _PREFIX.match(text)
    found = 0
    for each in _split(text[prefix.end() if prefix else 0 :]):
        said = blanked(each)
        found += len(words(said)) >= 3 and not said.rstrip(" *_\n").endswith(":") and not cited(each)
    return found


def _split(text: str) -> list[str]:
    """The sentences, quotes and code whole."""
    shown = text
    for pattern in (QUOTED, _CODE):
        shown = pattern.sub(lambda match: re.sub(r"[.!?…\n]", "·", match[0][:-2]) + match[0][-2:], shown)
    return [text[part.start : part.end] for part in sentences(shown, ATTACHED)]


def _sentence(text: str, rest: Rest, prose: bool) -> str:
    text, quoted = _sources_corrected(text, rest)
    ids = cited(text)
    plain = _without_code_of_sources(blanked(text, QUOTED, names=rest.names), rest)
    passages = [passage for source_id in ids for passage in rest.passages.get(source_id, ())] + quoted
    marks: list[str] = []
    if ids:
        marks += _weighed(plain, ids, passages, rest)
        unnamed = _missing_names(plain, ids, rest) if prose else []
        missing = _missing_figures(plain, passages) + [end for _, end in unnamed]
        if not marks and _partly(plain, ids, passages, rest, {name.casefold() for name, _ in unnamed}):
            marks.append(PARTLY)
    else:
        missing = _missing_figures(plain, rest.everywhere)
    if _AGREEMENT.search(plain) and not _all_agree(plain, passages, rest):
        marks.append(NOT_ALL)
        marks = [mark for mark in marks if mark != STRONGER]  # of that this is a case
    text = _marked_inside(text, missing)
    return _marked_at_end(text, [mark for mark in marks if mark not in text])


def _names(evidence: Evidence) -> list[str]:
    """How an answer may name a source. A title is foreign text: one that states something is a name only in a link."""
    names = [evidence.where] if re.fullmatch(r"(?=\S*[^\W\d_])\S*[./]\S*", evidence.where) else []
    states = figures(_ORDINAL.sub("", evidence.title)) or _AGREEMENT.search(evidence.title)
    names.append(f"[{evidence.title}](" if states else evidence.title)
    return [name for name in names if len(name) > 3 and evidence.title]


def _without_code_of_sources(plain: str, rest: Rest) -> str:
    """Code that stands so in a source is blank: its numbers are the source's."""

    def blank(match: re.Match[str]) -> str:
        code = match[0].strip("`")
        whole = re.compile(rf"(?<!\w){re.escape(code)}(?!\w)")
        there = re.search(r"[^\W\d]", code) and any(whole.search(source.evidence.text) for source in rest.desk.all)
        return " " * len(match[0]) if there else match[0]

    return _CODE.sub(blank, _INDEX.sub(blank, plain))


def _sources_corrected(text: str, rest: Rest) -> tuple[str, list[Passage]]:
    """Each quote with a source that has it; and the passages that the quotes are."""
    ids = cited(text)
    good: list[str] = []
    moved: list[tuple[int, str]] = []
    passages: list[Passage] = []
    for match in QUOTED.finditer(text):
        wanted = looked_up(quoted_words(match))
        if not wanted or too_short(wanted):
            continue
        found = rest.desk.found(wanted)
        if not found:
            continue
        have = {source.evidence.id: (source, span) for source, span in found}
        right = next((source_id for source_id in ids if source_id in have), None)
        if right is None:
            right = next(iter(have))
            moved.append((match.end(), right))
        good += [source_id for source_id in ids if source_id in have]
        source, span = have[right]
        passages.append(source.passage(span))
    if not moved:
        return text, passages
    wrong = {source_id for source_id in ids if source_id not in good}
    for end, source_id in reversed(moved):
        mark = CORRECTED if ids else ADDED
        text = f"{text[:end]} [{source_id}] {mark}{text[end:]}"
    if wrong - {source_id for _, source_id in moved}:
        text = _without_ids(text, wrong - {source_id for _, source_id in moved})
    return text, passages


def _without_ids(text: str, wrong: set[str]) -> str:
    def kept(match: re.Match[str]) -> str:
        ids = [source_id for source_id in match[2].split(", ") if source_id not in wrong]
        return f"{match[1]}[{', '.join(ids)}]" if ids else ""

    return re.sub(rf"(\s?){CITATION.pattern}", kept, text)


def _weighed(plain: str, ids: Sequence[str], passages: list[Passage], rest: Rest) -> list[str]:
    """What has to be said of a sentence that cites."""
    said = content(plain)
    if not passages:
        return [NOT_VERIFIED]
    if not said:
        return []
    there = set().union(*(passage.content for passage in passages)) | rest.said_of(ids)
    if coverage(said, there) < COVERED:
        known = [figure for passage in passages for figure in passage.figures]
        labelled = len(said) < 3 and any(borne_out(figure, known) for figure in figures(plain))
        return [] if labelled else [NOT_VERIFIED]  # "Depth: 41 m" has next to no words to compare
    best = max(passages, key=lambda passage: coverage(said, passage.content))
    if language(plain) not in (None, best.source.language):
        return _as_claimed(said, ids, rest)
    found = weigh(plain, [best])
    if found.against and not found.figures_missing:
        return [OTHERWISE]
    about = [passage for passage in passages if coverage(said, passage.content_around) >= COVERED] or [best]
    if all(weigh(plain, [passage]).stronger for passage in about) and weigh(plain, about).stronger:
        return [STRONGER]
    return _as_claimed(said, ids, rest)


def _as_claimed(said: set[str], ids: Sequence[str], rest: Rest) -> list[str]:
    """The sentence repeats a claim: what the check said of that is said here."""
    about = [claim for claim in rest.claims if any(source_id in ids for source_id, _ in claim.claim.cites)]
    best = max(about, key=lambda claim: coverage(said, content(claim.claim.text)), default=None)
    if best is None or coverage(said, content(best.claim.text)) < 0.8:
        return []
    return [OTHERWISE] if best.verdict == "contradicted" else [NOT_VERIFIED] if best.verdict == "unverified" else []


def _partly(plain: str, ids: Sequence[str], passages: Sequence[Passage], rest: Rest, marked: set[str]) -> bool:
    """Whether the sentence has words that neither the passages nor the supported claims it cites have.

    Nothing is said of a sentence in another language than its sources, and a few words of its own are let pass.
    """
    if language(plain) not in (None, *(passage.source.language for passage in passages)):
        return False
    claims = [claim.claim.text for claim in rest.claims if claim.verdict == "supported" and _cites(claim, ids)]
    titles = [passage.source.evidence.title for passage in passages]
    listed = added_words(plain, [*(passage.around for passage in passages), *titles, *claims])
    own = [word for word in listed if word not in _OF_ITS_OWN and word.removesuffix("'s") not in marked]
    share = len(own) / max(1, len(content(plain)))
    return len(own) >= _MANY_OF_ITS_OWN or (len(own) >= _SOME_OF_ITS_OWN and share >= _SHARE_OF_ITS_OWN)


def _cites(claim: CheckedClaim, ids: Sequence[str]) -> bool:
    return any(span.source in ids for span in claim.spans)


def _missing_figures(plain: str, passages: Sequence[Passage]) -> list[int]:
    """Where numbers end that no passage has."""
    known = [figure for passage in passages for figure in passage.figures]
    return [
        figure.end
        for figure in figures(plain)
        if not borne_out(figure, known) and not _counts_own_parts(figure) and not _label_known(figure, passages)
    ]


def _counts_own_parts(figure: Figure) -> bool:
    """Whether a number counts what the answer itself lists: "for two reasons"."""
    return figure.noun in {word[:6] if len(word) > 6 else word.removesuffix("s") for word in _STRUCTURE}


def _label_known(figure: Figure, passages: Sequence[Passage]) -> bool:
    return figure.kind == "label" and any(
        figure.literal.casefold() in passage.source.searchable.folded for passage in passages
    )


def _missing_names(plain: str, ids: Sequence[str], rest: Rest) -> list[tuple[str, int]]:
    """Names, and where they end, that no source cited here has anywhere."""
    if language(plain) not in (None, "en", "fr"):
        return []
    sources = [source for source_id in ids if (source := rest.desk.get(source_id)) is not None]
    common = frozenset().union(*(source.common for source in sources)) if sources else frozenset()
    without = _BOLD_LABEL.sub(lambda match: " " * len(match[0]), plain)
    ends = []
    for name in names(without, common, first=False):
        if not any(name.casefold() in source.searchable.folded for source in sources):
            found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", without)
            ends += [(name, found.end())] if found else []
    return ends


def _all_agree(plain: str, passages: Sequence[Passage], rest: Rest) -> bool:
    """Whether that all sources say so is what the check found, or what a source itself says."""
    phrase = _AGREEMENT.search(plain)
    if phrase and any(phrase[0].casefold() in passage.quoted.casefold() for passage in passages):
        return True
    every = {evidence.id for evidence in rest.desk.ledger.all}
    said = content(_AGREEMENT.sub(" ", plain))
    about = [claim for claim in rest.claims if not said or coverage(said, content(claim.claim.text)) >= 0.5]
    return (
        bool(about)
        and rest.desk.independent > 1
        and all(claim.verdict == "supported" and {span.source for span in claim.spans} == every for claim in about)
    )


def _marked_inside(text: str, ends: Sequence[int]) -> str:
    for end in sorted(set(ends), reverse=True):
        after = re.match(r"[*_`’'″′s)%]*", text[end:])
        at = end + (after.end() if after else 0)
        if not re.match(rf"\s*{re.escape(NOT_IN_SOURCE)}", text[at:]) and not text[end:].lstrip().startswith(
            NOT_IN_SOURCE
        ):
            text = f"{text[:at]} {NOT_IN_SOURCE}{text[at:]}"
    return text


def _marked_at_end(text: str, marks: Sequence[str]) -> str:
    if not marks:
        return text
    bare = text.rstrip()
    after = text[len(bare) :]
    if bare.endswith("|"):
        bare, after = bare[:-1].rstrip(), f" |{after}"
    return f"{bare} {' '.join(marks)}{after}"
