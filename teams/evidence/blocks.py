"""Markdown as blocks: fences, quotations, paragraphs, items, rows. Nothing is lost: joined they are the text. Pure."""

import re
from dataclasses import dataclass
from typing import Literal

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ALONE = re.compile(r"\s*(?:#{1,6}\s|[-*+•]\s|\d+[.)]\s|\||(?:[-*_]\s*){3,}$)")

Kind = Literal["fence", "quotation", "heading", "row", "text", "blank"]


@dataclass(frozen=True, slots=True)
class Block:
    """One block with its line ends."""

    kind: Kind
    text: str


def blocks(text: str) -> list[Block]:
    """The blocks of a text. A fence that is never closed goes to the end and is closed there."""
    found: list[Block] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        opening = _FENCE.match(line)
        if fence:
            found[-1] = Block("fence", found[-1].text + line)
            if opening and opening[1].startswith(fence) and not line.strip(" `~\r\n"):
                fence = ""
            continue
        if opening:
            fence = opening[1]
            found.append(Block("fence", line))
            continue
        kind = _kind(line)
        joins = kind == "quotation" or (kind == "text" and not _ALONE.match(line))
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
    if re.match(r" {0,3}>", line):
        return "quotation"
    if bare.startswith("#"):
        return "heading"
    return "row" if bare.startswith("|") else "text"
