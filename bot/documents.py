"""Files of the user as text for a run. What cannot be read is named with the reason; how it is read, `teams` knows."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from teams.model import Source
from teams.reading import LIMITS, UnreadableDocument, read_document

__all__ = ["LARGEST_FILE", "LARGEST_TOTAL", "UnreadableDocument", "read_documents", "read_text"]

LARGEST_FILE = LIMITS.text_bytes
"""Bytes of one file of plain text. A larger one would not fit into a prompt: about 250,000 tokens."""

LARGEST_TOTAL = LIMITS.characters
"""Characters of all documents of one run: about 100,000 tokens, which the default models take."""


def read_documents(paths: Sequence[Path]) -> tuple[Source, ...]:
    """The files' texts under their names. Raises `UnreadableDocument` for the first that cannot be used."""
    names = _names(paths)
    sources = tuple(Source(name, read_text(path)) for name, path in zip(names, paths, strict=True))
    total = sum(len(source.text) for source in sources)
    if total > LARGEST_TOTAL:
        raise UnreadableDocument(
            f"the documents have {total:,} characters together; at most {LARGEST_TOTAL:,} can be given: leave some out"
        )
    return sources


def read_text(path: Path) -> str:
    """A file's text, as `teams.reading` gives it. Raises `UnreadableDocument`. Not for use in a running event loop."""
    try:
        with path.open("rb") as file:
            # One byte more than is read tells the reader that there is more.
            content = file.read(LIMITS.file_bytes + 1)
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise UnreadableDocument(f"{path}: {why}; check the path and that you may read it") from error
    return asyncio.run(read_document(str(path), content))


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each path that is text and is no other's: a citation has to lead to one document."""
    names: list[str] = []
    for path in paths:
        plain = path.name.encode("utf-8", "replace").decode()
        taken = sum(name == plain or name.startswith(f"{plain} (") for name in names)
        names.append(f"{plain} ({taken + 1})" if taken else plain)
    return names
