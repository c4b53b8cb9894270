"""A board as Slack's own plan: a task for each row, and the chunks of a stream that say what changed."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from adapters.markdown import fitting
from adapters.port import Board, BoardRow, RowState
from adapters.safety import one_line
from adapters.slack.text import inert_line

TITLE, DETAILS = 150, 256
"""Characters of a task. Slack's page "chat.appendStream" gives no limit; 256 for details is that of an SDK for it."""

Status = Literal["pending", "in_progress", "complete", "error"]
_STATUSES: dict[RowState, Status] = {
    "queued": "pending",
    "running": "in_progress",
    "done": "complete",
    "late": "complete",
    "failed": "error",
    "stopped": "error",
}


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the plan."""

    id: str
    title: str
    status: Status
    details: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole plan at one moment."""

    title: str
    tasks: tuple[Task, ...]


def plan_of(board: Board) -> Plan:
    """The plan that a board makes. A row keeps its task by its place, as rows keep theirs."""
    title = ": ".join(part for part in (one_line(board.title), one_line(board.note)) if part)
    return Plan(_said(title, TITLE) or "…", tuple(_task(place, row) for place, row in enumerate(board.rows)))


def chunks(before: Plan | None, now: Plan) -> list[dict[str, Any]]:
    """What has to be said so that a stream that shows `before` shows `now`; everything where it shows nothing yet."""
    news: list[dict[str, Any]] = []
    if before is None or before.title != now.title:
        news.append({"type": "plan_update", "title": now.title})
    known = {task.id: task for task in before.tasks} if before else {}
    return news + [_update(task, known.get(task.id)) for task in now.tasks if known.get(task.id) != task]


def closed(plan: Plan) -> list[dict[str, Any]]:
    """What ends every task that is still open: a stream that ends with one in progress shows it as an error."""
    return [
        _update(Task(task.id, task.title, "complete", "goes on below"))
        for task in plan.tasks
        if task.status in ("pending", "in_progress")
    ]


def _task(place: int, row: BoardRow) -> Task:
    said = [row.detail] if row.detail else []
    if row.state in ("late", "stopped") or (row.seconds is not None and row.state == "done"):
        said.insert(0, row.state if row.seconds is None else f"{row.state} after {row.seconds:.0f} s")
    return Task(f"row-{place}", _said(row.label, TITLE) or "…", _STATUSES[row.state], _said(": ".join(said), DETAILS))


def _update(task: Task, before: Task | None = None) -> dict[str, Any]:
    update = {"type": "task_update", "id": task.id, "title": task.title, "status": task.status}
    # Details that are left out stay as they were.
    return update | ({"details": task.details} if task.details or (before and before.details) else {})


def _said(text: str, most: int) -> str:
    """One line that fits. What markup Slack reads in a task is not written anywhere: it is inert in either."""
    return fitting(one_line(text), most, partial(inert_line, apart=True))
