"""Documents and boards as plain Markdown source: for logs, pipes and files, where nothing renders it."""

from adapters.port import Board, BoardRow, Doc, Fold, Markdown, Table
from adapters.safety import one_line, visible


def doc_source(doc: Doc) -> str:
    """The whole document as inert Markdown source, without its files. Ends without a newline."""
    title = one_line(doc.title)
    blocks = [f"## {title}"] if title else []
    blocks += [block_source(block) for block in doc.blocks]
    return "\n\n".join(block for block in blocks if block)


def block_source(block: Markdown | Table | Fold) -> str:
    """One block as inert Markdown source; a fold is its title, then its content."""
    match block:
        case Markdown(text):
            return visible(text).strip("\n")
        case Table(header, rows):
            lines = [_row(header), _row(("---",) * len(header)), *map(_row, rows)]
            return "\n".join(lines)
        case Fold(title, blocks):
            return "\n\n".join([f"### {one_line(title)}", *map(block_source, blocks)])


def row_source(row: BoardRow) -> str:
    """One row of a board as a sentence: `Contrarian: failed, timed out after 60 s (3 tries)`."""
    state: str = row.state
    if row.seconds is not None and (
        row.state in ("done", "late", "stopped") or (row.state == "failed" and not row.detail)
    ):
        state = f"{row.state} after {row.seconds:.0f} s"
    said = f"{one_line(row.label)}: {state}"
    return f"{said}, {one_line(row.detail)}" if row.detail else said


def board_source(board: Board) -> str:
    """The whole board as lines: its title, a line per row, its note."""
    lines = [one_line(board.title), *map(row_source, board.rows), one_line(board.note)]
    return "\n".join(line for line in lines if line)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(one_line(cell).replace("|", "\\|") for cell in cells) + " |"
