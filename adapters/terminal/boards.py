"""Boards as a rich table for a terminal and as lines for a log. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from adapters.plain import row_source
from adapters.port import Board, BoardRow, RowState
from adapters.safety import one_line
from adapters.terminal.pages import inline

_LOOKS: dict[RowState, tuple[str, str, str]] = {  # glyph, glyph in ASCII, style
    "queued": ("·", ".", "dim"),
    "running": ("▸", ">", "cyan"),
    "done": ("✓", "+", "green"),
    "late": ("✓", "+", "yellow"),
    "failed": ("✗", "x", "red"),
    "stopped": ("■", "#", "yellow"),
}
_STATE_WIDTH = 9
_SECONDS_WIDTH = 6
_LABEL_WIDTH = 28
_MODEL_WIDTH = 24
_DETAIL_WIDTH = 20


@dataclass(frozen=True, slots=True)
class ShownBoard:
    """A board as it came, and when by the clock of the front end, so that running seconds can tick."""

    board: Board
    revision: int
    at: float

    def now(self, clock: float) -> Board:
        """The board with the seconds of its running rows carried on to `clock`."""
        passed = 0.0 if self.board.finished else max(0.0, clock - self.at)
        return replace(self.board, rows=tuple(_ticked(row, passed) for row in self.board.rows))


def changes(before: Board | None, after: Board) -> Iterator[str]:
    """One line per row whose state changed; a row that only begins to wait is no news. The note when it is over."""
    states = {row.label: row.state for row in before.rows} if before else {}
    for row in after.rows:
        if row.state != states.get(row.label, "queued"):
            yield row_source(row)
    if after.finished and after.note and not (before and before.finished and before.note == after.note):
        yield one_line(after.note)


class BoardTable:
    """A board drawn for the width it gets. `live`: each cell on one line, cut with an ellipsis; else all is shown."""

    def __init__(self, board: Board, *, mark: str = "", live: bool) -> None:
        self._board = board
        self._mark = mark
        self._live = live

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        title = Text.assemble((f"{self._mark} ", "dim") if self._mark else "", inline(self._board.title), style="bold")
        yield self._fitted(title)
        yield self._table(options.max_width, ascii_only=options.ascii_only)
        if self._board.note:
            yield self._fitted(Text.assemble(inline(self._board.note), style="dim"))

    def _table(self, width: int, *, ascii_only: bool) -> RenderableType:
        rows = self._board.rows
        label = min(_LABEL_WIDTH, max((cell_len(one_line(row.label)) for row in rows), default=0))
        model = min(_MODEL_WIDTH, max((cell_len(one_line(row.model)) for row in rows), default=0))
        spare = width - _STATE_WIDTH - label - _SECONDS_WIDTH - 3
        stacked = spare < _DETAIL_WIDTH  # the detail under its row, over the whole width
        with_model = model > 0 and spare - model - 1 >= _DETAIL_WIDTH
        lines: list[RenderableType] = []
        table = self._grid(label, model if with_model else 0, detail=not stacked)
        for row in rows:
            detail = inline(row.detail)
            cells = [_state(row, ascii_only), self._fitted(Text(one_line(row.label))), _seconds(row)]
            cells += [self._fitted(Text(one_line(row.model), style="dim"))] if with_model else []
            table.add_row(*cells, *([] if stacked else [self._fitted(detail)]))
            if stacked:
                lines += [table, *([self._indented(detail)] if detail else [])]
                table = self._grid(label, 0, detail=False)
        return Group(*lines) if stacked else table

    def _grid(self, label: int, model: int, *, detail: bool) -> Table:
        table = Table.grid(padding=(0, 1, 0, 0))
        table.add_column(width=_STATE_WIDTH, no_wrap=True)
        table.add_column(width=label, overflow="fold")
        table.add_column(width=_SECONDS_WIDTH, no_wrap=True, justify="right")
        if model:
            table.add_column(width=model, overflow="fold")
        if detail:
            table.add_column(ratio=1, overflow="fold")
            table.expand = True
        return table

    def _fitted(self, text: Text) -> Text:
        if self._live:
            text.no_wrap, text.overflow = True, "ellipsis"
        else:
            text.overflow = "fold"
        return text

    def _indented(self, text: Text) -> Table:
        line = Table.grid(expand=True)
        line.add_column(width=2)
        line.add_column(ratio=1)
        line.add_row("", self._fitted(text))
        return line


def _ticked(row: BoardRow, passed: float) -> BoardRow:
    if row.state != "running":
        return row
    return replace(row, seconds=(row.seconds or 0.0) + passed)


def _state(row: BoardRow, ascii_only: bool) -> Text:
    glyph, plain, style = _LOOKS[row.state]
    return Text(f"{plain if ascii_only else glyph} {row.state}", style=style)


def _seconds(row: BoardRow) -> Text:
    return Text("" if row.seconds is None else f"{row.seconds:.0f} s", style="dim")
