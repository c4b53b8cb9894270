"""The answer that may be posted: what a model wrote, without what the ledger does not bear out, or with marks. Pure."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from teams.evidence.answer_quotes import block_from_source, quotation_checked, quotes_checked
from teams.evidence.answer_sentences import Rest, sentences_checked, uncited_in
from teams.evidence.blocks import Block, blocks
from teams.evidence.citing import known_only
from teams.evidence.claims import CheckedClaim
from teams.evidence.closest import Closest, closest
from teams.evidence.export import inert
from teams.evidence.ledger import Evidence, Ledger, independent_sources
from teams.evidence.links import LINK_REMOVED, Addresses
from teams.evidence.marks import (
    CORRECTED,
    NO_SUCH_SOURCE,
    NOT_ALL,
    NOT_FROM_A_SOURCE,
    NOT_IN_SOURCE,
    NOT_VERIFIED,
    OTHERWISE,
    PARTLY,
    QUOTE_NOT_FOUND,
    STRONGER,
    cited,
)

NOTHING = "I found nothing on this."
NOTHING_CHECKED = "No claim on this could be checked against what I found, so this is no answer."
UNCITED = "The text above names no source for what it says."
CLOSEST = "Closest to the question in what was read, word for word, picked by the words they share and by no model:"
SOURCES = "### Sources and what was checked"

_PASSES = 8
_UNSEEN = re.compile(r"[\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_RUN = re.compile(r"([^\w\s]|_)\1{80,}")
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AnswerCounts:
    """How often what was taken out or marked; `uncited` counts sentences that cite no source."""

    ids: int = 0
    quotes: int = 0
    links: int = 0
    not_in_source: int = 0
    agreement: int = 0
    otherwise: int = 0
    stronger: int = 0
    partly: int = 0
    unverified: int = 0
    corrected: int = 0
    blocks: int = 0
    uncited: int = 0


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """The Markdown that may be posted, and what was found in checking it. `found` is false where no claim held.

    `others` are the texts that were checked along with it.
    """

    markdown: str
    counts: AnswerCounts = AnswerCounts()
    found: bool = True
    others: tuple[str, ...] = ()


def checked_answer(
    summary: str,
    ledger: Ledger,
    claims: Sequence[CheckedClaim],
    tried: Sequence[str] = (),
    others: Sequence[str] = (),
    question: str = "",
) -> CheckedAnswer:
    """A model's answer in Markdown as it may be posted, with its sources at the end.

    An answer needs evidence: without one quote that is in its source it is not shown. `tried` are sentences that say
    what was searched and read. `others` are texts shown beside the answer, such as its recommendation: they are checked
    like it, and what they cite is among the sources. Where nothing cites a source, the sentences of sources that are
    closest to the `question` follow. The same input gives the same output, and without a question the output checked
    again is itself.
    """
    if not ledger.all or not any(claim.spans for claim in claims):
        return unanswered("", ledger, claims, tried)
    addresses = Addresses(ledger.all)
    body, *beside = checked_texts([summary, *others], ledger, claims)
    whole = "\n\n".join([body, *beside])
    counts = _counts(whole)
    near = () if cited(whole) else closest(question, ledger)
    if near:
        body = "\n\n".join([body, UNCITED, *_shown(near)])
    listed = _sources(f"{whole}{_ids(near)}", ledger, claims, counts, addresses)
    return CheckedAnswer(f"{body}\n\n{listed}\n", counts, others=tuple(beside))


def unanswered(
    question: str, ledger: Ledger, claims: Sequence[CheckedClaim] = (), tried: Sequence[str] = ()
) -> CheckedAnswer:
    """What may be posted where no claim held: what was tried, and the sentences of sources closest to the question.

    Without any source, that nothing was found. `claims` are counted, and not shown.
    """
    addresses = Addresses(ledger.all)
    parts, near = [NOTHING_CHECKED if ledger.all else NOTHING], closest(question, ledger)
    if near:
        parts += _shown(near)
    if tried:
        parts.append("\n".join(["Tried:", *(f"- {' '.join(addresses.cleaned(each).split())}" for each in tried)]))
    if ledger.all:
        parts.append(_sources(_ids(near), ledger, claims, AnswerCounts(), addresses))
    return CheckedAnswer("\n\n".join(parts) + "\n", found=False)


def _shown(near: Sequence[Closest]) -> list[str]:
    return [CLOSEST, *(f"> {inert(each.text)} [{each.source}]" for each in near)]


def _ids(near: Sequence[Closest]) -> str:
    return "".join(f"[{each.source}]" for each in near)


def checked_texts(texts: Sequence[str], ledger: Ledger, claims: Sequence[CheckedClaim]) -> tuple[str, ...]:
    """Each text as it may be posted, without sources at its end."""
    rest, addresses = Rest.of(ledger, claims), Addresses(ledger.all)
    return tuple(_settled(_tidied(_body(text)), ledger, rest, addresses) for text in texts)


def _settled(body: str, ledger: Ledger, rest: Rest, addresses: Addresses) -> str:
    for _ in range(_PASSES):
        before, body = body, _tidied(_checked(body, ledger, rest, addresses))
        if body == before:
            break
    return body


def _body(summary: str) -> str:
    """The answer without what an earlier check wrote at its end, unseen characters and comments."""
    body = _UNSEEN.sub("", _HIDDEN.sub("", summary.replace("\r\n", "\n").replace("\r", "\n")))
    body = "".join(char for char in body if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs"))
    body = _RUN.sub(lambda match: match[1] * 80, body)
    return re.split(rf"^{re.escape(SOURCES)}\s*$", body, maxsplit=1, flags=re.MULTILINE)[0]


def _tidied(body: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", body, flags=re.MULTILINE)).strip()


def _checked(body: str, ledger: Ledger, rest: Rest, addresses: Addresses) -> str:
    body = known_only(addresses.cleaned(body), ledger)
    listed = blocks(body)
    out: list[str] = []
    for at, block in enumerate(listed):
        out.append(_block(block, rest))
        if block.kind == "quotation" and listed[at + 1 :] and listed[at + 1].kind not in ("blank", "quotation"):
            out.append("\n")  # or the line would be shown as part of the quotation
        if block.kind == "fence" and not block_from_source(block.text, rest.desk):
            following = next((each.text for each in listed[at + 1 :] if each.kind != "blank"), "")
            if not following.startswith(NOT_FROM_A_SOURCE):
                out.append(f"{'' if out[-1].endswith(chr(10)) else chr(10)}{NOT_FROM_A_SOURCE}\n\n")
    return "".join(out)


def _block(block: Block, rest: Rest) -> str:
    if block.kind in ("fence", "blank"):
        return block.text
    if block.kind == "quotation":
        return quotation_checked(block.text, rest.desk)
    return sentences_checked(quotes_checked(block.text, rest.desk), rest, counted=block.kind == "text")


def _counts(body: str) -> AnswerCounts:
    texts = [block.text for block in blocks(body) if block.kind == "text"]
    return AnswerCounts(
        ids=body.count(NO_SUCH_SOURCE),
        quotes=body.count(QUOTE_NOT_FOUND),
        links=body.count(LINK_REMOVED),
        not_in_source=body.count(NOT_IN_SOURCE),
        agreement=body.count(NOT_ALL),
        otherwise=body.count(OTHERWISE),
        stronger=body.count(STRONGER),
        partly=body.count(PARTLY),
        unverified=body.count(NOT_VERIFIED),
        corrected=body.count(CORRECTED),
        blocks=body.count(NOT_FROM_A_SOURCE),
        uncited=sum(map(uncited_in, texts)),
    )


def _sources(
    body: str, ledger: Ledger, claims: Sequence[CheckedClaim], counts: AnswerCounts, addresses: Addresses
) -> str:
    ids = [evidence.id for evidence in ledger.all if evidence.id in cited(body)]
    lines = [SOURCES, ""]
    for evidence in ledger.all:
        if evidence.id in ids:
            lines.append(f"- **{evidence.id}** {named(evidence)}: {_what_was_checked(evidence.id, claims)}")
    read = [evidence for evidence in ledger.all if evidence.id not in ids]
    lines += [f"- Read and not cited: {named(evidence)}" for evidence in read]
    return "\n".join([*lines, "", _told(ids, ledger, claims, counts)])


def named(evidence: Evidence) -> str:
    """A source in one line. Its title is foreign text: no markup and no address of it survives."""
    title = " ".join(evidence.title.split())[:120]
    title = Addresses(()).cleaned(title)
    title = re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", title) or "without a title"
    where = Addresses([evidence]).kept(evidence.where)
    if where is None:
        where = re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(evidence.where.split()))[:300]
    return f"{title} ({evidence.kind}, {where}, read {evidence.at})"


def _what_was_checked(source_id: str, claims: Sequence[CheckedClaim]) -> str:
    about = [claim for claim in claims if any(source == source_id for source, _ in claim.claim.cites)]
    quotes = len({span.span for claim in about for span in claim.spans if span.source == source_id})
    if not about:
        return "no claim was checked against it"
    verdicts = [f"{sum(claim.verdict == verdict for claim in about)} {verdict}" for verdict in _verdicts(about)]
    return f"{_count(quotes, 'quote')} found in it; {_count(len(about), 'claim')}: {', '.join(verdicts)}"


def _verdicts(claims: Sequence[CheckedClaim]) -> list[str]:
    order = ("supported", "qualified", "contradicted", "unverified", "unchecked")
    return [verdict for verdict in order if any(claim.verdict == verdict for claim in claims)]


def _told(ids: Sequence[str], ledger: Ledger, claims: Sequence[CheckedClaim], counts: AnswerCounts) -> str:
    verdicts = [f"{sum(claim.verdict == verdict for claim in claims)} {verdict}" for verdict in _verdicts(claims)]
    said = [f"{_count(len(claims), 'claim')} checked by comparing words, not by judgement: {', '.join(verdicts)}."]
    if not claims:
        said = ["There was no claim to check."]
    if len(ids) > 1 and (apart := independent_sources(ledger, ids)) < len(ids):
        said.append(f"The {len(ids)} sources cited are {_count(apart, 'text')}, near copies counted once.")
    told = (
        (counts.ids, "citation of sources that do not exist", "citations of sources that do not exist", "removed"),
        (counts.quotes, "quote that no source has", "quotes that no source has", "removed or marked"),
        (counts.links, "link to what was not read", "links to what was not read", "removed"),
        (
            counts.not_in_source,
            "number or name that is not in the source",
            "numbers or names that are not in the source",
            "marked",
        ),
        (counts.otherwise, "sentence that its source contradicts", "sentences that their sources contradict", "marked"),
        (counts.stronger, "sentence stronger than its source", "sentences stronger than their sources", "marked"),
        (counts.partly, "sentence only partly in its source", "sentences only partly in their sources", "marked"),
        (
            counts.unverified,
            "sentence whose source was not found to say it",
            "sentences whose sources were not found to say it",
            "marked",
        ),
        (
            counts.agreement,
            "statement about all sources that was not checked for all",
            "statements about all sources that were not checked for all",
            "marked",
        ),
        (counts.corrected, "quote with the wrong source", "quotes with the wrong source", "corrected"),
        (counts.blocks, "block that is not from a source", "blocks that are not from a source", "marked"),
    )
    done = [f"{count} {one if count == 1 else more} {what}" for count, one, more, what in told if count]
    if done:
        said.append(f"{'; '.join(done)}.")
    if counts.uncited:
        said.append(
            "1 sentence carries no source." if counts.uncited == 1 else f"{counts.uncited} sentences carry no source."
        )
    return " ".join(said)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
