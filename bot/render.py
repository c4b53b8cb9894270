"""Events and progress as documents: every sentence of a thread is written here. Pure; knows no platform."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.port import (
    Attachment,
    Block,
    Board,
    BoardRow,
    Control,
    Doc,
    Fold,
    Gone,
    Markdown,
    OutFile,
    PermissionMissing,
    RateLimited,
    Rejected,
    RowState,
    SendError,
    Table,
    Tone,
    TooLarge,
)
from bot.progress import Progress, SeatProgress
from bot.receipts import RunReceipt
from bot.stored import OverQuota
from teams.catalog import Catalog
from teams.events import ExpertAnswered, RunEvent, RunFinished, RunStopped, SynthesisFailed, SynthesisWritten
from teams.model import ExpertFailure, FailureKind, Synthesis, panel_confidence

SHOWN = 12_000
"""Characters of one text shown in a post; a longer one is clipped there and goes along whole as a file."""

HELP = """\
- `/panel [--panel NAME] <topic>` asks a panel of experts
- `/research <question>` searches the documents given and answers from them
- `/panel stop` ends the run under way; what came back is kept
- `/panel retry` asks those experts again that failed
- `/panel list` shows the panels
- `/panel settings` shows what is set"""


@dataclass(frozen=True, slots=True)
class Post:
    """A document and the part of its key that names it within the run."""

    part: str
    doc: Doc


@dataclass(frozen=True, slots=True)
class Round:
    """Which round of a run it is, whom the synthesis before had heard, and what the round has consumed."""

    number: int = 1
    heard_before: tuple[str, ...] = ()
    receipt: RunReceipt | None = None


FIRST = Round()


def post_key(run_id: str, part: str, round_: int) -> str:
    """The key of a post. An expert's answer is said once, whatever the round."""
    once = round_ == 1 or part.startswith("expert/")
    return f"{run_id}/{part}" if once else f"{run_id}/{part}/{round_}"


def board(progress: Progress, run_id: str = "", title: str = "", note: str = "") -> Board:
    """The whole state of a run as its board, with what can be done to it. `note` stands in for the usual one."""
    rows = (*(_row(seat, progress.at) for seat in progress.seats), *_synthesis_row(progress))
    controls: tuple[Control, ...] = ("stop",)
    if progress.ended:
        again = progress.team == "panel" and (progress.unheard or progress.synthesis.written is None)
        controls = ("retry",) if again else ()
    return Board(
        progress.topic or title,
        rows,
        note or _note(progress),
        bool(progress.ended),
        run_id,
        controls if run_id else (),
    )


def _row(seat: SeatProgress, at: datetime | None) -> BoardRow:
    states: dict[str, RowState] = {"answered": "done"}
    state: RowState = states.get(seat.state, seat.state)  # type: ignore[arg-type]
    seconds = (at - seat.began).total_seconds() if seat.began and at else None
    if seat.answer is not None:
        return BoardRow(seat.seat.title, state, seat.answer.headline, seat.answer.model, seat.answer.seconds)
    if seat.failure is not None:
        return BoardRow(seat.seat.title, state, reason(seat.failure), seat.seat.model, seat.failure.seconds)
    return BoardRow(seat.seat.title, state, "", seat.seat.model, seconds)


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
            return (Post(f"expert/{event.perspective}", _answer(event, progress)),)
        case SynthesisWritten():
            return (Post("synthesis", _synthesis(event.synthesis, progress, round_)),)
        case SynthesisFailed() if progress.answered:
            return (Post("synthesis", _no_synthesis(event, progress)),)
        case RunFinished() | RunStopped():
            return (Post("roster", _roster(progress, round_.receipt)),)
        case _:
            return ()


def _answer(event: ExpertAnswered, progress: Progress) -> Doc:
    answer = event.answer
    title = f"{progress.title(event.perspective)}: {answer.headline}"
    late: list[Block] = [Markdown("*Late: the synthesis was written without this answer.*")] if event.late else []
    text, files = _clipped(answer.analysis, f"{event.perspective}.md")
    blocks: list[Block] = [*late, Markdown(text)]
    if answer.key_points:
        blocks.append(Markdown(_bullets(answer.key_points)))
    if answer.recommendation:
        blocks.append(Markdown(f"**Recommendation:** {answer.recommendation}"))
    if progress.team == "panel":
        blocks.append(Markdown(f"*{answer.model}, {answer.seconds:.0f} s, own confidence {answer.confidence:.0%}*"))
    return Doc(title, tuple(blocks), files=files)


def _synthesis(synthesis: Synthesis, progress: Progress, round_: Round) -> Doc:
    summary, files = _clipped(synthesis.summary, "synthesis.md")
    blocks: list[Block] = [Markdown(summary)]
    if synthesis.recommendation:
        blocks.append(Markdown(f"**Recommendation:** {synthesis.recommendation}"))
    if synthesis.agreements:
        blocks.append(Markdown(f"**Agreed**\n\n{_bullets(synthesis.agreements)}"))
    if synthesis.disagreements:
        blocks.append(_disagreements(synthesis, progress))
    blocks.append(Markdown(f"*{synthesis.model}, {synthesis.seconds:.0f} s*"))
    title = "Answer" if progress.team == "research" else "Synthesis"
    if round_.number > 1:
        title = f"{title} v{round_.number}"
    if synthesis.stand_in:
        title = f"{title} by a stand-in: {progress.synthesiser} failed, {synthesis.model} wrote it"
    if round_.number > 1:
        added = [progress.title(key) for key in synthesis.heard if key not in round_.heard_before]
        news = f"added {', '.join(added)}" if added else "written anew"
        title = f"{title}; {news}" if synthesis.stand_in else f"{title}: {news}"
    return Doc(title, tuple(blocks), "success", files)


def _disagreements(synthesis: Synthesis, progress: Progress) -> Fold:
    rows = tuple(
        (
            item.claim,
            "; ".join(f"{progress.title(position.perspective)}: {position.says}" for position in item.positions),
            item.would_settle,
        )
        for item in synthesis.disagreements
    )
    return Fold("Where they disagree", (Table(("Claim", "Who says what", "What would settle it"), rows),))


def _no_synthesis(event: SynthesisFailed, progress: Progress) -> Doc:
    sentence = (
        event.sentence if event.kind is None else f"the synthesis failed: {event.sentence}{_tries(event.attempts)}"
    )
    standing = "; the answers above stand for themselves" if progress.team == "panel" else ""
    return Doc("No synthesis", (Markdown(f"{_capital(sentence)}{standing}."),), "warning")


def _roster(progress: Progress, receipt: RunReceipt | None) -> Doc:
    heard, seats = len(progress.answered), len(progress.seats)
    if not heard and progress.ended == "finished":
        lines = [_all_failed(progress), receipt_line(receipt) if receipt else ""]
        return Doc("Nobody answered", tuple(Markdown(line) for line in lines if line), "error")
    lines = [roster_line(progress)]
    if progress.team == "panel" and seats:
        confidence = panel_confidence([answer.confidence for answer in progress.answered], seats)
        lines.append(f"Confidence over all {seats} seats {confidence:.0%}; a seat that was not heard counts as none.")
    if any(failure.kind is FailureKind.TIMED_OUT for failure in progress.failed):
        lines.append("Whoever needed longest is not in it: this leans towards quick answers.")
    if progress.failed:
        lines.append("`/panel retry` asks those again that failed." if progress.team == "panel" else "")
    if receipt is not None:
        lines.append(receipt_line(receipt))
    tone: Tone = "warning" if progress.failed or progress.ended == "stopped" else "success"
    title = "Stopped" if progress.ended == "stopped" else "Done"
    return Doc(title, tuple(Markdown(line) for line in lines if line), tone)


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
        return f"{_capital(why)}. It was the same for all {len(progress.failed)} that were asked."
    return _bullets(f"{', '.join(titles)}: {why}" for why, titles in reasons.items())


def _clipped(text: str, name: str) -> tuple[str, tuple[OutFile, ...]]:
    if len(text) <= SHOWN:
        return text, ()
    note = f"*… {len(text) - SHOWN:,} more characters in {name}*"
    return f"{text[:SHOWN].rstrip()}\n\n{note}", (OutFile(name, text),)


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _tries(attempts: int) -> str:
    return f", {attempts} tries" if attempts > 1 else ""


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def root(asked: str, status: Sequence[str]) -> Doc:
    """The first post of a thread: what was asked, and which models are asked."""
    return Doc(asked, tuple(Markdown(line) for line in status))


def problem(sentence: str) -> Doc:
    """One sentence about what was wrong and what to do next."""
    return Doc(f"{_capital(sentence)}.", tone="error")


def broke(run_id: str) -> Doc:
    """The last word of a run that hit a bug of ours."""
    text = f"Something went wrong in the bot itself; the log says what (run {run_id})."
    return Doc("The run broke", (Markdown(text),), "error")


PAUSED = "paused: the bot is being restarted"


def paused() -> Doc:
    """The process ends in good order and the run goes on later."""
    return Doc("Paused, will resume", (Markdown("The bot is being restarted. What was answered is kept."),), "warning")


def resumed(restarted: bool) -> Doc:
    """The run goes on, after a restart or after its database had refused."""
    why = "The bot was restarted." if restarted else "The bot could not write to its database for a while."
    return Doc("Resumed", (Markdown(f"{why} Who had answered is not asked again."),))


def record_lost(run_id: str) -> Doc:
    """The run cannot go on, for what it had recorded is not there."""
    text = f"What run {run_id} had recorded is not in the database any more, so it cannot go on. Ask again."
    return Doc("The run was lost", (Markdown(text),), "error")


def quarantined(run_id: str, crashes: int) -> Doc:
    """The run is left alone, for it ended the process each time it was taken up."""
    text = f"The bot crashed {crashes} times while it worked on this, so it is left alone. An admin can look at run"
    return Doc(
        "Given up", (Markdown(f"{text} {run_id} with `panelist runs show`; ask again in other words."),), "error"
    )


def is_lost(error: SendError | None) -> bool:
    """Whether an error speaks against the whole thread: nothing more needs to be sent to it."""
    return isinstance(error, Gone | PermissionMissing)


def thread_lost(error: SendError, topic: str) -> str:
    """Why a run's thread shows no more of it."""
    match error:
        case PermissionMissing():
            return f"the answers to “{topic}” could not be shown: {error.what}; {error.fix}"
        case _:
            return f"the thread of “{topic}” is gone, so its answers could not be shown; panelist runs show has them"


def unshown(doc: Doc, error: SendError | None) -> Doc:
    """In place of a post that the platform did not take."""
    match error:
        case TooLarge():
            why = f"it is longer than the {error.limit:,} characters that fit here"
        case Rejected():
            why = "the platform refused it"
        case _:
            why = "the platform did not take it in time"
    text = f"{why}. `panelist runs show` has the whole text."
    return Doc(f"Not shown: {doc.title[:80]}", (Markdown(_capital(text)),), "warning")


def busy(position: int, in_flight: int) -> Doc:
    """The run is safe and waits for its turn."""
    text = f"{in_flight} runs are under way. Yours is number {position} in line and begins by itself."
    return Doc(f"Busy, position {position}", (Markdown(text),))


def over_quota(over: OverQuota) -> str:
    """Which quota is used up, and when it begins anew."""
    whose = {"person": "you have", "channel": "this channel has", "workspace": "this workspace has"}[over.whom]
    return f"{whose} had {over.limit} runs today, which is the limit; it begins anew at 00:00 UTC"


BUDGET_USED_UP = "today's budget is used up; it begins anew at 00:00 UTC"


def too_many(waiting: int) -> str:
    """As many runs wait as may."""
    return f"too much is waiting already ({waiting} runs); ask again in a few minutes"


def not_taken(why: str) -> Doc:
    """The command could not be made safe; the platform or the asker may bring it again."""
    return Doc("Not taken in", (Markdown(f"{_capital(why)}. Nothing was begun."),), "error")


def unread(attachments: Sequence[Attachment]) -> Doc:
    """Which attached files could not be read, and why."""
    return Doc("Not read", (Markdown(_bullets(f"{file.name}: {file.problem}" for file in attachments)),), "warning")


def not_opened(error: SendError) -> str:
    """Why no thread could be opened, and what to do about it."""
    match error:
        case PermissionMissing():
            return f"{error.what}; {error.fix}"
        case RateLimited():
            return f"the platform asks to wait {error.retry_after:.0f} s; ask again then"
        case _:
            return "the answer could not be posted here; ask again, or in another place"


def settings(status: Sequence[str]) -> Doc:
    """What is set in this process."""
    return Doc("Settings", (Markdown(_bullets(status)),))


def help_text(instead_of: str = "") -> Doc:
    """The commands; after a line that was none, with a word on that."""
    title = f"That is no command: {instead_of[:80]}" if instead_of else "What you can ask"
    return Doc(title, (Markdown(HELP),), "warning" if instead_of else "info")


def panel_list(catalog: Catalog) -> Doc:
    """The panels there are, and what was wrong with those that could not be read."""
    rows = tuple((panel.name, panel.description, str(len(panel.perspectives))) for panel in catalog)
    problems = tuple(Markdown(f"**Not usable:** {sentence}") for sentence in catalog.problems)
    return Doc("Panels", (Table(("Panel", "For", "Experts"), rows), *problems))
