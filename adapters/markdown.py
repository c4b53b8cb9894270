"""Hostile Markdown taken apart into code blocks, tables, code spans and addresses, for platforms to write it anew.

Common to their outputs, so that no two parsers disagree about them: a code span is one line between single backticks, a
code block stands at the margin between lines of three, and there is no other backtick.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapters.safety import one_line
from adapters.split import SMALLEST_LIMIT, split

GRAVE = "\u02cb"
"""Stands for a backtick that is not one of ours; it looks the same."""

# As in adapters/split.py: any indentation, quote marks and list markers may stand before a fence.
_OPENER = re.compile(r"([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,99}(?=[^`]*$)|~{3,99}(?!~))(.*)")
_CLOSER = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t]*")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#-]{1,30}")
_DELIMITER = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")

QUOTE = re.compile(r"[ \t]*>[ \t>]*")
HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(?=\S)")
RULE = re.compile(r"[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})")
BULLET = re.compile(r"([ \t]*)[-*+][ \t]+(?=\S)")

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


@dataclass(frozen=True, slots=True)
class Fence:
    """A code block: what stood behind its opening fence, and its lines."""

    info: str
    lines: tuple[str, ...]

    @property
    def language(self) -> str:
        """The language it names; nothing where that is no such name."""
        return self.info if _LANGUAGE.fullmatch(self.info) else ""

    @property
    def content(self) -> tuple[str, ...]:
        """All of its text but the language, fit to stand between fences of three backticks."""
        said = self.lines if self.language == self.info else (self.info, *self.lines)
        return tuple(map(in_fence, said))


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as rows of Markdown cells, its head first. Rows may be of different lengths."""

    rows: tuple[tuple[str, ...], ...]

    @property
    def columns(self) -> int:
        """The length of its longest row."""
        return max(map(len, self.rows))

    @property
    def width(self) -> int:
        """Columns of a screen that it takes aligned; East Asian characters take two."""
        return sum(self._widths()) + 3 * (self.columns - 1)

    def aligned(self) -> list[str]:
        """Its lines, fit to stand in a code block."""
        widths = self._widths()
        lines = [
            " | ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)).rstrip()
            for row in self.rows
        ]
        return [in_fence(line) for line in (lines[0], "-+-".join("-" * width for width in widths), *lines[1:])]

    def records(self, line: Callable[[str], str], bold: Callable[[str], str]) -> list[str]:
        """Its lines where it is too wide for that: each cell behind the head of its column, an empty line after each
        row. `line` and `bold` render one line of Markdown."""
        head, body = self.rows[0], self.rows[1:]
        if not body:
            return [" | ".join(line(cell) for cell in head)]
        shown: list[str] = []
        for row in body:
            for column, cell in enumerate(row):
                name = head[column] if column < len(head) else ""
                if cell:
                    shown.append(f"{bold(name)}: {line(cell)}" if one_line(name) else line(cell))
            shown.append("")
        return shown

    def _widths(self) -> list[int]:
        return [max(_width(row[column]) for row in self.rows if column < len(row)) for column in range(self.columns)]


def segments(text: str) -> Iterator[Fence | Grid | str]:
    """The code blocks and tables of a text, and its other lines one by one."""
    for segment, _ in _read(text.split("\n")):
        yield segment


def paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """A text in stretches that are better not cut: code blocks, tables, and what stands between blank lines. With each,
    whether a blank line stood before it."""
    lines = text.split("\n")
    begun = at = 0
    apart = False
    for segment, end in _read(lines):
        alone = not isinstance(segment, str)
        if alone or not lines[at].strip():
            if begun < at:
                yield "\n".join(lines[begun:at]), apart
                apart = False
            if alone:
                yield "\n".join(lines[at:end]), apart
            apart, begun = not alone, end
        at = end
    if begun < len(lines):
        yield "\n".join(lines[begun:]), apart


def code_taken(line: str, tokens: re.Pattern[str], *, split: bool = False) -> tuple[str, list[str]]:
    r"""A line with `\x00n\x00` in place of what is to be code, and what that is: code spans, addresses, and whatever
    `tokens` finds besides. A link is its label, then its address. No backtick is left in either.

    `split` keeps pipes out of code, for a table would end its cell there and the code span with it.
    """
    codes: list[str] = []

    def code(content: str) -> str:
        return "|".join(code_piece(piece) for piece in (content.split("|") if split else [content]))

    def code_piece(content: str) -> str:
        if not content.strip():
            return content
        codes.append(content.strip().replace("`", GRAVE))
        return f"\x00{len(codes) - 1}\x00"

    text = _SPAN.sub(lambda span: code(span[2]) if span[2].strip() else span[0], line)
    text = _LINK.sub(lambda link: _unlinked(link, code), text)
    text = _hosts_coded(_ADDRESS.sub(lambda address: _addressed(address[0], code), text), code)
    text = tokens.sub(lambda token: code(token[0]), text)
    return text.replace("`", GRAVE), codes


def with_codes(text: str, codes: list[str], *, apart: bool = False) -> str:
    """Put the code spans in their places, away from what would keep them from being read as code: a backslash, another
    span, and where they have to stand `apart`, a letter or digit."""
    shown = ""
    for place, piece in enumerate(re.split(r"\x00(\d+)\x00", text)):
        if place % 2:
            clings = shown[-1:] in ("\\", "`") or (apart and shown[-1:].isalnum())
            shown += (" " if shown and clings else "") + codes[int(piece)]
        else:
            shown += (" " if shown and apart and piece[:1].isalnum() else "") + piece
    return shown


def behind_quote(line: str) -> tuple[str, str]:
    """The quote marks that a line begins with, and the rest of it."""
    quote = QUOTE.match(line)
    return ("", line) if quote is None else (quote[0], line[quote.end() :])


def in_fence(line: str) -> str:
    """A line that ends no code block, wherever a parser looks for that."""
    return re.sub(r"`{3,}", lambda run: GRAVE * len(run[0]), line)


def code_block(text: str) -> str:
    """Any text as a block of code, in Markdown: what it means is not looked at."""
    return "\n".join(["```", in_fence(text), "```"])


def size(text: str) -> int:
    """Characters as a limit counts them: UTF-16 units, the strictest reading of a platform's "characters"."""
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


def parts(source: str, most: int, render: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """`source` cut so that each part fits in `most` characters once rendered: the part, and what is shown of it.

    What renders far longer than it is written is cut smaller; the last resort is code, which is never longer than five
    times its source.
    """
    yield from _cut(source, most, most, render)


def _cut(source: str, limit: int, most: int, render: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    for part in split(source, max(limit, SMALLEST_LIMIT)):
        shown = render(part)
        if size(shown) <= most:
            if shown.strip():
                yield part, shown
        elif limit > SMALLEST_LIMIT:
            yield from _cut(part, limit // 2, most, render)
        else:
            yield part, render(code_block(part))


def _read(lines: list[str]) -> Iterator[tuple[Fence | Grid | str, int]]:
    """Each segment, and the line after it."""
    at = 0
    while at < len(lines):
        if (opener := _OPENER.fullmatch(lines[at])) is not None:
            if number := re.search(r"\d+[.)]", opener[1]):
                yield number[0], at
            fence, at = _fence(lines, at, opener)
            yield fence, at
        elif at + 1 < len(lines) and _heads_table(lines[at], lines[at + 1]):
            rows = [_cells(lines[at])]
            at += 2
            while at < len(lines) and "|" in lines[at] and not _OPENER.fullmatch(lines[at]):
                rows.append(_cells(lines[at]))
                at += 1
            yield Grid(tuple(rows)), at
        else:
            at += 1
            yield lines[at - 1], at


def _fence(lines: list[str], at: int, opener: re.Match[str]) -> tuple[Fence, int]:
    """Read the code block that `opener` begins: the block, and the line after it."""
    prefix, marker, info = opener[1], opener[2], opener[3].strip()
    quotes = prefix.count(">")
    content: list[str] = []
    for after in range(at + 1, len(lines)):
        line = lines[after]
        if quotes and not line.lstrip().startswith(">"):
            return Fence(info, tuple(content)), after
        closer = _CLOSER.fullmatch(line)
        if closer is not None and closer[1][0] == marker[0] and len(closer[1]) >= len(marker):
            return Fence(info, tuple(content)), after + 1
        inside = re.sub(rf"^(?:[ \t]*>){{0,{quotes}}}[ \t]?", "", line) if quotes else line
        content.append(re.sub(rf"^[ \t]{{0,{len(prefix)}}}", "", inside) if not quotes else inside)
    return Fence(info, tuple(content)), len(lines)


def _heads_table(line: str, following: str) -> bool:
    return (
        "|" in line
        and "-" in following
        and _DELIMITER.fullmatch(following.strip()) is not None
        and len(_cells(line)) == len(_cells(following))
    )


def _cells(line: str) -> tuple[str, ...]:
    row = re.sub(r"(?<!\\)\|$", "", line.strip().removeprefix("|"))
    return tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row))


def _width(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


def _unlinked(link: re.Match[str], code: Callable[[str], str]) -> str:
    """A link or picture as its label, then its address, then its title."""
    label, address, title = link[1], code(link[2].strip("<>")), link[3]
    before = " " if link[0].startswith("!") and link.string[max(link.start() - 1, 0) : link.start()].isalnum() else ""
    return before + " ".join(part for part in (label, address, title) if part)


def _hosts_coded(text: str, code: Callable[[str], str]) -> str:
    """Put every `example.com/page` and `name@example.com` into code: some platforms make links of them too."""
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
