from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.messages.chunk import Chunk

from adapters.markdown import size
from adapters.port import Board, BoardRow, RowState
from adapters.slack.tasks import Plan, Task, chunks, closed, plan_of
from tests.adapters.slack.test_slack_text import SHORT_LINE, hidden, live_in_markdown, live_in_mrkdwn, tokens

STATES: list[RowState] = ["queued", "running", "done", "late", "failed", "stopped"]
ROWS = st.builds(BoardRow, SHORT_LINE, st.sampled_from(STATES), SHORT_LINE, seconds=st.sampled_from([None, 12.4]))


def boards(rows: int) -> st.SearchStrategy[Board]:
    return st.builds(Board, SHORT_LINE, st.tuples(*[ROWS] * rows), SHORT_LINE)


def test_every_row_is_a_task() -> None:
    board = Board(
        "Should we?",
        (
            BoardRow("Economist", "done", "headline", "m", 12.0),
            BoardRow("Contrarian", "failed", "timed out after 60 s", "m", 60.0),
            BoardRow("Critic", "running", seconds=7.0),
            BoardRow("Lawyer", "queued"),
            BoardRow("Writer", "late", "too slow", seconds=99.0),
            BoardRow("Editor", "stopped"),
        ),
        "1 of 6 answered",
    )
    assert plan_of(board) == Plan(
        "Should we?: 1 of 6 answered",
        (
            Task("row-0", "Economist", "complete", "done after 12 s: headline"),
            Task("row-1", "Contrarian", "error", "timed out after 60 s"),
            Task("row-2", "Critic", "in_progress"),
            Task("row-3", "Lawyer", "pending"),
            Task("row-4", "Writer", "complete", "late after 99 s: too slow"),
            Task("row-5", "Editor", "error", "stopped"),
        ),
    )


def test_a_stream_begins_with_everything_and_goes_on_with_what_changed() -> None:
    before = Plan("Title", (Task("row-0", "Critic", "in_progress"), Task("row-1", "Lawyer", "pending")))
    now = Plan("Title", (Task("row-0", "Critic", "complete", "headline"), Task("row-1", "Lawyer", "pending")))
    assert chunks(None, before) == [
        {"type": "plan_update", "title": "Title"},
        {"type": "task_update", "id": "row-0", "title": "Critic", "status": "in_progress"},
        {"type": "task_update", "id": "row-1", "title": "Lawyer", "status": "pending"},
    ]
    assert chunks(before, now) == [
        {"type": "task_update", "id": "row-0", "title": "Critic", "status": "complete", "details": "headline"}
    ]
    assert chunks(now, now) == []
    assert chunks(now, before)[0]["details"] == ""


def test_no_task_is_left_in_progress_when_a_stream_ends() -> None:
    plan = Plan("T", (Task("a", "A", "in_progress"), Task("b", "B", "complete", "x"), Task("c", "C", "pending")))
    assert closed(plan) == [
        {"type": "task_update", "id": "a", "title": "A", "status": "complete", "details": "goes on below"},
        {"type": "task_update", "id": "c", "title": "C", "status": "complete", "details": "goes on below"},
    ]


@settings(max_examples=1000, deadline=None)
@given(boards(2), boards(2))
def test_fault_51_nothing_in_a_stream_is_live_and_all_of_it_fits(before: Board, now: Board) -> None:
    told = [*chunks(None, plan_of(before)), *chunks(plan_of(before), plan_of(now)), *closed(plan_of(now))]
    for chunk in told:
        assert Chunk.parse(chunk) is not None
        for name in ("title", "details"):
            text = chunk.get(name, "")
            assert tokens(text) == []
            assert live_in_markdown(text) == []
            assert live_in_mrkdwn(text) == []
            assert hidden(text) == []
            assert "\n" not in text
        assert 0 < size(chunk["title"]) <= 150
        assert size(chunk.get("details", "")) <= 256


@settings(max_examples=1000, deadline=None)
@given(st.lists(boards(1), min_size=1, max_size=3))
def test_the_chunks_put_together_are_the_newest_plan(states: list[Board]) -> None:
    title, tasks, before = "", {}, None
    for board in states:
        now = plan_of(board)
        for chunk in chunks(before, now):
            if chunk["type"] == "plan_update":
                title = chunk["title"]
            else:
                tasks[chunk["id"]] = tasks.get(chunk["id"], {}) | chunk
        before = now
        assert title == now.title
        for task in now.tasks:
            shown = tasks[task.id]
            assert (shown["title"], shown["status"], shown.get("details", "")) == (
                task.title,
                task.status,
                task.details,
            )
