"""Files of the user as text for a run. Knows plain text and Markdown; what it cannot read, it names with the reason."""

from collections.abc import Sequence
from pathlib import Path

from teams.model import Source

LARGEST_FILE = 1_000_000
"""Bytes of one file. A larger one would not fit into a prompt: about 250,000 tokens."""

LARGEST_TOTAL = 400_000
"""Characters of all documents of one run: about 100,000 tokens, which the default models take."""

_BINARY = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "an Office or zip file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}


class UnreadableDocument(ValueError):
    """A file cannot be used as a document. The message is one sentence with the reason and the way out."""


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
    """A text file's content. Raises `UnreadableDocument`."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise UnreadableDocument(f"{path}: {why}; check the path and that you may read it") from error
    if len(raw) > LARGEST_FILE:
        raise UnreadableDocument(f"{path} is over {LARGEST_FILE:,} bytes; give the part that matters")
    kind = next((name for magic, name in _BINARY.items() if raw.startswith(magic)), None)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = kind or "not UTF-8 text"
        raise UnreadableDocument(f"{path} is {kind}; save it as plain text or Markdown in UTF-8") from error
    if kind or "\x00" in text:
        raise UnreadableDocument(f"{path} is {kind or 'binary'}; save it as plain text or Markdown in UTF-8")
    if not text.strip():
        raise UnreadableDocument(f"{path} is empty; leave it out or give another file")
    return text


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each path that is text and is no other's: a citation has to lead to one document."""
    names: list[str] = []
    for path in paths:
        plain = path.name.encode("utf-8", "replace").decode()
        taken = sum(name == plain or name.startswith(f"{plain} (") for name in names)
        names.append(f"{plain} ({taken + 1})" if taken else plain)
    return names
