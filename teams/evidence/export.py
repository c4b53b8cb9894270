"""The evidence of a run to take away: sources, claims and verdicts as JSON, and as Markdown to read. Pure."""

import re
from collections.abc import Sequence
from typing import Any

from teams.evidence.claims import CheckedClaim
from teams.evidence.ledger import Evidence, Ledger
from teams.evidence.quotes import as_it_stands
from teams.quoting import quoted_lines
from teams.wire import dump


def evidence_as_json(ledger: Ledger, claims: Sequence[CheckedClaim]) -> dict[str, Any]:
    """Everything: the sources with their whole texts, and each claim with its verdict, reason and spans."""
    return {"sources": ledger.to_json(), "claims": [dump(claim) for claim in claims]}


def evidence_as_markdown(ledger: Ledger, claims: Sequence[CheckedClaim]) -> str:
    """The same to read, with the quotes as their sources have them and without the whole texts.

    Foreign text is inert: its markup is escaped, quotes stand in quoted lines, and no line begins with `=`.
    """
    parts = ["# Evidence", "## Sources", *map(_source, ledger.all), "## Claims"]
    parts += [_claim(number, claim, ledger) for number, claim in enumerate(claims, start=1)]
    if not claims:
        parts.append("No claim was checked.")
    return "\n\n".join(parts) + "\n"


def inert(text: str) -> str:
    """Foreign text on one line, its markup escaped."""
    return re.sub(r"([\\`*_\[\]<>|#~!])", r"\\\1", " ".join(text.split()))


def _source(evidence: Evidence) -> str:
    lines = [
        f"### {evidence.id}: {inert(evidence.title) or 'without a title'}",
        "",
        f"- {evidence.kind}: {inert(evidence.where)}",
        f"- read: {evidence.at}",
        f"- SHA-256 of the text: {evidence.sha256}, {len(evidence.text):,} characters",
    ]
    return "\n".join([*lines, f"- found by: {inert(evidence.provider)}"] if evidence.provider else lines)


def _claim(number: int, checked: CheckedClaim, ledger: Ledger) -> str:
    parts = [
        f"### {number}. {checked.verdict}",
        f"Claim: {inert(checked.claim.text)}",
        f"Check: {inert(checked.reason)}",
    ]
    for each in checked.spans:
        if (evidence := ledger.get(each.source)) is not None:
            words_there = inert(as_it_stands(evidence.text, each.span))
            slip = "" if each.span.exact else ", spelled otherwise in the claim"
            place = f"{each.source}, characters {each.span.start} to {each.span.end}{slip}"
            parts.append(f"{place}:\n\n{quoted_lines(words_there)}")
    parts += [
        f"Quoted from {inert(source)} but not found:\n\n{quoted_lines(inert(quote))}"
        for source, quote in checked.claim.cites
        if checked.verdict == "unverified" and not any(span.source == source for span in checked.spans)
    ]
    return "\n\n".join(parts)
