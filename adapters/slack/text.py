"""Hostile Markdown made inert for Slack: nothing in it mentions, links or hides; what is read is what was written.

The output is canonical, so that no two parsers disagree about it: a code span is one line between single backticks, a
code block stands at the margin between lines of three, and there is no other backtick.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from adapters.safety import one_line, visible

_Dialect = Literal["markdown", "mrkdwn"]

_GRAVE = "\u02cb"
"""Stands for a backtick that is not one of ours; it looks the same."""

WIDEST_TABLE = 80
"""Columns of a table that is still shown aligned; a wider one wraps, and is shown row by row."""

# As in adapters/split.py: any indentation, quote marks and list markers may stand before a fence.
_OPENER = re.compile(r"([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,99}(?=[^`]*$)|~{3,99}(?!~))(.*)")
_CLOSER = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t]*")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#-]{1,30}")
_DELIMITER = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")
_LIKE_DELIMITER = re.compile(r"[ \t>|:*+\d.)-]+")
_QUOTE = re.compile(r"[ \t]*>[ \t>]*")

_SPAN = re.compile(r"(?<![\\`])(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_LINK = re.compile(
    r"!?\[([^\[\]]*)\]"  # [label] or ![label]
    r"\([ \t]*(<[^<>\x00]*>|[^\s()<>\x00]+(?:\([^\s()<>\x00]*\)[^\s()<>\x00]*)*)"  # (address
    r"(?:[ \t]+(\"[^\"]*\"|'[^']*'|\([^()]*\)))?[ \t]*\)"  # "title")
)
_REST = r"[^\s<>`|\"\x00]"
_TOP = (
    r"(?:[^\W\d_]{2}|com|org|net|edu|gov|mil|int|info|biz|name|pro|mobi|jobs|travel|asia|coop|museum|post|arpa|xn--[\w-]+"
    r"|academy|agency|app|art|bank|best|bio|blog|bot|build|business|buzz|cash|center|chat|church|city|click|cloud|club"
    r"|codes|coffee|community|company|computer|consulting|cool|dance|data|date|day|deals|design|dev|digital|direct"
    r"|directory|download|earth|education|email|energy|engineer|events|exchange|expert|express|family|fans|farm|finance"
    r"|fit|foo|football|forum|foundation|fun|fund|fyi|gallery|game|games|gift|global|gmbh|group|guide|guru|health|help"
    r"|home|host|hosting|house|icu|inc|ink|institute|international|kim|land|law|legal|lgbt|life|link|live|llc|loan|local"
    r"|love|ltd|market|marketing|media|men|money|mov|movie|network|new|news|ngo|nexus|ninja|ong|one|online|onion|page"
    r"|party|pay|photo|photos|pics|pictures|place|plus|press|pub|racing|realty|red|report|review|rip|rocks|run|sale"
    r"|school|science|security|services|sex|sexy|shop|show|site|social|software|solutions|space|store|stream|studio"
    r"|support|systems|team|tech|technology|tel|test|tips|today|tools|top|town|trade|trading|training|tube|university"
    r"|uno|vip|video|vote|watch|web|website|wiki|win|work|works|world|wtf|xxx|xyz|yoga|zip|zone|example|invalid"
    r"|localhost|google|amazon|apple|microsoft|youtube)"
)
_ADDRESS = re.compile(
    rf"(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]+://{_REST}+"
    r"|(?<![A-Za-z0-9])(?:mailto|javascript|vbscript|data|blob|tel|sms|tg|slack|ftp|file|magnet|bitcoin|callto|sip|geo"
    rf"|xmpp|intent|view-source|about):{_REST}+"
    rf"|(?<![A-Za-z0-9])www\.{_REST}+",
    re.IGNORECASE,
)
_DOTTED = re.compile(r"(?<![\w.+@-])[\w+@-]*+\.[\w.+@-]*+")
_HOST = re.compile(rf"\w\.{_TOP}(?![^\W_]|-)|@[\w-]+\.\w", re.IGNORECASE)
_FOLDER = re.compile(r".*\w\.[^\W\d_][^\W_]+")
_BEHIND_HOST = re.compile(rf"[:/?#]{_REST}*")
_EVERYBODY = re.compile(r"@(?:here|channel|everyone|group)(?![^\W_])", re.IGNORECASE)
_ENTITY = re.compile(r"&(?=#[0-9xX]|[A-Za-z][A-Za-z0-9]*;|(?:lt|gt|amp|quot)(?![A-Za-z0-9]))", re.IGNORECASE)

_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(?=\S)")
_RULE = re.compile(r"[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})")
_BULLET = re.compile(r"([ \t]*)[-*+][ \t]+(?=\S)")
_STRONG_EMPHASIS = re.compile(r"\*{3}(?=[^\s*])([^*]+)(?<=\S)\*{3}")
_STRONG = re.compile(r"\*\*(?=\S)([^*]+(?:\*[^*]+)*)(?<=\S)\*\*|(?<!\w)__(?=\S)([^_]+(?:_[^_]+)*)(?<=\S)__(?!\w)")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*]+)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"~~(?=\S)([^~]+)(?<=\S)~~")


@dataclass(frozen=True, slots=True)
class _Fence:
    info: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Grid:
    rows: tuple[tuple[str, ...], ...]


def inert(markdown: str) -> str:
    """Markdown for a `markdown` block (Slack's page "Markdown block"): `<`, `>` and what begins an entity is escaped.

    Every address is shown whole in a code span and none is a link.
    """
    segments = tuple(_segments(visible(markdown)))
    ragged = any(isinstance(segment, str) and _may_delimit(segment) for segment in segments)
    shown: list[str] = []
    for segment in segments:
        match segment:
            case _Fence(info, lines):
                named = info if _LANGUAGE.fullmatch(info) else ""
                content = lines if named == info else (info, *lines)
                shown += [f"```{named}", *(_code_line(line, "markdown") for line in content), "```"]
            case _Grid(rows):
                shown += ["", *_pipes(rows), ""] if shown and shown[-1] else [*_pipes(rows), ""]
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
    for segment in _segments(visible(markdown)):
        match segment:
            case _Fence(info, lines):
                content = lines if _LANGUAGE.fullmatch(info) or not info else (info, *lines)
                shown += ["```", *(_code_line(line, "mrkdwn") for line in content), "```"]
            case _Grid(rows):
                shown += _aligned(rows) if _widths_sum(rows) <= WIDEST_TABLE else _records(rows)
            case line:
                shown.append(_quoted(line, _mrkdwn_line))
    return "\n".join(shown).strip("\n")


def mrkdwn_line(markdown: str) -> str:
    """The same on one line, for a name or a detail."""
    return _inline(one_line(markdown), "mrkdwn")


def plain(text: str) -> str:
    """One line for a `plain_text` object, where Slack sees no markup but reads entities."""
    return _escaped(one_line(text), "markdown")


def code_block(text: str) -> str:
    """Any text as a block of code, in Markdown: what it means is not looked at."""
    return "\n".join(["```", re.sub(r"`{3,}", lambda run: _GRAVE * len(run[0]), text), "```"])


def size(text: str) -> int:
    """Characters as a limit counts them: UTF-16 units, the strictest reading of Slack's "characters"."""
    return len(text) + sum(character > "\uffff" for character in text)


def clipped(text: str, most: int) -> str:
    """At most `most` characters of raw text, with an ellipsis where some are missing."""
    return text if len(text) <= most else text[: max(most - 1, 0)].rstrip() + "…"


def fitting(text: str, most: int, render: Callable[[str], str]) -> str:
    """As much of `text` as fits in `most` characters once it is rendered, with an ellipsis for the rest."""
    kept = most
    while size(shown := render(clipped(text, kept))) > most:
        kept = kept * 3 // 4
    return shown


def _segments(text: str) -> Iterator[_Fence | _Grid | str]:
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if (opener := _OPENER.fullmatch(lines[at])) is not None:
            if number := re.search(r"\d+[.)]", opener[1]):
                yield number[0]
            fence, at = _fence(lines, at, opener)
            yield fence
        elif at + 1 < len(lines) and _heads_table(lines[at], lines[at + 1]):
            rows = [_cells(lines[at])]
            at += 2
            while at < len(lines) and "|" in lines[at] and not _OPENER.fullmatch(lines[at]):
                rows.append(_cells(lines[at]))
                at += 1
            yield _Grid(tuple(rows))
        else:
            yield lines[at]
            at += 1


def _fence(lines: list[str], at: int, opener: re.Match[str]) -> tuple[_Fence, int]:
    """Read the code block that `opener` begins: the block, and the line after it."""
    prefix, marker, info = opener[1], opener[2], opener[3].strip()
    quotes = prefix.count(">")
    content: list[str] = []
    for after in range(at + 1, len(lines)):
        line = lines[after]
        if quotes and not line.lstrip().startswith(">"):
            return _Fence(info, tuple(content)), after
        closer = _CLOSER.fullmatch(line)
        if closer is not None and closer[1][0] == marker[0] and len(closer[1]) >= len(marker):
            return _Fence(info, tuple(content)), after + 1
        inside = re.sub(rf"^(?:[ \t]*>){{0,{quotes}}}[ \t]?", "", line) if quotes else line
        content.append(re.sub(rf"^[ \t]{{0,{len(prefix)}}}", "", inside) if not quotes else inside)
    return _Fence(info, tuple(content)), len(lines)


def _heads_table(line: str, following: str) -> bool:
    return (
        "|" in line
        and "-" in following
        and _DELIMITER.fullmatch(following.strip()) is not None
        and len(_cells(line)) == len(_cells(following))
    )


def _may_delimit(line: str) -> bool:
    """Whether any parser may see a table's second line here, in whatever list or quote."""
    return "-" in line and ("|" in line or ":" in line) and _LIKE_DELIMITER.fullmatch(line) is not None


def _cells(line: str) -> tuple[str, ...]:
    row = re.sub(r"(?<!\\)\|$", "", line.strip().removeprefix("|"))
    return tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row))


def _pipes(rows: tuple[tuple[str, ...], ...]) -> list[str]:
    """Render a table as pipes, every row as long as the longest: a screen drops cells that have no head."""
    columns = max(len(row) for row in rows)
    shown = ["| " + " | ".join([*(_cell(cell) for cell in row), *[""] * (columns - len(row))]) + " |" for row in rows]
    return [shown[0], "| " + " | ".join(["---"] * columns) + " |", *shown[1:]]


def _cell(cell: str) -> str:
    return _inline(cell, "markdown", split=True).replace("|", "\\|")


def _widths(rows: tuple[tuple[str, ...], ...]) -> list[int]:
    columns = max(len(row) for row in rows)
    return [max(_width(row[column]) for row in rows if column < len(row)) for column in range(columns)]


def _widths_sum(rows: tuple[tuple[str, ...], ...]) -> int:
    widths = _widths(rows)
    return sum(widths) + 3 * (len(widths) - 1)


def _width(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


def _aligned(rows: tuple[tuple[str, ...], ...]) -> list[str]:
    widths = _widths(rows)
    lines = [
        " | ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]
    rule = "-+-".join("-" * width for width in widths)
    return ["```", *(_code_line(line, "mrkdwn") for line in (lines[0], rule, *lines[1:])), "```"]


def _records(rows: tuple[tuple[str, ...], ...]) -> list[str]:
    head, body = rows[0], rows[1:]
    if not body:
        return [" | ".join(mrkdwn_line(cell) for cell in head)]
    shown: list[str] = []
    for row in body:
        for column, cell in enumerate(row):
            name = mrkdwn_line(head[column]) if column < len(head) else ""
            if cell:
                shown.append(f"*{name}*: {mrkdwn_line(cell)}" if name else mrkdwn_line(cell))
        shown.append("")
    return shown


def _code_line(line: str, dialect: _Dialect) -> str:
    return _escaped(re.sub(r"`{3,}", lambda run: _GRAVE * len(run[0]), line), dialect)


def _quoted(line: str, render: Callable[[str], str]) -> str:
    """Render a line behind its quote marks, which stay live: they cannot make a token without a `<`."""
    if (quote := _QUOTE.match(line)) is None:
        return render(line)
    return quote[0] + render(line[quote.end() :])


def _mrkdwn_line(line: str) -> str:
    if (heading := _HEADING.match(line)) is not None:
        bare = line[heading.end() :].rstrip().rstrip("#").rstrip().replace("**", "").replace("__", "")
        return f"*{_inline(bare, 'mrkdwn')}*" if bare.strip() else ""
    if _RULE.fullmatch(line):
        return "———"
    if (bullet := _BULLET.match(line)) is not None:
        return f"{bullet[1]}• {_inline(line[bullet.end() :], 'mrkdwn')}"
    return _inline(line, "mrkdwn")


def _inline(line: str, dialect: _Dialect, *, split: bool = False, apart: bool = False) -> str:
    """One line of text with its code spans, addresses and marks. `split` keeps pipes out of code, for a table would end
    its cell there and the code span with it."""
    codes: list[str] = []

    def code(content: str) -> str:
        return "|".join(code_piece(piece) for piece in (content.split("|") if split else [content]))

    def code_piece(content: str) -> str:
        if not content.strip():
            return content
        codes.append(content.strip().replace("`", _GRAVE))
        return f"\x00{len(codes) - 1}\x00"

    text = _SPAN.sub(lambda span: code(span[2]) if span[2].strip() else span[0], line)
    text = _LINK.sub(lambda link: _unlinked(link, code), text)
    text = _hosts_coded(_ADDRESS.sub(lambda address: _addressed(address[0], code), text), code)
    text = _EVERYBODY.sub(lambda everybody: code(everybody[0]), text)
    text = text.replace("`", _GRAVE)
    # What is left of links and their definitions would still lead somewhere.
    text = _styled(text) if dialect == "mrkdwn" else text.replace("](", "] (").replace("]:", "] :")
    shown = [f"`{_escaped(content, dialect)}`" for content in codes]
    return _with_codes(_escaped(text, dialect), shown, apart or dialect == "mrkdwn")


def _unlinked(link: re.Match[str], code: Callable[[str], str]) -> str:
    """A link or picture as its label, then its address, then its title."""
    label, address, title = link[1], code(link[2].strip("<>")), link[3]
    before = " " if link[0].startswith("!") and link.string[max(link.start() - 1, 0) : link.start()].isalnum() else ""
    return before + " ".join(part for part in (label, address, title) if part)


def _hosts_coded(text: str, code: Callable[[str], str]) -> str:
    """Put every `example.com/page` and `name@example.com` into code: Slack makes links of them too."""
    shown: list[str] = []
    at = 0
    for dotted in _DOTTED.finditer(text):
        start, end = dotted.span()
        if start < at or not (_HOST.search(dotted[0]) or (text[end : end + 1] == "/" and _FOLDER.fullmatch(dotted[0]))):
            continue
        if behind := _BEHIND_HOST.match(text, end):
            end = behind.end()
        shown += [text[at:start], _addressed(text[start:end], code)]
        at = end
    return "".join([*shown, text[at:]])


def _addressed(address: str, code: Callable[[str], str]) -> str:
    """Put an address into code, without the punctuation that ends the sentence or closes a bracket from before."""
    end, unopened = len(address), address.count(")") - address.count("(")
    while end and (address[end - 1] in ".,;:!?'*_~\\]}" or (address[end - 1] == ")" and unopened > 0)):
        end -= 1
        unopened -= address[end] == ")"
    return code(address[:end]) + address[end:]


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


def _with_codes(text: str, codes: list[str], apart: bool) -> str:
    """Put the code spans in their places, away from what would keep them from being read as code: a backslash, another
    span, and in Slack's own markup a letter or digit."""
    shown = ""
    for place, piece in enumerate(re.split(r"\x00(\d+)\x00", text)):
        if place % 2:
            clings = shown[-1:] in ("\\", "`") or (apart and shown[-1:].isalnum())
            shown += (" " if shown and clings else "") + codes[int(piece)]
        else:
            shown += (" " if shown and apart and piece[:1].isalnum() else "") + piece
    return shown
