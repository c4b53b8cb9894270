"""What the stages of research tell people, and the last of them: headlines and Markdown. Pure.

Nothing in it is a model's word as it came: sources are named by the ledger, and claims stand beside their verdicts.
"""

from collections import Counter
from collections.abc import Sequence

from teams.evidence.answer import checked_texts, named
from teams.evidence.claims import CheckedClaim, Verdict
from teams.evidence.ledger import Ledger
from teams.evidence.links import Addresses
from teams.observations import flags
from teams.steps import Json
from teams.trail import Trail

VERDICTS: tuple[Verdict, ...] = ("supported", "qualified", "contradicted", "unverified", "unchecked")


def searcher_post(trail: Trail, names: Sequence[str]) -> Json:
    """What was tried and which sources were found."""
    sources = trail.ledger.all
    if not names:
        return {"headline": "No source to search", "analysis": "No documents were given, and there is no other source."}
    addresses = Addresses(sources)
    tried = [f"- {addresses.cleaned(each)}" for each in trail.tried] or ["- nothing"]
    found = [
        f"- **{each.id}** {named(each)}" + (f" {' '.join(flags(each.text))}" if flags(each.text) else "")
        for each in sources
    ]
    parts = [f"Tried in {', '.join(names)}:", "\n".join(tried)]
    parts += ["Sources:", "\n".join(found)] if found else ["No source was found."]
    return {"headline": f"{trail.counted}: {_count(len(sources), 'source')}", "analysis": "\n\n".join(parts)}


def analyst_post(fields: Json, gaps: Sequence[str]) -> Json:
    """How many findings there are, which are shown once they are checked, and what is left open."""
    findings = len(fields["findings"])
    if not findings and not gaps:
        return {"headline": "Nothing to work out", "analysis": "There were no findings."}
    parts = [f"{_count(findings, 'finding')}, checked next."]
    parts += ["Left open:", "\n".join(f"- {gap}" for gap in gaps)] if gaps else []
    return {"headline": f"{_count(findings, 'finding')}, {_count(len(gaps), 'gap')}", "analysis": "\n\n".join(parts)}


def gaps_of(fields: Json, ledger: Ledger) -> tuple[str, ...]:
    """The gaps as they may be shown."""
    gaps = [" ".join(str(gap).split()) for gap in fields["gaps"]]
    return tuple(filter(None, checked_texts(gaps, ledger, ())))


def checker_post(ledger: Ledger, claims: Sequence[CheckedClaim], unchecked: int) -> Json:
    """Each claim with its verdict and sources; `unchecked` more were left aside, for there were too many."""
    if not claims:
        return {"headline": "No claim to check", "analysis": "There was no claim to check."}
    counts = Counter(claim.verdict for claim in claims)
    verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    lines = []
    for claim, text in zip(claims, checked_texts([each.claim.text for each in claims], ledger, claims), strict=True):
        ids = ", ".join(dict.fromkeys(span.source for span in claim.spans))
        shown = " ".join(text.split()) or "(empty)"
        lines.append(f"- **{claim.verdict}**{f' [{ids}]' if ids else ''}: {shown} *{claim.reason}*")
    parts = ["Compared word by word with the sources, by code:", "\n".join(lines)]
    if dropped := counts["unverified"] + counts["unchecked"]:
        parts.append(f"{_count(dropped, 'claim')} left out of the answer.")
    if unchecked:
        parts.append(f"{_count(unchecked, 'more claim')} not checked and left out: there were too many.")
    return {"headline": f"{_count(len(claims), 'claim')} checked: {verdicts}", "analysis": "\n\n".join(parts)}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
