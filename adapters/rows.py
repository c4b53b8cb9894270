"""A board's rows as lines of text within a limit, and the marks of states and tones. Pure; knows no platform."""

from collections.abc import Callable, Iterable, Iterator

from adapters.markdown import size
from adapters.port import BoardRow, RowState, Tone

TONES: dict[Tone, str] = {"info": "", "success": "", "warning": "⚠ ", "error": "✖ "}
"""What a title begins with: a colour alone says nothing to who cannot see it."""

MARKS: dict[RowState, str] = {
    "queued": "·",
    "running": "⏳",
    "done": "✅",
    "late": "⏰",
    "failed": "❌",
    "stopped": "⏹",
}

_DETAILS = (2_000, 1_000, 700, 500, 350, 250, 180, 120, 80, 50, 30, 0)
_MORE = 100


def state_of(row: BoardRow) -> str:
    """A row's state in words: `done in 12 s`."""
    if row.seconds is None or row.state == "queued" or (row.state == "failed" and row.detail):
        return row.state
    word = {"done": "in ", "running": ""}.get(row.state, "after ")
    return f"{row.state} {word}{row.seconds:.0f} s"


def lines_within(rows: tuple[BoardRow, ...], most: int, line: Callable[[BoardRow, int], str]) -> list[str]:
    """A line for each row, within `most` characters over all of them with three around each.

    `line` renders a row with so many characters of its detail; details are shortened evenly. Rows for which there is no
    room even without them are counted in a last line.
    """
    lines: list[str] = []
    for longest in _DETAILS:
        lines = [line(row, longest) for row in rows]
        if sum(size(each) + 3 for each in lines) <= most:
            return lines
    shown = list(_as_many(lines, most - _MORE))
    return [*shown, f"… and {len(rows) - len(shown)} more"]


def _as_many(lines: Iterable[str], most: int) -> Iterator[str]:
    for line in lines:
        most -= size(line) + 3
        if most < 0:
            return
        yield line
