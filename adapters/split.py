"""Long Markdown cut into parts a platform takes, code fences and tables whole in every part.

The law: the bodies of `cut` put together are the text, character for character. What a part shows besides its body is a
fence reopened or closed, or the head of a table said again.
"""

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

SMALLEST_LIMIT = 200
_LONGEST_CLUSTER = 64

# Any indentation, quote marks and list markers may stand before a fence: chat platforms are laxer than CommonMark.
_OPENER = re.compile(r"([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,}(?=[^`]*$)|~{3,})(.*)")
_MARKED = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?:`{3,}|~{3,})", re.MULTILINE)
_CLOSER = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t]*")
_DELIMITER = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")
_BOUNDARIES = (
    re.compile(r"\n[ \t]*\n+"),  # blank line
    re.compile(r"\n"),  # line
    re.compile(r"(?<=[.!?…。！？])[ \t]+|(?<=[。！？])"),  # sentence
    re.compile(r"[ \t]+"),  # word
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part: a stretch of the text, and what was put around it so that it stands alone."""

    opening: str
    body: str
    closing: str

    @property
    def text(self) -> str:
        """The part as it is shown."""
        return self.opening + self.body + self.closing


@dataclass(frozen=True, slots=True)
class _Fence:
    prefix: str
    marker: str
    info: str

    @property
    def opening(self) -> str:
        return f"{self.prefix}{self.marker}{self.info}\n"

    @property
    def closing(self) -> str:
        return f"{self.prefix}{self.marker}"

    def closed_by(self, line: str) -> bool:
        found = _CLOSER.fullmatch(line)
        return found is not None and found[1][0] == self.marker[0] and len(found[1]) >= len(self.marker)

    def left_by(self, line: str) -> bool:
        """Say whether the quote that the fence stands in ended before this line, and the fence with it."""
        return ">" in self.prefix and not line.lstrip().startswith(">")


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    opening: str  # what a part that begins with this line needs first
    resuming: str  # what a part that begins inside this line needs first
    closes: bool = False
    retreat: int | None = None  # where to cut instead of right before this line


def split(markdown: str, limit: int) -> tuple[str, ...]:
    """Cut `markdown` into parts of at most `limit` characters, each of which can be shown alone.

    Newlines around a part are trimmed, and parts that would show nothing are left out. ValueError below 200 characters.
    """
    texts = (_trimmed(part, limit) for part in cut(markdown, limit))
    return tuple(text for text in texts if text.strip())


def _trimmed(part: Part, limit: int) -> str:
    if part.closing:
        return part.text.lstrip("\n")
    text = part.text.strip("\n")
    # The blank line that was trimmed may be what ended a quote, and a fence in it.
    return text + _closing(text, limit // 4)


def cut(markdown: str, limit: int) -> tuple[Part, ...]:
    """Cut at the best boundary in the second half of each part: blank line, line, sentence, word, character.

    A fence is reopened with its marker and info string (without the latter where it is longer than a quarter of the
    limit), a table with its head. A fence left open at the end of the text is closed. A character and the marks
    combined with it stay together, up to 64 of them.
    """
    if limit < SMALLEST_LIMIT:
        raise ValueError(
            f"limit is {limit}: parts need at least {SMALLEST_LIMIT} characters, "
            "or reopened fences and repeated table heads leave no room for the text"
        )
    lines = _lines(markdown, limit // 4)
    starts = [line.start for line in lines]
    parts: list[Part] = []
    position = 0
    while position < len(markdown):
        line = lines[bisect_right(starts, position) - 1]
        opening = line.opening if line.start == position else line.resuming
        room = limit - len(opening)
        room -= _widest_closing(opening + markdown[position : position + room], limit // 4)
        end = min(position + room, len(markdown))
        if end < len(markdown):
            end = _boundary(markdown, position, end)
        best = end if end == len(markdown) else _settled(markdown, lines[bisect_right(starts, end) - 1], end)
        part = _part(opening, markdown[position : best if best > position else end], limit)
        parts.append(part if len(part.text) <= limit else _part(opening, markdown[position:end], limit))
        position += len(parts[-1].body)
    return tuple(parts)


def _part(opening: str, body: str, limit: int) -> Part:
    return Part(opening, body, _closing(opening + body, limit // 4))


def _lines(markdown: str, longest: int) -> list[_Line]:
    lines: list[_Line] = []
    fence: _Fence | None = None
    head, head_start = "", 0
    previous, start = "", 0
    begun = False  # the line before opened the fence
    for line in markdown.split("\n"):
        if fence and not fence.left_by(line):
            closes = fence.closed_by(line)
            lines.append(_Line(start, fence.opening, fence.opening, closes, lines[-1].start if begun else None))
            begun = False
            fence = None if closes else fence
        elif fence := _opened(line, longest):
            lines.append(_Line(start, "", fence.opening))
            head, begun = "", True
        elif head and "|" in line:
            first_row = lines[-1].opening != head
            lines.append(_Line(start, head, head, retreat=head_start if first_row else None))
        elif "|" in previous and _is_delimiter(previous, line, longest):
            head, head_start = f"{previous}\n{line}\n", lines[-1].start
            lines.append(_Line(start, f"{previous}\n", "", retreat=head_start))
        else:
            head = ""
            lines.append(_Line(start, "", ""))
        previous = "" if fence else line
        start += len(line) + 1
    return lines


def _opened(line: str, longest: int) -> _Fence | None:
    if "```" not in line and "~~~" not in line:
        return None
    found = _OPENER.fullmatch(line)
    if found is None or 2 * len(found[1] + found[2]) > longest:
        return None
    info = found[3] if len(line) < longest else ""
    return _Fence(re.sub(r"[^\s>]", " ", found[1]), found[2], info)


def _is_delimiter(previous: str, line: str, longest: int) -> bool:
    return (
        len(previous) + len(line) + 2 <= longest
        and "-" in line
        and _DELIMITER.fullmatch(line.strip()) is not None
        and previous.strip().strip("|").count("|") == line.strip().strip("|").count("|")
    )


def _widest_closing(text: str, longest: int) -> int:
    """Characters to keep free: whichever of these lines, cut anywhere, is the fence that is open at the end."""
    if "```" not in text and "~~~" not in text:
        return 0
    return 1 + max((min(len(found[0]), longest // 2) for found in _MARKED.finditer(text)), default=0)


def _closing(text: str, longest: int) -> str:
    """Say what closes the fence that a screen would see open at the end of `text`."""
    if "```" not in text and "~~~" not in text:
        return ""
    fence: _Fence | None = None
    for line in text.split("\n"):
        if fence and not fence.left_by(line):
            fence = None if fence.closed_by(line) else fence
        else:
            fence = _opened(line, longest)
    if fence is None:
        return ""
    return fence.closing if text.endswith("\n") else f"\n{fence.closing}"


def _boundary(text: str, start: int, end: int) -> int:
    """Find the best place to cut in the second half of `text[start:end]`."""
    middle = (start + end) // 2
    for boundary in _BOUNDARIES:
        places = [found.end() for found in boundary.finditer(text, middle, end)]
        for place in reversed(places):
            if place > start and not _joined(text[place - 1], text[place]):
                return place
    for place in range(end, max(middle, end - _LONGEST_CLUSTER), -1):
        if not _joined(text[place - 1], text[place]):
            return place
    return end


def _joined(left: str, right: str) -> bool:
    return left != "\n" and (
        unicodedata.category(right) in ("Mn", "Mc", "Me")
        or "\u200d" in (left, right)
        or "\U0001f3fb" <= right <= "\U0001f3ff"  # skin tones
        or ("\U0001f1e6" <= left <= "\U0001f1ff" and "\U0001f1e6" <= right <= "\U0001f1ff")  # flags
        or ("\ud800" <= left <= "\udbff" and "\udc00" <= right <= "\udfff")
        or (left == "\r" and right == "\n")
    )


def _settled(text: str, line: _Line, end: int) -> int:
    """Move a cut off the edge of a fence or table: no empty fence, no table head alone."""
    if line.start != end:
        return end
    if line.closes:
        # What was kept free for closing this fence mostly takes the line that closes it.
        stop = text.find("\n", end)
        return len(text) if stop < 0 else stop + 1
    return end if line.retreat is None else line.retreat
