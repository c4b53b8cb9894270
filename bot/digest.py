"""A run in one document: for places that take a few posts only. Pure; knows no platform."""

import sys
from dataclasses import replace

from adapters.plain import doc_source
from adapters.port import Block, Doc, Fold, Markdown, OutFile
from bot.progress import Progress
from bot.render import FIRST, Post, Round, answer_doc, clipped, no_synthesis_doc, roster_doc, synthesis_doc
from teams.events import RunEvent, RunFinished, RunStopped

SHOWN = 5_000
"""Characters of a summary that are shown. Discord takes five messages of 4,000 characters where the bot is a guest; the
headlines, the disagreements and one more notice have to fit beside it."""


def posts(event: RunEvent, progress: Progress, round_: Round = FIRST) -> tuple[Post, ...]:
    """The one post that a run makes, at its end: its synthesis, the answers' headlines, who was heard and who not, and
    a file with all of it."""
    return (Post("roster", _digest(progress, round_)),) if isinstance(event, RunFinished | RunStopped) else ()


def _digest(progress: Progress, round_: Round) -> Doc:
    file = f"{progress.team}.md"
    roster, written, failure = roster_doc(progress, round_), progress.synthesis.written, progress.synthesis.failure
    blocks: list[Block] = []
    title = roster.title
    if written is not None:
        synthesis = synthesis_doc(written, progress, round_, shown=SHOWN, file=file)
        title, blocks = synthesis.title, [block for block in synthesis.blocks if not isinstance(block, Fold)]
    elif failure is not None and progress.answered:
        blocks += no_synthesis_doc(failure, progress).blocks
    if progress.answered:
        names = [f"- **{progress.title(answer.perspective)}**: {answer.headline}" for answer in progress.answered]
        headlines, _ = clipped("\n".join(names), file, SHOWN)
        blocks.append(Markdown(headlines))
    whole = _whole(progress, round_)
    files = (OutFile(file, whole),) if progress.answered else ()
    return replace(roster, title=title, blocks=(*blocks, *roster.blocks), files=files)


def _whole(progress: Progress, round_: Round) -> str:
    """Everything that a thread would have shown."""
    docs = [
        answer_doc(seat.answer, progress, late=seat.state == "late", shown=sys.maxsize)
        for seat in progress.seats
        if seat.answer is not None
    ]
    if progress.synthesis.written is not None:
        docs.insert(0, synthesis_doc(progress.synthesis.written, progress, round_, shown=sys.maxsize))
    topic = Doc("What was asked", (Markdown(progress.topic),))
    return "\n\n".join(doc_source(doc) for doc in (topic, *docs, roster_doc(progress, round_))) + "\n"
