"""What a reader is told: the board, the posts and the roster, from events alone."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.plain import board_source, doc_source
from adapters.port import Fold, Markdown, Subject
from bot import notices, render
from bot.progress import Progress
from bot.receipts import RunReceipt
from teams.catalog import load_catalog
from teams.events import (
    ExpertAnswered,
    ExpertFailed,
    ExpertStarted,
    RunFinished,
    RunStarted,
    RunStopped,
    SynthesisFailed,
    SynthesisStarted,
    SynthesisWritten,
)
from teams.model import Disagreement, ExpertFailure, ExpertResult, FailureKind, Position, Seat, Synthesis

START = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
SEATS = tuple(Seat(key, key.title(), "flash") for key in ("optimist", "contrarian", "lawyer"))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def started(team="panel", synthesiser="pro") -> RunStarted:
    return RunStarted(at(0), "run-1", team, "Open on Sundays?", "test", SEATS, 2, synthesiser)


def answered(key: str, *, late=False, **fields) -> ExpertAnswered:
    given = {"analysis": "Because.", "key_points": ("one",), "recommendation": "Do it."} | fields
    return ExpertAnswered(
        at(5), key, ExpertResult(key, f"{key} says yes", model="flash", confidence=0.6, seconds=5.0, **given), late
    )


def failed(key: str, kind=FailureKind.TIMED_OUT, sentence="timed out after 60 s", attempts=3) -> ExpertFailed:
    return ExpertFailed(at(60), key, ExpertFailure(key, kind, sentence, attempts, 60.0))


def written(stand_in=False, disagreements=()) -> SynthesisWritten:
    model = "flash" if stand_in else "pro"
    heard, missing = ("optimist", "lawyer"), ("contrarian",)
    return SynthesisWritten(
        at(70), Synthesis("All in all.", "Try.", ("cheap",), disagreements, heard, missing, model, 9.0, 0.4, stand_in)
    )


def after(*events) -> Progress:
    progress = Progress()
    for event in events:
        progress = progress.after(event)
    return progress


def said(*events) -> str:
    """All posts of these events, as plain text."""
    progress, texts = Progress(), []
    for event in events:
        progress = progress.after(event)
        texts += [doc_source(post.doc) for post in render.posts(event, progress)]
    return "\n---\n".join(texts)


END = RunFinished(at(80), ("optimist", "lawyer"), ("contrarian",), 80.0)
ONE_FAILED = (started(), answered("optimist"), failed("contrarian"), answered("lawyer"))


def test_the_roster_says_from_how_many_and_who_failed_and_why():
    progress = after(*ONE_FAILED, SynthesisStarted(at(61), "pro"), written(), END)
    assert render.roster_line(progress) == "from 2 of 3; failed: Contrarian, timed out after 60 s, 3 tries"


def test_one_try_is_not_counted_aloud():
    progress = after(started(), failed("contrarian", FailureKind.REFUSED, "the key was refused", 1))
    assert render.roster_line(progress) == "from 0 of 3; failed: Contrarian, the key was refused"


def test_fault_26_below_the_quorum_no_heading_says_synthesis_but_the_one_that_denies_it():
    text = said(
        started(),
        answered("optimist"),
        failed("contrarian"),
        failed("lawyer"),
        SynthesisFailed(at(61), None, "no synthesis: 1 of 3 experts answered and 2 are needed", 0),
        END,
    )
    assert "## No synthesis" in text
    assert "## Synthesis" not in text
    assert "optimist says yes" in text
    assert "/panel retry" in text


@pytest.mark.parametrize(
    ("events", "heading"),
    [
        ((SynthesisStarted(at(61), "pro"), written()), "## Synthesis"),
        (
            (SynthesisStarted(at(61), "flash", True), written(stand_in=True)),
            "## Synthesis by a stand-in: pro failed, flash wrote it",
        ),
        ((SynthesisFailed(at(61), FailureKind.UNAVAILABLE, "the model's server failed (500)", 3),), "## No synthesis"),
    ],
)
def test_fault_27_the_heading_says_truly_what_the_synthesis_is(events, heading):
    text = said(*ONE_FAILED, *events, END)
    headings = [line for line in text.splitlines() if line.startswith("## ") and "ynthesis" in line]
    assert headings == [heading]


def test_fault_27_a_failed_synthesis_says_why_and_that_the_answers_stand():
    text = said(
        *ONE_FAILED, SynthesisFailed(at(61), FailureKind.UNAVAILABLE, "the model's server failed (500)", 3), END
    )
    assert (
        "The synthesis failed: the model's server failed (500), 3 tries; the answers above stand for themselves."
        in text
    )


def test_fault_28_when_somebody_ran_out_of_time_the_lean_is_said():
    assert "leans towards quick answers" in said(*ONE_FAILED, written(), END)
    other = failed("contrarian", FailureKind.REFUSED, "refused", 1)
    assert "leans" not in said(started(), answered("optimist"), other, answered("lawyer"), written(), END)


def test_fault_28_the_confidence_counts_a_seat_not_heard_as_none():
    assert "Confidence over all 3 seats 40%" in said(*ONE_FAILED, written(), END)


def test_fault_30_when_all_fail_for_one_reason_there_is_one_message_with_that_reason_once():
    refused = [
        failed(seat.perspective, FailureKind.REFUSED, "the model's provider refused the key (401)", 1) for seat in SEATS
    ]
    none = SynthesisFailed(at(61), None, "no synthesis: 0 of 3 experts answered and 2 are needed", 0)
    text = said(started(), *refused, none, RunFinished(at(2), (), ("optimist", "contrarian", "lawyer"), 2.0))

    assert text.count("---") == 0
    assert text.count("refused the key") == 1
    assert "## Nobody answered" in text


def test_fault_35_a_text_over_the_limit_is_clipped_aloud_and_goes_along_whole():
    long = "word " * 40_000
    event = answered("optimist", analysis=long)
    (post,) = render.posts(event, after(started(), event))
    assert post.doc.files[0].text == long
    assert len(doc_source(post.doc)) < render.SHOWN + 1_000
    assert "more characters in optimist.md" in doc_source(post.doc)


def test_fault_36_a_late_answer_is_said_to_be_late():
    late = answered("contrarian", late=True)
    text = said(started(), answered("optimist"), answered("lawyer"), written(), late, END)
    assert "Late: the synthesis was written without this answer." in text
    assert "late, not in the synthesis: Contrarian" in text


def test_the_roster_says_how_it_ended_in_numbers():
    everybody = (*(answered(seat.perspective) for seat in SEATS), written())
    nobody = [failed(seat.perspective) for seat in SEATS]
    stopped = RunStopped(at(9), (), ("optimist", "contrarian", "lawyer"), 9.0)
    for events, title in (
        ((*ONE_FAILED, written(), END), "2 of 3 answered"),
        ((started(), *everybody, END), "3 of 3 answered"),
        ((started(), answered("optimist"), stopped), "Stopped: 1 of 3 had answered"),
        ((started(), stopped), "Stopped: 0 of 3 had answered"),
        ((started(), *nobody, END), "Nobody answered"),
    ):
        assert docs_of(*events)["roster"].title == title


def test_what_is_recommended_is_read_first_in_an_answer_and_in_the_synthesis():
    docs = docs_of(*ONE_FAILED, written(), END)
    assert docs["expert/lawyer"].blocks[:2] == (Markdown("**Recommendation:** Do it."), Markdown("Because."))
    assert docs["synthesis"].blocks[:2] == (Markdown("**Recommendation:** Try."), Markdown("All in all."))


@pytest.mark.parametrize(("recommends", "late", "lead"), [("Do it.", True, 2), ("Do it.", False, 1), ("", False, 0)])
def test_what_is_recommended_and_that_it_is_late_is_seen_without_opening_an_answer(recommends, late, lead):
    event = answered("lawyer", late=late, recommendation=recommends)
    doc = docs_of(started(), event)["expert/lawyer"]
    assert doc.lead == lead
    assert doc.blocks[lead] == Markdown("Because.")


def test_the_fold_of_disagreements_says_how_many_there_are():
    apart = Disagreement("It pays", (Position("optimist", "yes"), Position("lawyer", "no")), "the till")
    for several, title in (((apart,), "Where they disagree (1)"), ((apart, apart), "Where they disagree (2)")):
        doc = docs_of(*ONE_FAILED, written(disagreements=several), END)["synthesis"]
        assert [fold.title for fold in doc.blocks if isinstance(fold, Fold)] == [title]


def test_disagreements_are_a_table_of_claim_positions_and_what_would_settle_it():
    positions = (Position("optimist", "yes"), Position("lawyer", "no"))
    text = said(*ONE_FAILED, written(disagreements=(Disagreement("It pays", positions, "the till"),)), END)
    assert "It pays" in text
    assert "Optimist: yes; Lawyer: no" in text
    assert "the till" in text


def test_a_stopped_run_names_who_was_still_at_it():
    stopped = RunStopped(at(9), ("optimist",), ("contrarian", "lawyer"), 9.0)
    text = said(started(), *(ExpertStarted(at(0), seat.perspective) for seat in SEATS), answered("optimist"), stopped)
    assert "## Stopped: 1 of 3 had answered" in text
    assert "from 1 of 3; stopped before they answered: Contrarian, Lawyer" in text


def test_the_board_shows_every_seat_with_state_seconds_model_and_reason():
    board = render.board(after(started(), ExpertStarted(at(0), "lawyer"), answered("optimist"), failed("contrarian")))
    rows = {row.label: row for row in board.rows}
    assert (rows["Optimist"].state, rows["Optimist"].seconds) == ("done", 5.0)
    assert (rows["Contrarian"].state, rows["Contrarian"].detail) == ("failed", "timed out after 60 s, 3 tries")
    assert (rows["Lawyer"].state, rows["Lawyer"].seconds, rows["Lawyer"].model) == ("running", 60.0, "flash")
    assert rows["Synthesis"].state == "queued"
    assert not board.finished


def test_nothing_on_a_finished_board_still_runs():
    ends = (RunStopped(at(9), (), (), 9.0), RunFinished(at(9), (), (), 9.0))
    for end in ends:
        progress = after(
            started(), *(ExpertStarted(at(0), seat.perspective) for seat in SEATS), SynthesisStarted(at(5), "pro"), end
        )
        board = render.board(progress if end is ends[0] else after(started(), end))
        assert not [row for row in board.rows if row.state == "running"]
        assert board.finished
        assert board_source(board)


def test_a_retry_says_its_answers_once_and_its_synthesis_anew():
    keys = [render.post_key("run-1", "expert/lawyer", round_) for round_ in (1, 2)]
    assert keys == ["run-1/expert/lawyer"] * 2
    assert render.post_key("run-1", "synthesis", 1) != render.post_key("run-1", "synthesis", 2)
    progress = after(*ONE_FAILED, written())
    (post,) = render.posts(written(), progress, render.Round(2, ("optimist",)))
    assert post.doc.title == "Synthesis v2: added Lawyer"


def test_a_retry_that_adds_nobody_says_that_it_was_written_anew():
    progress = after(*ONE_FAILED, written(stand_in=True))
    (post,) = render.posts(written(stand_in=True), progress, render.Round(3, ("optimist", "lawyer")))
    assert post.doc.title == "Synthesis v3 by a stand-in: pro failed, flash wrote it; written anew"


@pytest.mark.parametrize(
    ("receipt", "line"),
    [
        (RunReceipt(7, 5120, 3400, 0.0213, 0.0213), "Receipt: 7 model calls, 5,120 tokens in and 3,400 out, $0.0213."),
        (RunReceipt(1, 10, 5, None, 0.1, 0), "Receipt: 1 model call, 10 tokens in and 5 out, cost unknown."),
        (RunReceipt(3, 0, 0, 0.0, 0.2, 2), "Receipt: 3 model calls, 0 tokens in and 0 out (2 told no usage), $0.0000."),
    ],
)
def test_fault_45_the_receipt_says_what_is_known_and_what_is_not(receipt, line):
    assert render.receipt_line(receipt) == line


def test_the_controls_of_a_board_are_what_can_be_done_to_the_run_now():
    assert render.board(after(started()), "run-1").controls == ("stop",)
    assert render.board(after(*ONE_FAILED, END), "run-1").controls == ("retry",)
    everybody = (started(), *(answered(seat.perspective) for seat in SEATS), written(), END)
    assert render.board(after(*everybody), "run-1").controls == ()


def test_the_list_of_panels_names_each_with_its_purpose():
    text = doc_source(notices.panel_list(load_catalog(None)))
    for name in ("decision", "engineering", "marketing", "product"):
        assert name in text


def docs_of(*events, asker="U1"):
    """All posts of these events by part."""
    progress, found = Progress(), {}
    for event in events:
        progress = progress.after(event)
        found |= {post.part: post.doc for post in render.posts(event, progress, render.Round(asker=asker))}
    return found


def test_an_answer_is_folded_and_it_and_the_synthesis_can_be_rated():
    docs = docs_of(*ONE_FAILED, written(), END)
    answer, synthesis = docs["expert/lawyer"], docs["synthesis"]
    assert (answer.folded, answer.subject, answer.controls) == (True, Subject("run-1", "expert/lawyer"), ("rate",))
    assert (synthesis.folded, synthesis.subject, synthesis.controls) == (
        False,
        Subject("run-1", "synthesis"),
        ("rate",),
    )


def test_the_roster_alone_of_a_runs_posts_alerts_the_asker():
    docs = docs_of(*ONE_FAILED, written(), END)
    assert {part: doc.mention for part, doc in docs.items() if doc.mention} == {"roster": "U1"}


def test_the_roster_can_be_retried_exactly_when_the_board_can():
    everybody = (started(), *(answered(seat.perspective) for seat in SEATS), written(), END)
    stopped = (started(), answered("lawyer"), RunStopped(at(9), ("lawyer",), ("optimist", "contrarian"), 9.0))
    research = (started("research"), failed("lawyer"), END)
    for events, controls in (((*ONE_FAILED, END), ("retry",)), (everybody, ()), (stopped, ("retry",)), (research, ())):
        roster = docs_of(*events)["roster"]
        assert roster.controls == render.board(after(*events), "run-1").controls == controls
        assert roster.subject == Subject("run-1")


def test_a_synthesis_that_was_not_written_cannot_be_rated():
    none = SynthesisFailed(at(61), FailureKind.UNAVAILABLE, "the model's server failed (500)", 3)
    assert docs_of(*ONE_FAILED, none, END)["synthesis"].controls == ()


def test_the_board_carries_the_root_that_the_thread_begins_with():
    root = notices.root("Open?", ("experts: flash",), "U1")
    assert root.mention == "U1"
    assert render.board(after(started()), "run-1", root=root).root == root
