"""Quotes in an answer: what no source has is taken out, what a source has almost so is set in its own words. Pure."""

import re
from collections.abc import Iterator

from teams.evidence.blocks import QUOTATION
from teams.evidence.marks import ADDED, CITATION, CORRECTED, DOUBLE, MARK, QUOTE_NOT_FOUND, QUOTED, cited, quoted_words
from teams.evidence.quotes import LEAST_CHARACTERS, LEAST_WORDS, Searchable, as_it_stands
from teams.evidence.weighing import Checked, Desk
from teams.evidence.words import words

_ATTRIBUTION = re.compile(
    r"\n\s*(?:[—–]|--?)\s*(?=\S)|\s+(?:[—–]|--)\s+(?=\S)|\s*\(?\[(?!S\d|\.|…)(?=[^\]\n]+\]\()|\s*\(\[S"
)
_IN_QUOTATION = re.compile(rf"^{QUOTATION.pattern}\s?(?:\s*>\s?)*")
_LANGUAGE = re.compile(r"(?:[A-Za-z][\w+#.-]{0,19})?")


def quotes_checked(text: str, desk: Desk) -> str:
    """The text of a paragraph with its quotes checked."""

    def check(match: re.Match[str]) -> str:
        inner = quoted_words(match)
        wanted = looked_up(inner)
        if not wanted:
            return match[0]
        if too_short(wanted):
            if short_known(wanted, desk) or QUOTE_NOT_FOUND in match[0] + text[match.end() : match.end() + 20]:
                return match[0]
            return f"{match[0]} {QUOTE_NOT_FOUND}"
        found = desk.found(wanted)
        if not found:
            return QUOTE_NOT_FOUND if not titled(wanted, desk) else match[0]
        source, span = found[0]
        if span.exact:
            return match[0]
        return match[0].replace(inner, _inside_quotes(as_it_stands(source.evidence.text, span)), 1)

    return QUOTED.sub(check, text)


def quotation_checked(text: str, desk: Desk) -> str:
    """A block of `>` lines: the words of a source and where they are from, or a mark."""
    opening = QUOTATION.match(text)
    before = opening["before"] if opening and opening["before"].strip() else ""  # the mark of an item
    lines = [_IN_QUOTATION.sub("", line) for line in text.splitlines()]
    whole = _quotation("\n".join(lines), desk)
    if whole is None:
        # Not one quote: perhaps several, a line each.
        parts = [_quotation(line, desk) for line in lines]
        whole = "\n".join(QUOTE_NOT_FOUND if part is None else part for part in parts)
    shown = "\n".join(f"{' ' * len(before)}> {line}".rstrip() for line in whole.splitlines() or [""])
    return f"{before}{shown[len(before) :]}\n"


def _quotation(whole: str, desk: Desk) -> str | None:
    """A quotation with its sources put right; None when no source has it."""
    if not looked_up(whole):
        return whole
    fitting = ((quote, after, desk.found(looked_up(quote))) for quote, after in _endings(whole) if looked_up(quote))
    quote, after, found = next((each for each in fitting if each[2]), (whole, "", []))
    if not found:
        return None
    source, span = found[0]
    ids = cited(whole)
    known = [each.evidence.id for each, _ in found]
    kept = [source_id for source_id in ids if source_id in known]
    mark = ADDED if not ids else CORRECTED if kept != ids or not _attributed(after, source) else ""
    if span.exact and not mark:
        return whole
    words_there = CITATION.sub("", quote).rstrip() if span.exact else as_it_stands(source.evidence.text, span)
    from_there = after if _attributed(after, source) else ""
    from_there = CITATION.sub("", from_there).rstrip()
    return f"{words_there}{from_there} [{', '.join(kept or known[:1])}] {mark}".rstrip()


def _endings(whole: str) -> Iterator[tuple[str, str]]:
    """A quotation as quote and what follows it: nothing, a line or a dash with where it is from, or a link."""
    yield whole, ""
    for match in reversed(list(_ATTRIBUTION.finditer(whole))):
        yield whole[: match.start()], whole[match.start() :]


def _attributed(after: str, source: Checked) -> bool:
    """Whether what is said of a quotation's origin is in the source itself: its names, numbers and words."""
    known = f"{source.evidence.title} {source.evidence.where} {source.evidence.kind} the from source see"
    there = set(words(known))
    shown = MARK.sub(" ", CITATION.sub(" ", after.replace(source.evidence.where, " ")))
    return all(word in there or f" {word} " in f" {source.searchable.folded} " for word in words(shown))


def looked_up(quote: str) -> str:
    """The words of a quote that are to be in a source: no citations, and a gap for what was taken out."""
    bare = MARK.sub(lambda match: " … " if match[0].startswith("[link") else " ", CITATION.sub(" ", quote))
    return bare.strip().strip("…").strip() if words(bare) else ""


def too_short(wanted: str) -> bool:
    """Whether this is a word in quotation marks rather than a quote."""
    return len(words(wanted)) < LEAST_WORDS and len(wanted) < LEAST_CHARACTERS


def short_known(wanted: str, desk: Desk) -> bool:
    """Whether a source has these few words."""
    return titled(wanted, desk) or any(source.searchable.holds(wanted) for source in desk.all)


def titled(wanted: str, desk: Desk) -> bool:
    """Whether this is in the title of a source."""
    return any(Searchable(evidence.title).holds(wanted) for evidence in desk.ledger.all)


def block_from_source(text: str, desk: Desk) -> bool:
    """Whether every line of a fence is in a source, also what stands behind its opening and is no language."""
    opening, *lines = text.splitlines()[:-1]
    behind = opening.strip(" `~")
    if not _LANGUAGE.fullmatch(behind):
        lines.append(behind)
    pieces = [piece.strip() for line in lines for piece in MARK.split(line) if words(piece)]
    return bool(pieces) and all(any(source.searchable.holds(piece) for source in desk.all) for piece in pieces)


def _inside_quotes(words_there: str) -> str:
    """A source's words without what would end the quotation around them."""
    return re.sub(rf"[{DOUBLE}\"«»‹›「」『』<>]", "'", words_there)
