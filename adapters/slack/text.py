"""Hostile Markdown made inert for Slack: nothing in it mentions, links or hides; what is read is what was written.

Its code is as canonical as adapters/markdown.py makes it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Literal

from adapters.markdown import BULLET, HEADING, RULE, Fence, Grid, behind_quote, code_taken, segments, with_codes
from adapters.safety import one_line, visible

_Dialect = Literal["markdown", "mrkdwn"]

WIDEST_TABLE = 40
"""Columns of a table that is still shown aligned; a wider one wraps on a phone, and is shown row by row."""

_LIKE_DELIMITER = re.compile(r"[ \t>|:*+\d.)-]+")

_EVERYBODY = re.compile(r"@(?:here|channel|everyone|group)(?![^\W_])", re.IGNORECASE)
_ENTITY = re.compile(r"&(?=#[0-9xX]|[A-Za-z][A-Za-z0-9]*;|(?:lt|gt|amp|quot)(?![A-Za-z0-9]))", re.IGNORECASE)

_STRONG_EMPHASIS = re.compile(r"\*{3}(?=[^\s*])([^*]+)(?<=\S)\*{3}")
_STRONG = re.compile(r"\*\*(?=\S)([^*]+(?:\*[^*]+)*)(?<=\S)\*\*|(?<!\w)__(?=\S)([^_]+(?:_[^_]+)*)(?<=\S)__(?!\w)")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*]+)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"~~(?=\S)([^~]+)(?<=\S)~~")


def inert(markdown: str) -> str:
    """Markdown for a `markdown` block (Slack's page "Markdown block"): `<`, `>` and what begins an entity is escaped.

    Every address is shown whole in a code span and none is a link.
    """
    read = tuple(segments(visible(markdown)))
    ragged = any(isinstance(segment, str) and _may_delimit(segment) for segment in read)
    shown: list[str] = []
    for segment in read:
        match segment:
            case Fence():
                shown += [f"```{segment.language}", *(_escaped(line, "markdown") for line in segment.content), "```"]
            case Grid():
                shown += ["", *_pipes(segment), ""] if shown and shown[-1] else [*_pipes(segment), ""]
            case line:
                shown.append(_quoted(line, lambda rest: _inline(rest, "markdown", split=ragged)))
    return "\n".join(shown).strip("\n")


def inert_line(markdown: str, *, apart: bool = False) -> str:
    """The same on one line, for a name or a detail inside of Markdown that we write. With code `apart` from letters and
    digits it is inert in Slack's own markup too, for where Slack does not say what it reads."""
    return _inline(one_line(markdown), "markdown", apart=apart)


def mrkdwn(markdown: str) -> str:
    """Markdown as Slack's own markup, for `mrkdwn` objects (with `verbatim` set) and for a message's top-level text.

    `&`, `<` and `>` are escaped (Slack's page "Formatting message text"). Headings are bold lines; tables are aligned
    in a code block, or where too wide for that, shown row by row.
    """
    shown: list[str] = []
    for segment in segments(visible(markdown)):
        match segment:
            case Fence():
                shown += _code_block(segment.content)
            case Grid() if segment.width <= WIDEST_TABLE:
                shown += _code_block(segment.aligned())
            case Grid():
                shown += segment.records(mrkdwn_line, lambda head: f"*{mrkdwn_line(head)}*")
            case line:
                shown.append(_quoted(line, _mrkdwn_line))
    return "\n".join(shown).strip("\n")


def mrkdwn_line(markdown: str) -> str:
    """The same on one line, for a name or a detail."""
    return _inline(one_line(markdown), "mrkdwn")


def plain(text: str) -> str:
    """One line for a `plain_text` object, where Slack sees no markup but reads entities."""
    return _escaped(one_line(text), "markdown")


def _may_delimit(line: str) -> bool:
    """Whether any parser may see a table's second line here, in whatever list or quote."""
    return "-" in line and ("|" in line or ":" in line) and _LIKE_DELIMITER.fullmatch(line) is not None


def _pipes(grid: Grid) -> list[str]:
    """Render a table as pipes, every row as long as the longest: a screen drops cells that have no head."""
    shown = [
        "| " + " | ".join([*(_cell(cell) for cell in row), *[""] * (grid.columns - len(row))]) + " |"
        for row in grid.rows
    ]
    return [shown[0], "| " + " | ".join(["---"] * grid.columns) + " |", *shown[1:]]


def _cell(cell: str) -> str:
    return _inline(cell, "markdown", split=True).replace("|", "\\|")


def _code_block(lines: Iterable[str]) -> list[str]:
    return ["```", *(_escaped(line, "mrkdwn") for line in lines), "```"]


def _quoted(line: str, render: Callable[[str], str]) -> str:
    """Render a line behind its quote marks, which stay live: they cannot make a token without a `<`."""
    marks, rest = behind_quote(line)
    return marks + render(rest)


def _mrkdwn_line(line: str) -> str:
    if (heading := HEADING.match(line)) is not None:
        bare = line[heading.end() :].rstrip().rstrip("#").rstrip().replace("**", "").replace("__", "")
        return f"*{_inline(bare, 'mrkdwn')}*" if bare.strip() else ""
    if RULE.fullmatch(line):
        return "———"
    if (bullet := BULLET.match(line)) is not None:
        return f"{bullet[1]}• {_inline(line[bullet.end() :], 'mrkdwn')}"
    return _inline(line, "mrkdwn")


def _inline(line: str, dialect: _Dialect, *, split: bool = False, apart: bool = False) -> str:
    """One line of text with its code spans, addresses and marks."""
    text, codes = code_taken(line, _EVERYBODY, split=split)
    # What is left of links and their definitions would still lead somewhere.
    text = _styled(text) if dialect == "mrkdwn" else text.replace("](", "] (").replace("]:", "] :")
    shown = [f"`{_escaped(content, dialect)}`" for content in codes]
    return with_codes(_escaped(text, dialect), shown, apart=apart or dialect == "mrkdwn")


def _styled(text: str) -> str:
    """Markdown's marks as Slack's: `**bold**` as `*bold*`, `*italic*` as `_italic_`, `~~struck~~` as `~struck~`."""
    text = _STRONG_EMPHASIS.sub("\x01_\\1_\x01", text)
    text = _STRONG.sub(lambda strong: f"\x01{strong[1] or strong[2]}\x01", text)
    text = _EMPHASIS.sub(r"_\1_", text)
    text = _STRUCK.sub(r"~\1~", text)
    return text.replace("\x01", "*")


def _escaped(text: str, dialect: _Dialect) -> str:
    text = text.replace("&", "&amp;") if dialect == "mrkdwn" else _ENTITY.sub("&amp;", text)
    return text.replace("<", "&lt;").replace(">", "&gt;")
