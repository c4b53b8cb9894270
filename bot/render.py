"""Events and progress as documents: what a run says in its thread, and its board. Pure; knows no platform."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from adapters.port import (
    Block,
    Board,
    BoardRow,
    Control,
    Doc,
    Fold,
    Markdown,
    OutFile,
    RowState,
    Subject,
    Table,
    Tone,
)
from bot.progress import Progress, SeatProgress
from bot.receipts import RunReceipt
from teams.events import ExpertAnswered, RunEvent, RunFinished, RunStopped, SynthesisFailed, SynthesisWritten
from teams.evidence.answer import SOURCES
from teams.model import CODE, ExpertFailure, ExpertResult, FailureKind, Synthesis, panel_confidence

SHOWN = 12_000
"""Characters of one text shown in a post; a longer one is clipped there and goes along whole as a file."""

LOST_SHOWN = 10
"""Sources that were not read which a roster names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Post:
    """A document and the part of its key that names it within the run."""

    part: str
    doc: Doc


@dataclass(frozen=True, slots=True)
class Round:
    """Which round of a run it is, whom the synthesis before had heard, and what the round has consumed. `asker` is the
    id of who is alerted by the last post."""

    number: int = 1
    heard_before: tuple[str, ...] = ()
    receipt: RunReceipt | None = None
    asker: str = ""


FIRST = Round()


def post_key(run_id: str, part: str, round_: int) -> str:
    """The key of a post. An expert's answer is said once, whatever the round."""
    once = round_ == 1 or part.startswith("expert/")
    return f"{run_id}/{part}" if once else f"{run_id}/{part}/{round_}"


def board(progress: Progress, run_id: str = "", title: str = "", note: str = "", root: Doc | None = None) -> Board:
    """The whole state of a run as its board, with what can be done to it. `note` stands in for the usual one; `root` is
    the thread's first post."""
    rows = (*(_row(seat, progress.at) for seat in progress.seats), *_synthesis_row(progress))
    return Board(
        progress.topic or title,
        rows,
        note or _note(progress),
        bool(progress.ended),
        run_id,
        controls(progress) if run_id else (),
        root,
    )


def controls(progress: Progress) -> tuple[Control, ...]:
    """What can be done to a run now."""
    if not progress.ended:
        return ("stop",)
    again = progress.team == "panel" and (progress.unheard or progress.synthesis.written is None)
    return ("retry",) if again else ()


def _row(seat: SeatProgress, at: datetime | None) -> BoardRow:
    states: dict[str, RowState] = {"answered": "done"}
    state: RowState = states.get(seat.state, seat.state)  # type: ignore[arg-type]
    seconds = (at - seat.began).total_seconds() if seat.began and at else None
    if seat.answer is not None:
        return BoardRow(seat.seat.title, state, seat.answer.headline, seat.answer.model, seat.answer.seconds)
    if seat.failure is not None:
        return BoardRow(seat.seat.title, state, reason(seat.failure), seat.seat.model, seat.failure.seconds)
    return BoardRow(seat.seat.title, state, seat.detail, seat.seat.model, seconds)


def _synthesis_row(progress: Progress) -> Iterable[BoardRow]:
    label, so_far = "Synthesis", progress.synthesis
    if so_far.written is not None:
        detail = "by the stand-in model" if so_far.written.stand_in else ""
        yield BoardRow(label, "done", detail, so_far.written.model, so_far.written.seconds)
    elif so_far.failure is not None:
        yield BoardRow(label, "failed", so_far.failure.sentence, so_far.model)
    elif so_far.began is not None:
        seconds = (progress.at - so_far.began).total_seconds() if progress.at else None
        yield BoardRow(label, "stopped" if progress.ended else "running", "", so_far.model, seconds)
    elif progress.synthesiser is not None:
        yield BoardRow(label, "stopped" if progress.ended else "queued", "", progress.synthesiser)


def _note(progress: Progress) -> str:
    heard = len(progress.answered)
    match progress.ended:
        case "finished":
            return f"finished in {progress.seconds:.0f} s: {heard} of {len(progress.seats)} answered"
        case "broken":
            return f"given up: {heard} of {len(progress.seats)} had answered"
        case "stopped":
            return f"stopped after {progress.seconds:.0f} s: {heard} of {len(progress.seats)} had answered"
        case _:
            return f"{heard} of {len(progress.seats)} answered"


def posts(event: RunEvent, progress: Progress, round_: Round = FIRST) -> tuple[Post, ...]:
    """The posts that an event makes; `progress` is the state after it."""
    match event:
        case ExpertAnswered():
            return (Post(f"expert/{event.perspective}", answer_doc(event.answer, progress, late=event.late)),)
        case SynthesisWritten():
            return (Post("synthesis", synthesis_doc(event.synthesis, progress, round_)),)
        case SynthesisFailed() if progress.answered:
            return (Post("synthesis", no_synthesis_doc(event, progress)),)
        case RunFinished() | RunStopped():
            return (Post("roster", roster_doc(progress, round_)),)
        case _:
            return ()


def answer_doc(answer: ExpertResult, progress: Progress, *, late: bool = False, shown: int = SHOWN) -> Doc:
    """What an expert answered, `shown` characters of it."""
    title = f"{progress.title(answer.perspective)}: {answer.headline}"
    text, files = clipped(answer.analysis, f"{answer.perspective}.md", shown)
    blocks: list[Block] = [Markdown("*Late: the synthesis was written without this answer.*")] if late else []
    if answer.recommendation:
        blocks.append(_recommended(answer.recommendation))
    lead = len(blocks)
    blocks.append(Markdown(text))
    if answer.key_points:
        blocks.append(Markdown(bullets(answer.key_points)))
    if progress.team == "panel":
        blocks.append(Markdown(f"*{answer.model}, {answer.seconds:.0f} s, own confidence {answer.confidence:.0%}*"))
    subject = Subject(progress.run, f"expert/{answer.perspective}")
    return Doc(title, tuple(blocks), files=files, folded=True, subject=subject, controls=("rate",), lead=lead)


def synthesis_doc(
    synthesis: Synthesis, progress: Progress, round_: Round, *, shown: int = SHOWN, file: str = "synthesis.md"
) -> Doc:
    """The synthesis, `shown` characters of its summary; where there is more, `file` is said to have it."""
    summary, sources, files = _with_its_sources(synthesis.summary, shown, file)
    # What is recommended comes first: a phone announces a post by its first lines.
    blocks: list[Block] = [_recommended(synthesis.recommendation)] if synthesis.recommendation else []
    blocks.append(Markdown(summary))
    if synthesis.agreements:
        blocks.append(Markdown(f"**Agreed**\n\n{bullets(synthesis.agreements)}"))
    if synthesis.disagreements:
        blocks.append(_disagreements(synthesis, progress))
    if sources:
        blocks.append(Markdown(sources))
    by_code = synthesis.model == CODE
    signed = (
        "Put together by code, without a model's words" if by_code else f"{synthesis.model}, {synthesis.seconds:.0f} s"
    )
    blocks.append(Markdown(f"*{signed}*"))
    title = "No checked answer" if by_code else "Answer" if progress.team == "research" else "Synthesis"
    if round_.number > 1:
        title = f"{title} v{round_.number}"
    if synthesis.stand_in:
        title = f"{title} by a stand-in: {progress.synthesiser} failed, {synthesis.model} wrote it"
    if round_.number > 1:
        added = [progress.title(key) for key in synthesis.heard if key not in round_.heard_before]
        news = f"added {', '.join(added)}" if added else "written anew"
        title = f"{title}; {news}" if synthesis.stand_in else f"{title}: {news}"
    subject = Subject(progress.run, "synthesis")
    tone: Tone = "info" if by_code else "success"
    return Doc(title, tuple(blocks), tone, files, subject=subject, controls=("rate",))


def _with_its_sources(summary: str, shown: int, file: str) -> tuple[str, str, tuple[OutFile, ...]]:
    """A summary as far as it is shown, the list of sources at its end, and both as a file where there is more.

    What is clipped is the text: whoever reads an answer has to see what it rests on."""
    text, heading, listed = summary.partition(f"\n{SOURCES}\n")
    if not heading:
        text, files = clipped(summary, file, shown)
        return text, "", files
    sources = f"{SOURCES}\n{listed}".rstrip()
    if len(summary) <= shown:
        return text.rstrip(), sources, ()
    sources, _ = clipped(sources, file, shown // 2)
    text, _ = clipped(text.rstrip(), file, shown - len(sources))
    return text, sources, (OutFile(file, summary),)


def _recommended(text: str) -> Markdown:
    return Markdown(f"**Recommendation:** {text}")


def _disagreements(synthesis: Synthesis, progress: Progress) -> Fold:
    rows = tuple(
        (
            item.claim,
            "; ".join(f"{progress.title(position.perspective)}: {position.says}" for position in item.positions),
            item.would_settle,
        )
        for item in synthesis.disagreements
    )
    title = f"Where they disagree ({len(rows)})"
    return Fold(title, (Table(("Claim", "Who says what", "What would settle it"), rows),))


def no_synthesis_doc(event: SynthesisFailed, progress: Progress) -> Doc:
    """Why there is no synthesis."""
    sentence = (
        event.sentence if event.kind is None else f"the synthesis failed: {event.sentence}{_tries(event.attempts)}"
    )
    standing = "; the answers above stand for themselves" if progress.team == "panel" else ""
    return Doc("No synthesis", (Markdown(f"{capital(sentence)}{standing}."),), "warning")


def roster_doc(progress: Progress, round_: Round) -> Doc:
    """The last word: who was heard and who was not, what it cost, and what can be done."""
    title, lines, tone = _outcome(progress)
    if round_.receipt is not None:
        lines = [*lines, receipt_line(round_.receipt)]
    blocks = tuple(Markdown(line) for line in lines)
    subject = Subject(progress.run)
    return Doc(title, blocks, tone, mention=round_.asker, subject=subject, controls=controls(progress))


def _outcome(progress: Progress) -> tuple[str, list[str], Tone]:
    """How a run ended: a title, what there is to say, and whether that is good news."""
    heard, seats = len(progress.answered), len(progress.seats)
    if not heard and progress.ended == "finished":
        return "Nobody answered", [_all_failed(progress), *_lost(progress)], "error"
    lines = [roster_line(progress), *_lost(progress)]
    if progress.team == "panel" and seats:
        confidence = panel_confidence([answer.confidence for answer in progress.answered], seats)
        lines.append(f"Confidence over all {seats} seats {confidence:.0%}; a seat that was not heard counts as none.")
    if any(failure.kind is FailureKind.TIMED_OUT for failure in progress.failed):
        lines.append("Whoever needed longest is not in it: this leans towards quick answers.")
    if progress.failed and progress.team == "panel":
        lines.append("`/panel retry` asks those again that failed.")
    tone: Tone = "warning" if progress.failed or progress.ended == "stopped" else "success"
    counted = f"Stopped: {heard} of {seats} had" if progress.ended == "stopped" else f"{heard} of {seats}"
    return f"{counted} answered", lines, tone


def roster_line(progress: Progress) -> str:
    """Who was heard and who was not, and why: "from 5 of 6; failed: Contrarian, timed out after 60 s, 3 tries"."""
    parts = [f"from {len(progress.answered)} of {len(progress.seats)}"]
    if progress.failed:
        parts.append(
            "failed: " + "; ".join(f"{progress.title(one.perspective)}, {reason(one)}" for one in progress.failed)
        )
    late = [seat.seat.title for seat in progress.seats if seat.state == "late"]
    if late:
        parts.append(f"late, not in the synthesis: {', '.join(late)}")
    stopped = [seat.seat.title for seat in progress.seats if seat.state == "stopped"]
    if stopped:
        parts.append(f"stopped before they answered: {', '.join(stopped)}")
    return "; ".join(parts)


def _lost(progress: Progress) -> Iterable[str]:
    """Which sources were not read, and why: "Sources not read: https://…, timed out after 15 s"."""
    if progress.lost:
        named = [_with_its_name(lost.where, lost.sentence) for lost in progress.lost[:LOST_SHOWN]]
        more = len(progress.lost) - len(named)
        yield f"Sources not read: {'; '.join([*named, f'and {more} more'] if more else named)}"


def _with_its_name(name: str, sentence: str) -> str:
    return sentence if sentence.startswith(name) else f"{name}, {sentence}"


def receipt_line(receipt: RunReceipt) -> str:
    """What a round consumed: "7 model calls, 5,120 tokens in and 3,400 out, $0.02"."""
    calls = f"{receipt.calls} model call{'' if receipt.calls == 1 else 's'}"
    tokens = f"{receipt.input_tokens:,} tokens in and {receipt.output_tokens:,} out"
    if receipt.unmetered:
        tokens += f" ({receipt.unmetered} told no usage)"
    cost = "cost unknown" if receipt.cost is None else f"${receipt.cost:.4f}"
    return f"Receipt: {calls}, {tokens}, {cost}."


def reason(failure: ExpertFailure) -> str:
    """Why an expert failed, with the number of tries when there was more than one."""
    return f"{failure.sentence}{_tries(failure.attempts)}"


def _all_failed(progress: Progress) -> str:
    reasons: dict[str, list[str]] = {}
    for failure in progress.failed:
        reasons.setdefault(reason(failure), []).append(progress.title(failure.perspective))
    if len(reasons) == 1:
        why = next(iter(reasons))
        return f"{capital(why)}. It was the same for all {len(progress.failed)} that were asked."
    return bullets(f"{', '.join(titles)}: {why}" for why, titles in reasons.items())


def clipped(text: str, name: str, shown: int = SHOWN) -> tuple[str, tuple[OutFile, ...]]:
    """A text as far as it is shown, and as a file of that name where there is more of it."""
    if len(text) <= shown:
        return text, ()
    note = f"*… {len(text) - shown:,} more characters in {name}*"
    return f"{text[:shown].rstrip()}\n\n{note}", (OutFile(name, text),)


def bullets(items: Iterable[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {item}" for item in items)


def _tries(attempts: int) -> str:
    return f", {attempts} tries" if attempts > 1 else ""


def capital(sentence: str) -> str:
    """A sentence with a capital at its beginning."""
    return sentence[:1].upper() + sentence[1:]
