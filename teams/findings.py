"""Between the stages of research: passages for the analyst, findings as claims, claims for the synthesizer. Pure."""

import re
from collections.abc import Sequence
from typing import Any

from teams.evidence.claims import CheckedClaim, Claim, check_claim
from teams.evidence.ledger import Ledger
from teams.evidence.quotes import as_it_stands
from teams.evidence.weighing import Desk
from teams.observations import passage_block
from teams.trail import Trail

CLAIM_LIMIT = 1_000
"""Characters of a claim, and of its quote, that are checked; a longer one is an essay."""


def passages_of(trail: Trail, raw_results: str, characters: int) -> str:
    """What the agent was shown, quoted under the ids of its sources: first that which it cites, then the rest, at most
    about `characters` of it. What is left out is said."""
    cited = set(re.findall(r"\bS\d+\b", raw_results))
    blocks, room = [], characters
    for shown in sorted(trail.shown, key=lambda each: each.source not in cited):
        source = trail.ledger.get(shown.source)
        if source is not None and len(shown.text) <= room:
            room -= len(shown.text)
            blocks.append(passage_block(source.id, source.title, shown.text))
    if left := len(trail.shown) - len(blocks):
        blocks.append(f"({left} more passages were found and left out: they did not fit)")
    return "\n\n".join(blocks)


def claim_from(finding: Any, trail: Trail, desk: Desk) -> Claim:
    """A finding as a claim. Where it names no source by id or name, the source is the one that has its words; where it
    quotes nothing, the claim itself may be the words of a source. An id that there is not stays, and is found out."""
    given = finding if isinstance(finding, dict) else {"claim": str(finding)}
    text, name, quote = (" ".join(str(given.get(key) or "").split()) for key in ("claim", "source", "quote"))
    found = re.search(r"\bS\d{1,4}\b", name, re.IGNORECASE)
    source = found[0].upper() if found else speakers_of(trail).get(name, "")
    text, quote = text[:CLAIM_LIMIT], (quote or text)[:CLAIM_LIMIT]
    if not source and (having := desk.found(quote)):
        source = having[0][0].evidence.id
    return Claim(text, ((source, quote),) if source and quote else ())


def checked_finding(finding: Any, trail: Trail, desk: Desk) -> CheckedClaim:
    """A finding as a claim that is checked."""
    return check_claim(claim_from(finding, trail, desk), desk)


def speakers_of(trail: Trail) -> dict[str, str]:
    """Every name under which a model may mean a source, to its id. A name that two sources share means none."""
    names = [(name, each.id) for each in trail.ledger.all for name in {each.title, each.where} if name]
    once = {name: source for name, source in names if sum(name == other for other, _ in names) == 1}
    ids = [each.id for each in trail.ledger.all]
    return once | {shape.format(source): source for source in ids for shape in ("{}", "[{}]", "source {}")}


def findings_text(claims: Sequence[CheckedClaim], ledger: Ledger) -> list[str]:
    """The claims as the synthesizer reads them: with their verdict, and the words that are there."""
    return [_finding(claim, ledger) for claim in claims]


def _finding(checked: CheckedClaim, ledger: Ledger) -> str:
    quotes = []
    for each in checked.spans:
        if (evidence := ledger.get(each.source)) is not None:
            words = as_it_stands(evidence.text, each.span)
            quotes.append(f"[{each.source}] says: {' '.join(words.split())!r}")
    said = "; ".join(quotes)
    match checked.verdict:
        case "contradicted":
            return (
                f"Contradicted by its source, not to be stated as true: {checked.claim.text} ({checked.reason}) {said}"
            )
        case "qualified":
            return f"Qualified: {checked.claim.text} ({checked.reason}) {said}"
        case _:
            return f"{checked.claim.text} {said}"
