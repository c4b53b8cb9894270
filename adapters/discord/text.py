"""Hostile Markdown made inert for Discord: nothing in it mentions, links or hides; what is read is what was written.

Discord looks for the end of what a mark begins wherever it stands, also inside of code, and a code span is then broken
and what follows it is live. So no mark is left raw but those of styles that are known to end, and no style goes around
code. Discord decodes no entities; before anything but letters, digits and white space a backslash is not shown.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from adapters.markdown import (
    BULLET,
    GRAVE,
    HEADING,
    RULE,
    Fence,
    Grid,
    behind_quote,
    code_taken,
    segments,
    with_codes,
)
from adapters.safety import one_line, visible

WIDEST_TABLE = 40
"""Columns of a table that is shown aligned: about what a phone shows of a code block before it wraps, and a table that
wraps cannot be read. A wider one is shown row by row, on wide screens too: nobody knows who reads where."""

_TOKENS = re.compile(
    r"@(?:everyone|here)(?![^\W_])"
    r"|<(?:@[!&]?|#)\w{1,40}>"  # mentions of people, roles and channels
    r"|<a?:\w{1,64}:\w{1,40}>"  # emoji
    r"|<t:-?\w{1,40}(?::\w{0,2})?>"  # times, which say something else to everybody
    r"|</[^<>\n]{1,200}:\w{1,40}>"  # commands
    r"|<id:[\w:-]{1,80}>",  # parts of a server
    re.IGNORECASE,
)
"""Discord's page "Message formatting"."""

_PAIR = re.compile(r"\\([!-/:-@\[-`{-~])")
_NUMBER = re.compile(r"[ \t]*\d{1,9}\.[ \t]+(?=\S)")
_CLOSING = re.compile(r"[ \t]+#+[ \t]*$")
_BEGINS = re.compile(r"([ \t]*(?:\d+(?=\.(?:\s|$))|(?=-(?:[#\s]|$)|#{1,3}(?:\s|$)|>)))(.)")

_STYLES = re.compile(
    r"(?<!\*)\*{3}(?=[^\s*])(?P<both>[^*]+)(?<=\S)\*{3}(?!\*)"
    r"|(?<!\*)\*\*(?=[^\s*])(?P<strong>[^*]+(?:\*[^*]+)*\*?)(?<=\S)\*\*(?!\*)"
    r"|(?<!\w)__(?=[^\s_])(?P<strong_>[^_]+(?:_[^_]+)*)(?<=\S)__(?!\w)"
    r"|(?<![\w*])\*(?=[^\s*])(?P<slanted>[^*]+)(?<=\S)\*(?![\w*])"
    r"|(?<!\w)_(?=[^\s_])(?P<slanted_>[^_]+)(?<=\S)_(?!\w)"
    r"|(?<!~)~~(?=[^\s~])(?P<struck>[^~]+)(?<=\S)~~(?!~)"
)
_MARKS = {"both": "***", "strong": "**", "strong_": "**", "slanted": "*", "slanted_": "*", "struck": "~~"}

# While a line is written, \x02 and a character from here on stand for that character behind a backslash, and \x03 and
# \x04 for the marks of styles: what else there is of either is only text.
_PRIVATE = 0xE000
_SET = str.maketrans({"*": "\x03", "~": "\x04"})
_UNSET = str.maketrans({"\x03": "*", "\x04": "~"})
_ENDS = ("\x03", "\x04", "*", "_", "~")

_LIVE = re.compile(
    r"\x02(?P<pair>.)"
    r"|(?P<shortcode>:(?=([A-Za-z0-9_+-]{1,64}):))"
    r"|[\\*_\[]"
    r"|~(?=[~\x04]|\x02\ue07e)|(?<=[~\x04\ue07e])~"
    r"|\|(?=\||\x02\ue07c)|(?<=[|\ue07c])\|"
    r"|<(?!=? )"
    r"|:(?=/)"
)


def inert(markdown: str) -> str:
    """Markdown for a text display. Every address and every token of Discord's is shown whole in a code span.

    Headings below the third level are bold lines; tables are aligned in a code block, or where too wide for that, shown
    row by row; code blocks without content are left out, for Discord takes the fences of two of them for one block.
    """
    shown: list[str] = []
    for segment in segments(visible(markdown)):
        match segment:
            case Fence():
                shown += _code_block(segment.content, segment.language)
            case Grid() if segment.width <= WIDEST_TABLE:
                shown += _code_block(segment.aligned())
            case Grid():
                shown += segment.records(inert_line, bold_line)
            case line:
                marks, rest = behind_quote(line)
                shown.append(f"> {_line(rest)}" if marks else _line(rest))
    return "\n".join(shown).strip("\n")


def inert_line(markdown: str) -> str:
    """The same on one line, which begins nothing wherever it stands: for a name or a detail."""
    return _inline(one_line(markdown))


def bold_line(markdown: str) -> str:
    """The same in bold."""
    return _inline(one_line(markdown), "**")


def _code_block(lines: Sequence[str], language: str = "") -> list[str]:
    return [f"```{language}", *lines, "```"] if any(line.strip() for line in lines) else []


def _line(line: str) -> str:
    if (heading := HEADING.match(line)) is not None:
        bare, level = _CLOSING.sub("", line[heading.end() :]), len(heading[1])
        return bold_line(bare) if level > 3 else f"{heading[1]} {inert_line(bare)}"
    if RULE.fullmatch(line):
        return "———"
    if (bullet := BULLET.match(line)) is not None:
        return f"{bullet[1]}- {_inline(line[bullet.end() :])}"
    if (number := _NUMBER.match(line)) is not None:
        return number[0] + _inline(line[number.end() :])
    return _inline(line)


def _inline(line: str, around: str = "") -> str:
    """One line of text with its code spans, addresses and styles, all of it in the style `around`. It begins neither
    heading, small text, quote nor list."""
    text, codes = code_taken(line, _TOKENS)
    text = _PAIR.sub(lambda pair: _plain(pair[1]), text.replace(f"\\{GRAVE}", GRAVE))
    shown = ""
    for marks, runs in groupby(_runs(text, around), itemgetter(0)):
        for piece in re.split(r"(\x00\d+\x00)", "".join(run for _, run in runs)):
            clings = shown.endswith(_ENDS) and not piece[:1].isspace()  # two marks would be read as one
            shown += piece if clings or piece.startswith("\x00") else _marked(piece, marks)
    shown = _LIVE.sub(_escape, _begun(shown)).translate(_UNSET)
    return with_codes(shown, [f"`{content}`" for content in codes])


def _plain(character: str) -> str:
    return f"\x02{chr(_PRIVATE + ord(character))}"


def _begun(text: str) -> str:
    begins = _BEGINS.match(text)
    return text if begins is None else f"{begins[1]}{_plain(begins[2])}{text[begins.end() :]}"


def _runs(text: str, around: str) -> Iterator[tuple[str, str]]:
    """The stretches of one style, each with its opening marks."""
    at = 0
    for styled in _STYLES.finditer(text):
        if at < styled.start():
            yield around, text[at : styled.start()]
        kind = styled.lastgroup or ""
        yield from _runs(styled[kind], _within(around, _MARKS[kind]))
        at = styled.end()
    if at < len(text):
        yield around, text[at:]


def _within(around: str, marks: str) -> str:
    """The marks of two styles at once: `~~` stands outermost, and of stars there are three at most."""
    stars = around.count("*") | marks.count("*")
    return ("~~" if "~" in around + marks else "") + "*" * stars


def _marked(text: str, marks: str) -> str:
    core = text.strip()
    if not marks or not core:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{marks.translate(_SET)}{_begun(core)}{marks[::-1].translate(_SET)}{after}"


def _escape(found: re.Match[str]) -> str:
    if found["pair"]:
        return f"\\{chr(ord(found['pair']) - _PRIVATE)}"
    if found["shortcode"] and found[3].isdigit() and found.string[max(found.start() - 1, 0)].isdigit():
        return ":"  # a time of day
    return f"\\{found[0]}"
