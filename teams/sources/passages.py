"""Text to passages that know where they stand, and a question to a full-text query. Knows no file and no database.

The one way to do both for the documents of a run and for the library.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

PASSAGE = 1_200
"""Characters of one passage: long enough to hold an argument, short enough that five fit into a prompt."""

MOST_WORDS = 32
"""Different words of a question that are looked for. Each costs time, and a question with more is a document."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document. `heading` is the path of headings it stands under, the innermost last, as "Setup › Keys";
    `text` goes without them."""

    heading: str
    text: str = field(repr=False)


JOINT = " › "
"""Between the headings of a path."""


def passages(text: str) -> list[Passage]:
    """The text in passages of at most `PASSAGE` characters, none of which is in two sections.

    Headings are Markdown's, of either style. Cut at paragraphs, else at lines, else between words.
    """
    return [Passage(heading, piece) for heading, body in _sections(text) for piece in _pieces(body)]


def title_of(text: str, otherwise: str) -> str:
    """What a document calls itself: the first heading near its top, unless that only counts pages."""
    top = text.split("\n", _TOP)[:_TOP]
    first = next((heading for _, level, heading in _marked(top) if level), "")
    return otherwise if not first or _COUNTED.fullmatch(first) else first


# --- Sections

_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_UNDERLINE = re.compile(r"(={3,}|-{3,})[ \t]*")
_COUNTED = re.compile(r"(Page|Slide) \d+.*")
_LONGEST_HEADING = 200
_TOP = 40
"""Lines in which a title may stand."""


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Heading paths with what stands under each up to the next heading.

    A heading above others that has no text of its own is in their paths; one above none is its own text.
    """
    path: dict[int, str] = {}
    body: list[str] = []
    first = True
    for line, level, heading in (*_marked(text.split("\n")), ("", 1, "")):
        if not level:
            body.append(line)
            continue
        if any(map(str.strip, body)):
            yield _joined(path), "\n".join(body)
        # Many pages open with a title and then say it again as a heading: that is the document's title and no section.
        elif path and level <= max(path) and not (first and heading):
            yield _joined(path), path[max(path)]
        first, body = not path, []
        path = {outer: name for outer, name in path.items() if outer < level} | {level: heading}


def _joined(path: dict[int, str]) -> str:
    """Once each: chapters often repeat their title as their first section's."""
    return JOINT.join(dict.fromkeys(path.values()))


def _marked(lines: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """Each line with its level and words as a heading; level 0 is none."""
    fence, underlined = "", False
    for number, line in enumerate(lines):
        before, after = lines[number - 1] if number else "", lines[number + 1] if number + 1 < len(lines) else ""
        mark = _FENCE.match(line)
        if underlined:
            underlined = False
        elif fence or mark:
            if mark:
                fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
            yield line, 0, ""
        elif len(line) <= _LONGEST_HEADING and (atx := _ATX.match(line)) and (words := _plain(atx[2].strip(" \t#"))):
            yield line, len(atx[1]), words
        elif _UNDERLINE.fullmatch(after.rstrip()) and not before.strip() and (words := _underlined(line)):
            underlined = True
            yield line, 1 if after.startswith("=") else 2, words
        else:
            yield line, 0, ""


def _underlined(line: str) -> str:
    return _plain(line) if len(line) <= _LONGEST_HEADING and not line.startswith((" ", "\t", "|")) else ""


def _plain(heading: str) -> str:
    """A heading's words without the links and signs around them."""
    # Page generators hang a link to the heading itself behind it.
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("¶", "")
    return " ".join(re.sub(r"[*`]", "", shown).split())


# --- Pieces


def _pieces(body: str) -> list[str]:
    cut: list[str] = []
    for paragraph in re.split(r"\n\s*\n", body):
        # What is indented stays so, for it may be code.
        block = paragraph.rstrip().strip("\n")
        if not block.strip():
            continue
        if cut and len(cut[-1]) + len(block) + 2 <= PASSAGE:
            cut[-1] += f"\n\n{block}"
        else:
            cut.extend(_slices(block))
    return cut


def _slices(block: str) -> Iterator[str]:
    while len(block) > PASSAGE:
        at = next((at for sign in "\n ." if (at := block.rfind(sign, PASSAGE // 2, PASSAGE)) > 0), PASSAGE - 1) + 1
        yield block[:at].rstrip()
        block = block[at:].lstrip()
    if block:
        yield block


# --- Questions

# What stands in nearly every English text or question. A word that stands everywhere tells no passage from another.
_COMMON = frozenset(
    """
    a about after all also am an and any are as at be because been before being both but by can could did do
    does doing done for from get had has have having he her here him his how i if in into is it its itself
    just like may me might more most must my no nor not of on only or other our out over own same shall she
    should so some such than that the their them then there these they this those through to too under until
    up us very was way we were what when where which while who whom whose why will with would you your
    """.split()  # noqa: SIM905 - a list of 130 quoted words would be a page
)


def words_of(question: str) -> tuple[str, ...]:
    """The words worth looking for, each once, in their order: without the common ones, unless there is no other."""
    found = tuple(dict.fromkeys(word.lower() for word in re.findall(r"\w+", question) if word.strip("_")))
    return (tuple(word for word in found if word not in _COMMON) or found)[:MOST_WORDS]


def matching(words: Sequence[str], join: str = "OR") -> str:
    """An FTS5 query for the words, whatever they are made of (SQLite documentation, "FTS5 Extension", 3)."""
    return f" {join} ".join(f'"{word}"' for word in words)
