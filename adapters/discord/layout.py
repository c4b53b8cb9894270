"""Documents and boards as Discord messages: inert, whole, and within every limit. Pure; knows no network.

Discord cannot fold, so a fold is its title in bold and then its blocks.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

from adapters.discord.controls import Button, buttons_of
from adapters.discord.marks import MOST_MESSAGES
from adapters.discord.text import bold_line, inert, inert_line
from adapters.markdown import fitting, paragraphs, parts, size
from adapters.plain import block_source, doc_source
from adapters.port import Block, Board, BoardRow, Doc, Fold, OutFile, Subject, Tone
from adapters.rows import MARKS, TONES, lines_within, state_of
from adapters.safety import one_line

MESSAGE_TEXT = 4_000
"""Characters of all text displays of a message (Discord's page "Component Reference")."""
MESSAGE_FILES = 10
"""Files of a message (Discord's page "Create Message")."""
MESSAGE_BUTTONS = 5
"""Buttons of an action row (Discord's page "Component Reference")."""

_FULL = 3_900  # whatever else Discord may count
_BODY = 3_500  # what is left for one piece beside a title and a mention
_TITLE, _BOARD_TITLE, _STATUS, _NOTE = 200, 1_200, 500, 300
_LABEL, _MODEL = 80, 40
_FILE_NAME = 80

_ACCENTS: dict[Tone, int | None] = {"info": None, "success": 0x3BA55D, "warning": 0xFAA61A, "error": 0xED4245}
_USER = re.compile(r"[1-9][0-9]{0,19}")


@dataclass(frozen=True, slots=True)
class Message:
    """One native message. `texts` are inert and within the limit together, `accent` is the colour of the container they
    stand in, if they do. `mention` is the id of the one person who is alerted, as it stands in a text."""

    texts: tuple[str, ...]
    accent: int | None = None
    buttons: tuple[Button, ...] = ()
    files: tuple[OutFile, ...] = ()
    mention: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of text that is not cut. One that `leads` stands with what comes after it; `apart` is an empty line
    before it. `alerts` is the id of the person whom it is the mention of."""

    text: str
    leads: bool = False
    apart: bool = True
    alerts: str = ""


def doc_messages(doc: Doc, *, alone: bool = False) -> tuple[Message, ...]:
    """The native messages of one document, first to last, ten at the most: if it is longer, the last says in which file
    the whole text is. The mention is below the title, files and buttons are in the last. `alone`: it is told where one
    person asks alone."""
    pieces = chain(_head(doc), _body(doc.blocks))
    packed = list(islice(_packed(pieces), MOST_MESSAGES + 1)) or [[_Piece("…")]]
    files = doc.files
    if len(packed) > MOST_MESSAGES:
        whole = OutFile(_file_name(f"{doc.title[:_FILE_NAME].lower() or 'answer'}.md"), doc_source(doc))
        packed = [*packed[: MOST_MESSAGES - 1], _ended(packed[MOST_MESSAGES - 1], whole)]
        files = (whole, *files)
    messages = [
        Message(
            (_joined(pieces),), _ACCENTS[doc.tone], mention=next((piece.alerts for piece in pieces if piece.alerts), "")
        )
        for pieces in packed
    ]
    buttons = buttons_of(doc.controls, doc.subject, alone=alone)[:MESSAGE_BUTTONS]
    messages[-1] = replace(messages[-1], buttons=buttons, files=_attached(files))
    return tuple(messages)


def board_message(board: Board, notice: str = "") -> Message:
    """The whole board as one message, with the root above it and a `notice` below. Details are shortened evenly where
    they are too long, and so is a very long topic: the thread has answers whole, and the record all of it."""
    root = board.root or Doc(board.title)
    title = TONES[root.tone] + one_line(root.title or board.title)
    above = [_heading(title)] if title.strip() else []
    if mention := _mention(root.mention):
        above.append(f"-# Asked by {mention}" if _user(root.mention) else f"-# {mention}")
    status = "\n".join(block_source(block) for block in root.blocks)
    above.append(fitting(status, _STATUS, _small))
    below = [fitting(said, _NOTE, _small) for said in (board.note, notice)]
    left = _FULL - sum(size(text) + 1 for text in (*above, *below))
    rows = lines_within(board.rows, left, _row)
    texts = ("\n".join(filter(None, lines)) for lines in (above, rows, below))
    return Message(
        tuple(filter(None, texts)) or ("…",),
        _ACCENTS[root.tone],
        buttons_of(board.controls, Subject(board.run))[:MESSAGE_BUTTONS],
        mention=_user(root.mention),
    )


def without_files(message: Message) -> Message:
    """The message where no files may be attached, with a word on that in their place."""
    count, names = len(message.files), ", ".join(f"`{file.name}`" for file in message.files)
    for missing in (f"{names} {'is' if count == 1 else 'are'}", "the file is" if count == 1 else f"{count} files are"):
        note = f"-# Attach Files is missing, so {missing} not here; `panelist runs show` has it"
        if size(text_of(message)) + 1 + size(note) <= MESSAGE_TEXT:
            break
    return replace(message, texts=(*message.texts, note), files=())


def text_of(message: Message) -> str:
    """All that a person reads of a message, its buttons and files apart."""
    return "\n".join(message.texts)


def _head(doc: Doc) -> Iterator[_Piece]:
    """The title, and the one whom the document alerts."""
    title = TONES[doc.tone] + one_line(doc.title) if doc.title.strip() else ""
    if title and size(inert_line(title)) <= _TITLE:
        yield _Piece(_heading(title), leads=True)
    else:
        for _, shown in parts(title, _BODY, bold_line):
            yield _Piece(shown, leads=True, apart=False)
    if mention := _mention(doc.mention):
        yield _Piece(mention, leads=True, apart=False, alerts=_user(doc.mention))


def _heading(title: str) -> str:
    """A title as a heading, or in bold where that would fill a phone's screen with large letters."""
    shown = inert_line(title)
    return f"### {shown}" if size(shown) <= _TITLE else fitting(title, _BOARD_TITLE, bold_line)


def _body(blocks: Iterable[Block]) -> Iterator[_Piece]:
    for block in blocks:
        if isinstance(block, Fold):
            for _, shown in parts(one_line(block.title), _BODY, bold_line):
                yield _Piece(shown, leads=True)
            for number, each in enumerate(block.blocks):
                yield from _texts(block_source(each), apart=number > 0)
        else:
            yield from _texts(block_source(block))


def _texts(source: str, *, apart: bool = True) -> Iterator[_Piece]:
    for paragraph, below_blank in paragraphs(source):
        fits = len(paragraph) <= _FULL and size(inert(paragraph)) <= _FULL
        for _, shown in parts(paragraph, _FULL if fits else _BODY, inert):
            yield _Piece(shown, apart=apart or below_blank)
            apart = False


def _packed(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Fill messages in order, each with as many pieces as it takes; none ends with what leads the next piece."""
    message: list[_Piece] = []
    used = 0
    for piece in pieces:
        if message and used + 2 + size(piece.text) > _FULL:
            ends = len(message)
            while ends and message[ends - 1].leads:
                ends -= 1
            if not ends or size(_joined([*message[ends:], piece])) > _FULL:
                ends = len(message)
            yield message[:ends]
            message = message[ends:]
            used = size(_joined(message))
        message.append(piece)
        used += 2 + size(piece.text)
    if message:
        yield message


def _joined(pieces: list[_Piece]) -> str:
    said = ""
    for number, piece in enumerate(pieces):
        tight = not piece.apart or (number > 0 and pieces[number - 1].leads)
        said += ("" if not number else "\n" if tight else "\n\n") + piece.text
    return said


def _ended(pieces: list[_Piece], whole: OutFile) -> list[_Piece]:
    """The last message of a document that is too long for messages: it says where the rest is."""
    kept = list(pieces)
    note = _Piece(f"-# … and more: the whole text, {len(whole.text):,} characters, is in {whole.name}")
    while size(_joined([*kept, note])) > _FULL:
        kept.pop()
    return [*kept, note]


def _attached(files: tuple[OutFile, ...]) -> tuple[OutFile, ...]:
    """Files under names that Discord keeps as they are, no name twice; more than a message takes are put together."""
    if len(files) > MESSAGE_FILES:
        more = "\n\n".join(f"# {file.name}\n\n{file.text}" for file in files[MESSAGE_FILES - 1 :])
        files = (*files[: MESSAGE_FILES - 1], OutFile("more-files.md", more))
    named: dict[str, OutFile] = {}
    for file in files:
        name = wanted = _file_name(file.name)
        while name in named:
            name = f"{len(named)}-{wanted}"
        named[name] = OutFile(name, file.text)
    return tuple(named.values())


def _file_name(name: str) -> str:
    stem, _, kind = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.").rpartition(".")
    return f"{(stem or 'text')[:_FILE_NAME].strip('-.')}.{kind[:10] or 'md'}"


def _user(mention: str) -> str:
    return mention if _USER.fullmatch(mention) else ""


def _mention(user: str) -> str:
    """The one live token there is. What is no user's id is shown as text."""
    return f"<@{user}>" if _user(user) else fitting(one_line(user), _TITLE, inert_line)


def _small(text: str) -> str:
    return "\n".join(f"-# {shown}" for line in text.splitlines() if (shown := inert_line(line)))


def _row(row: BoardRow, longest: int) -> str:
    """One row: `✅ **Economist** done in 12 s (m-1): headline`."""
    label, model = one_line(row.label) or "…", one_line(row.model)
    said = f"{MARKS[row.state]} {fitting(label, _LABEL, bold_line)} {state_of(row)}"
    if model and row.state != "queued":
        said += f" ({fitting(model, _MODEL, inert_line)})"
    detail = one_line(row.detail)
    return f"{said}: {fitting(detail, longest, inert_line)}" if detail and longest else said
