"""Documents and boards as Slack messages: inert, whole, and within every limit. Pure; knows no network.

`rich` uses blocks that only newer workspaces take (markdown, container, context_actions); `plain` is for those that
refuse them.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from adapters.markdown import clipped, fitting, parts, size
from adapters.plain import block_source, row_source
from adapters.port import Block, Board, BoardRow, Doc, Fold, Subject
from adapters.rows import MARKS, TONES, lines_within, state_of
from adapters.safety import one_line
from adapters.slack.controls import control_blocks
from adapters.slack.text import inert, inert_line, mrkdwn, mrkdwn_line, plain

MESSAGE_TEXT = 3_900
"""Characters of a message's top-level text: `chat.update` takes 4,000 (its page, `msg_too_long`)."""
MESSAGE_BLOCKS = 50
"""Blocks of a message (Slack's page "Blocks"). The children of a container are counted too, to be sure."""
MESSAGE_TOTAL = 12_500
"""Characters over all blocks. Undocumented: `msg_blocks_too_long` comes at about 13,200 (slackapi/bolt-js#2509)."""
MARKDOWN_TOTAL = 12_000
"""Characters over all markdown blocks of a message (Slack's page "Markdown block")."""
SECTION_TEXT = 2_900
"""Characters of a section's or context element's text, which takes 3,000 (Slack's pages "Section block", "Text
object")."""
HEADER_TEXT = 150
"""Characters of a header, and of a container's title (Slack's pages "Header block", "Container block")."""
CONTAINER_BLOCKS = 10
"""Children of a container (Slack's page "Container block"). It takes sections, but neither markdown blocks nor
containers."""

BODY = 11_500
"""Characters of one markdown block or container: what is left for it beside a title, a mention and buttons."""
FOLDED_FROM = 400
"""Characters from which a folded document is folded; a shorter one is read sooner than opened."""

Style = Literal["rich", "plain"]
_Json = dict[str, Any]

_USER = re.compile(r"[UW][A-Z0-9]+")
_MORE = ", continued"
_LABEL, _NOTE, _BOARD_TITLE = 100, 600, 1_500


@dataclass(frozen=True, slots=True)
class Message:
    """One native message. `text` is for notifications and screen readers, and is what is shown without blocks."""

    text: str
    blocks: tuple[_Json, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block, and the Markdown that it was made of, each source by itself."""

    block: _Json
    sources: tuple[str, ...] = ()


def doc_messages(doc: Doc, style: Style) -> tuple[Message, ...]:
    """The native messages of one document, first to last; the mention is in the first, the controls are in the last."""
    pieces = [*_head(doc, style), *_body(doc, style)]
    pieces += [_Piece(block) for block in control_blocks(doc.controls, doc.subject, style)]
    messages = list(_packed(pieces or [_Piece(_section("…"))]))
    mention = _mention(doc.mention)
    return tuple(
        Message(_fallback(message, "" if number else mention), tuple(piece.block for piece in message))
        for number, message in enumerate(messages)
    )


def board_message(board: Board, style: Style) -> Message:
    """The whole board as one message, with the root above it. Details are shortened evenly where they are too long: the
    thread has them whole."""
    root = board.root or Doc(board.title)
    above = [*_board_title(TONES[root.tone] + (root.title or board.title), style)]
    if mention := _mention(root.mention):
        above.append(_context(f"Asked by {mention}" if _USER.fullmatch(root.mention) else mention))
    status = fitting("\n\n".join(block_source(block) for block in root.blocks), _BOARD_TITLE, mrkdwn)
    note = fitting(one_line(board.note), _NOTE, mrkdwn_line)
    above += [_context(status)] if status.strip() else []
    below = [_context(note)] if note.strip() else []
    below += control_blocks(board.controls, Subject(board.run), style)
    left = MESSAGE_TOTAL - sum(_weight(block) for block in (*above, *below))
    left = min(left, MARKDOWN_TOTAL - sum(_markdown(block) for block in above))
    rows = _rows(board.rows, left, style)
    return Message(_board_text(root.title or board.title, board), (*above, *rows, *below) or (_section("…"),))


def _head(doc: Doc, style: Style) -> list[_Piece]:
    """The title, and the one whom the document alerts."""
    title = TONES[doc.tone] + one_line(doc.title) if doc.title.strip() else ""
    pieces: list[_Piece] = []
    if _is_plain(title):
        pieces.append(_Piece(_header(title), (title,)))
    elif title:
        pieces += _texts(title if "*" in title else f"**{title}**", style)
    if mention := _mention(doc.mention):
        pieces.append(_Piece(_context(mention)))
    return pieces


def _is_plain(title: str) -> bool:
    """Whether a title can be a header, which shows no marks, and means nothing where marks are read."""
    return (
        0 < size(title) <= HEADER_TEXT
        and not set("*`") & set(title)
        and inert(title) == title == mrkdwn(title).replace("&amp;", "&")
    )


def _body(doc: Doc, style: Style) -> Iterator[_Piece]:
    folds = style == "rich" and doc.folded and sum(map(_length, doc.blocks)) > FOLDED_FROM
    for block in doc.blocks[: doc.lead] if folds else doc.blocks:
        match block:
            case Fold(title, blocks) if style == "rich":
                yield from _folded(title, blocks)
            case Fold(title, blocks):
                yield from _texts(f"**{one_line(title)}**", style)
                for each in blocks:
                    yield from _texts(block_source(each), style)
            case _:
                yield from _texts(block_source(block), style)
    if folds:
        yield from _folded("The whole answer", doc.blocks[doc.lead :])


def _length(block: Block) -> int:
    return len(block_source(block))


def _texts(source: str, style: Style) -> Iterator[_Piece]:
    match style:
        case "rich":
            for part, shown in parts(source, BODY, inert):
                yield _Piece({"type": "markdown", "text": shown}, (part,))
        case "plain":
            for part, shown in parts(source, SECTION_TEXT, mrkdwn):
                yield _Piece(_section(shown), (part,))
        case _:
            assert_never(style)


def _folded(title: str, blocks: Iterable[Block]) -> Iterator[_Piece]:
    """Containers of sections, each as full as it may be."""
    said = one_line(title) or "…"
    name = fitting(said, HEADER_TEXT - len(_MORE), plain)
    sources = [source for block in blocks for source in _sources(block)]
    if name != plain(said):
        sources.insert(0, f"**{said}**")
    children: list[_Piece] = []
    more = ""
    for child in (piece for source in sources for piece in _texts(source, "plain")):
        if len(children) == CONTAINER_BLOCKS or sum(_weight(each.block) for each in [*children, child]) > BODY:
            yield _container(name + more, said, children)
            children, more = [], _MORE
        children.append(child)
    if children:
        yield _container(name + more, said, children)


def _sources(block: Block) -> Iterator[str]:
    if isinstance(block, Fold):
        yield f"**{one_line(block.title)}**"
        for each in block.blocks:
            yield block_source(each)
    else:
        yield block_source(block)


def _packed(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Fill messages in order, each with as many blocks as it takes."""
    message: list[_Piece] = []
    for piece in pieces:
        if message and not _fits([*message, piece]):
            yield message
            message = []
        message.append(piece)
    if message:
        yield message


def _fits(message: list[_Piece]) -> bool:
    blocks = [piece.block for piece in message]
    return (
        sum(1 + len(block.get("child_blocks", ())) for block in blocks) <= MESSAGE_BLOCKS
        and sum(map(_weight, blocks)) <= MESSAGE_TOTAL
        and sum(map(_markdown, blocks)) <= MARKDOWN_TOTAL
    )


def _weight(block: object) -> int:
    """All characters that a block holds for people to read, or carries."""
    match block:
        case dict():
            return sum(_weight(value) for key, value in block.items() if key not in ("type", "action_id", "style"))
        case list() | tuple():
            return sum(map(_weight, block))
        case str():
            return size(block)
        case _:
            return 0


def _markdown(block: _Json) -> int:
    return size(block["text"]) if block["type"] == "markdown" else 0


def _fallback(message: list[_Piece], mention: str) -> str:
    """The message as text alone, as much of it as fits."""
    said: list[str] = []
    room = MESSAGE_TEXT - size(mention) - 1
    for source in (source for piece in message for source in piece.sources):
        if room < _LABEL:
            break
        said.append(fitting(source, room, mrkdwn))
        room -= size(said[-1]) + 2
    text = "\n\n".join(said).strip("\n") or "…"
    return f"{mention}\n{text}" if mention and text.startswith("```") else f"{mention} {text}".lstrip()


def _mention(user: str) -> str:
    """The one live token there is. What is no user's id is shown as text."""
    return f"<@{user}>" if _USER.fullmatch(user) else fitting(one_line(user), HEADER_TEXT, mrkdwn_line)


def _header(title: str) -> _Json:
    return {"type": "header", "text": {"type": "plain_text", "text": title}}


def _section(text: str) -> _Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}, "expand": True}


def _context(text: str) -> _Json:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def _container(title: str, source: str, children: list[_Piece]) -> _Piece:
    block = {
        "type": "container",
        "title": {"type": "plain_text", "text": title},
        "child_blocks": [child.block for child in children],
        "is_collapsible": True,
        "default_collapsed": True,
    }
    told = (source for child in children for source in child.sources)
    return _Piece(block, (f"**{clipped(source, HEADER_TEXT)}**", *told))


def _board_title(title: str, style: Style) -> list[_Json]:
    shown = one_line(title)
    if not shown or _is_plain(shown):
        return [_header(shown)] if shown else []
    text = shown if "*" in shown else f"**{clipped(shown, _BOARD_TITLE)}**"
    match style:
        case "rich":
            return [{"type": "markdown", "text": fitting(text, _BOARD_TITLE, inert_line)}]
        case "plain":
            return [_section(fitting(text, _BOARD_TITLE, mrkdwn_line))]
        case _:
            assert_never(style)


def _rows(rows: tuple[BoardRow, ...], most: int, style: Style) -> list[_Json]:
    """A line for each row, within `most` characters over all of them."""
    render = inert_line if style == "rich" else mrkdwn_line
    return _lined(lines_within(rows, most, lambda row, longest: _row(row, longest, style, render)), style)


def _lined(lines: list[str], style: Style) -> list[_Json]:
    if style == "rich":
        # Two spaces end a line in Markdown that would else be filled up with the next one.
        return [{"type": "markdown", "text": "  \n".join(lines)}] if lines else []
    sections: list[list[str]] = [[]]
    for line in lines:
        if sections[-1] and sum(size(each) + 1 for each in sections[-1]) + size(line) > SECTION_TEXT:
            sections.append([])
        sections[-1].append(line)
    return [_section("\n".join(section)) for section in sections if section]


def _row(row: BoardRow, longest: int, style: Style, render: Callable[[str], str]) -> str:
    """One row: `✅ **Economist** done in 12 s: headline`."""
    bold = "**" if style == "rich" else "*"
    said = f"{MARKS[row.state]} {bold}{fitting(one_line(row.label) or '…', _LABEL, render)}{bold} {state_of(row)}"
    detail = one_line(row.detail)
    return f"{said}: {fitting(detail, longest, render)}" if detail and longest else said


def _board_text(title: str, board: Board) -> str:
    lines = [title, *(f"{MARKS[row.state]} {row_source(row)}" for row in board.rows), board.note]
    said = "\n".join(clipped(one_line(line), 300) for line in lines if line.strip())
    return fitting(said, MESSAGE_TEXT, mrkdwn) or "…"
