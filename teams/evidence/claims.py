"""Claims held against the words they cite, by code: supported, qualified, contradicted, unverified or unchecked. Pure.

In doubt a claim is not supported.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from teams.evidence.figures import figures
from teams.evidence.ledger import Ledger
from teams.evidence.quotes import Span
from teams.evidence.weighing import COVERED, Desk, Findings, Passage, weigh
from teams.evidence.words import content, words

Verdict = Literal["supported", "qualified", "contradicted", "unverified", "unchecked"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement and what it rests on: pairs of a source's id and the words quoted from it."""

    text: str
    cites: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CitedSpan:
    """A quote that was found: whose, and where in that source's text."""

    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """A claim with what the check came to, why, and the quotes that were found."""

    claim: Claim
    verdict: Verdict
    reason: str
    spans: tuple[CitedSpan, ...] = ()


def check_claims(claims: Iterable[Claim], ledger: Ledger) -> tuple[CheckedClaim, ...]:
    """Every claim checked. A check that breaks leaves its claim unchecked and the others as they are."""
    desk = Desk(ledger)
    return tuple(check_claim(claim, desk) for claim in claims)


def check_claim(claim: Claim, desk: Desk) -> CheckedClaim:
    """One claim checked against the sources on the desk."""
    try:
        return _check(claim, desk)
    except Exception:  # noqa: BLE001 - that the check broke is what has to be said of this claim
        return CheckedClaim(claim, "unchecked", "The check itself failed, so nothing is known of this claim.")


def _check(claim: Claim, desk: Desk) -> CheckedClaim:
    if not claim.cites:
        return CheckedClaim(claim, "unverified", "It quotes no source.")
    spans: list[CitedSpan] = []
    passages: list[Passage] = []
    faults: list[str] = []
    changed: set[str] = set()
    for source_id, quote in claim.cites:
        source = desk.get(source_id)
        if source is None:
            if desk.ledger.get(source_id) is not None:
                return CheckedClaim(
                    claim, "unchecked", f"The text of {source_id} was not kept, so nothing can be looked up."
                )
            faults.append(f"There is no source {source_id}.")
        elif (span := source.searchable.find(quote)) is not None:
            spans.append(CitedSpan(source_id, span))
            passages.append(source.passage(span))
            if not span.exact:
                changed |= set(words(quote)) - set(words(passages[-1].quoted))
        else:
            faults.append(f"The words quoted from {source_id} are not in it, or are too few to be looked up.")
    if faults:
        return CheckedClaim(claim, "unverified", faults[0], tuple(spans))
    verdict, reason = _verdict(claim.text, weigh(claim.text, passages), changed)
    return CheckedClaim(claim, verdict, reason, tuple(spans))


def _verdict(text: str, found: Findings, changed: set[str]) -> tuple[Verdict, str]:
    if found.against:
        return "contradicted", found.against
    if not content(text) and not figures(text):
        return "unverified", "It says nothing that could be looked up."
    if found.figures_missing:
        missing = ", ".join(dict.fromkeys(figure.literal for figure in found.figures_missing))
        return "qualified", f"The quote is there, but it does not say {missing}."
    if found.names_missing:
        return "qualified", f"The quote is there, but it does not name {', '.join(found.names_missing)}."
    if found.stronger:
        return "qualified", found.stronger
    if said := sorted(changed & set(words(text))):
        return "qualified", f"The source does not say {said[0]!r} but something spelled like it."
    if found.covered < COVERED:
        if not found.same_language:
            return "qualified", "The quote is there, in another language: whether it says this was not compared."
        return "qualified", "The quote is there, but it has few words in common with the claim."
    if found.words_added:
        shown = ", ".join(map(repr, found.words_added[:3]))
        return "qualified", f"The quote is there, but the claim puts it in words of its own: {shown}."
    return "supported", "The quote is there, with every number, date, name and word of the claim."
