"""Files written whole and settled on disk, and what the disk refuses as the port's errors."""

import errno
import os
from itertools import count
from pathlib import Path

from adapters.folder.names import file_name
from adapters.port import Gone, NotDispatched, OutFile, PermissionMissing, SendError, Unknown
from adapters.safety import visible


class Unsettled(OSError):
    """It was written, but the disk did not confirm it."""


def put(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all, in place of what was there, and settle it on disk."""
    beside = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(descriptor)
    os.replace(beside, path)
    settle(path.parent)


def settle(folder: Path) -> None:
    """Wait until the names in `folder` are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def made(folder: Path) -> Path:
    """Make `folder` where it is missing; the one it belongs in must be there."""
    try:
        folder.mkdir()
    except FileExistsError:
        return folder
    settle(folder.parent)
    return folder


def keep(folder: Path, file: OutFile) -> str:
    """Keep a file of a document, its text made inert because people `cat` it, and give its name there.

    The same text under the same name is kept once, and nothing is written over a different text.
    """
    content = visible(file.text).encode()
    first = Path(file_name(file.name))
    for number in count(1):
        path = made(folder) / (first.name if number == 1 else f"{first.stem}-{number}{first.suffix}")
        if not os.path.lexists(path):
            put(path, content)
            return path.name
        if not path.is_symlink() and path.is_file() and path.read_bytes() == content:
            settle(folder)  # it may be there from a process that was killed before it did
            return path.name
    raise AssertionError("there is always another number")


def send_error(error: OSError, path: Path) -> SendError:
    """What an error of the disk means for a send to `path`. Gone, too, where a folder on the way is a file now."""
    why = error.strerror or str(error)
    if isinstance(error, Unsettled):
        return Unknown(f"{path.name} was written, but the disk did not confirm it: {why}")
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ESTALE:
            return Gone(f"{path} is not there any more")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            fix = f"let the user that runs this write to {path.parent} ({why})"
            return PermissionMissing(f"writing {path.name}", fix)
        case errno.ENOSPC | errno.EDQUOT:
            return NotDispatched(f"no space left for {path}: make room, then send it again")
        case _:
            return NotDispatched(f"{path} could not be written: {why}")
