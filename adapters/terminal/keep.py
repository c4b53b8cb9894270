"""A document's files kept in a folder: safe names, and never over a different file."""

import os
import re
from contextlib import suppress
from itertools import count
from pathlib import Path

from adapters.port import OutFile
from adapters.safety import visible

_LONGEST_NAME = 120


def keep(folder: Path, file: OutFile) -> Path:
    """Write the file, its text made inert because people `cat` it, and give its path.

    The same text under the same name is kept once. OSError where the folder cannot be written.
    """
    content = visible(file.text).encode()
    name = Path(safe_name(file.name))
    # Whole answers: for nobody else on this machine.
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number in count(1):
        path = folder / (name.name if number == 1 else f"{name.stem}-{number}{name.suffix}")
        try:
            _create(path, content)
            return path
        except FileExistsError:
            if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
                return path
    raise AssertionError("there is always another number")


def safe_name(name: str) -> str:
    """A name that stays in its folder and is easy to type: `../a b?.md` becomes `a_b_.md`."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w.-]+", "_", visible(last)).lstrip("._-")
    stem, dot, suffix = plain.rpartition(".")
    if not dot:
        stem, suffix = plain, ""
    suffix = suffix[:10]
    while stem and len(f"{stem}.{suffix}".encode()) > _LONGEST_NAME:
        stem = stem[:-1]
    return f"{stem or 'file'}{dot}{suffix}"


def _create(path: Path, content: bytes) -> None:
    # O_EXCL follows no link that somebody left here.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        try:
            handle.write(content)
            handle.flush()
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise
