"""Markdown as blocks: fences, quotations, paragraphs, items, rows. Nothing is lost: joined they are the text. Pure."""

import re
from dataclasses import dataclass
from typing import Literal

_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`\n]*$)|~{3,})")
_FENCE_END = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*$")
_FENCE_IN_ITEM = re.compile(r"[ \t]*(?:(?:[-*+•]|\d{1,9}[.)])[ \t]+)+(`{3,}(?=[^`\n]*$)|~{3,})")
QUOTATION = re.compile(r"(?P<before>[ \t]*(?:(?:[-*+•]|\d{1,9}[.)])[ \t]+)*)>")
"""A line of a quotation, also in an item, and however far it stands to the right."""
_ALONE = re.compile(r"\s*(?:#{1,6}\s|[-*+•]\s|\d+[.)]\s|\||(?:[-*_]\s*){3,}$)")

Kind = Literal["fence", "quotation", "heading", "row", "text", "blank"]


@dataclass(frozen=True, slots=True)
class Block:
    """One block with its line ends."""

    kind: Kind
    text: str


def blocks(text: str) -> list[Block]:
    """The blocks of a text. A fence that is never closed goes to the end and is closed there.

    A fence that begins on the line of an item is text: where it ends is not the same to all who read Markdown.
    """
    found: list[Block] = []
    fence = in_item = ""
    for line in text.splitlines(keepends=True):
        if fence:
            found[-1] = Block("fence", found[-1].text + line)
            if (ending := _FENCE_END.match(line)) and ending[1].startswith(fence):
                fence = ""
            continue
        if begun := _FENCE_IN_ITEM.match(line):
            in_item = begun[1]
        elif line.strip() and not line.startswith("  "):
            in_item = ""
        ends_item = in_item and (ending := _FENCE_END.match(line)) and ending[1].startswith(in_item)
        if ends_item:
            in_item = ""
        elif opening := _FENCE.match(line):
            fence = opening[1]
            found.append(Block("fence", line))
            continue
        kind = _kind(line)
        joins = kind in ("quotation", "text") and not _ALONE.match(line)
        if found and joins and (found[-1].kind == kind) and found[-1].text.endswith("\n"):
            found[-1] = Block(kind, found[-1].text + line)
        else:
            found.append(Block(kind, line))
    if fence:
        found[-1] = Block("fence", found[-1].text.rstrip("\n") + f"\n{fence}\n")
    return found


def _kind(line: str) -> Kind:
    bare = line.strip()
    if not bare:
        return "blank"
    if QUOTATION.match(line):
        return "quotation"
    if bare.startswith("#"):
        return "heading"
    return "row" if bare.startswith("|") else "text"
