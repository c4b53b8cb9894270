"""The files of a folder as invocations: read, then moved once they are safe; nothing is deleted."""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import structlog

from adapters.folder.disk import made, put
from adapters.folder.names import file_name
from adapters.folder.parse import NoInvocation, invocation
from adapters.port import Invocation
from adapters.safety import one_line

LARGEST = 1_048_576
"""Bytes of one file."""
PATIENCE = 5
"""Polls that an invalid file may stay as it is, before it is rejected."""
_LONGEST_REST = 256  # polls
_LONGEST_NAME = 200  # bytes; a number and a suffix must fit behind a name that is moved
_Stamp = tuple[int, int, int]

log = structlog.get_logger()


class _Hopeless(NoInvocation):
    """It cannot become one either."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One file and what it asks."""

    file: str
    invocation: Invocation


@dataclass(slots=True)
class _Held:
    """A file that was seen, as long as it stays as it is."""

    stamp: _Stamp
    unchanged: int = 0  # polls
    rest: int = 0  # polls to leave it alone
    failures: int = 0
    delivered: bool = False
    complained: bool = False


class Inbox:
    """The invocations waiting in a folder. Its methods block; one thread at a time calls them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._in = folder / "in"
        self._held: dict[str, _Held] = {}

    def waiting(self) -> list[str]:
        """Look once: the names of the files to take now, oldest first. OSError where the folder cannot be read."""
        found: dict[str, _Held] = {}
        with os.scandir(self._in) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.lower().endswith((".json", ".txt")):
                    continue
                with suppress(FileNotFoundError):
                    found[entry.name] = self._seen(entry.name, _stamp(entry.stat(follow_symlinks=False)))
        self._held = found
        return [name for name in sorted(found, key=lambda name: (found[name].stamp[1], name)) if not found[name].rest]

    def take(self, name: str) -> Delivery | None:
        """Read one file of those waiting. None: it is not whole yet, gone, or was moved now."""
        held = self._held[name]
        if held.delivered:
            self._move_taken(name, held)
            return None
        try:
            content = self._read(name, held)
            return None if content is None else Delivery(name, invocation(name, content))
        except FileNotFoundError:
            return None
        except OSError as error:
            why = NoInvocation(f"it cannot be read: {error.strerror or error}")
        except NoInvocation as error:
            why = error
        if isinstance(why, _Hopeless) or held.unchanged >= PATIENCE:
            self._reject(name, held, str(why))
        return None

    def acknowledge(self, delivery: Delivery) -> None:
        """Move the file away: what it asks is safe. A file that was changed meanwhile stays, to be delivered too."""
        held = self._held[delivery.file]
        held.delivered = True
        self._move_taken(delivery.file, held)

    def put_off(self, delivery: Delivery) -> bool:
        """Leave the file alone for some polls, more each time. Says whether this is the first time."""
        held = self._held[delivery.file]
        held.failures += 1
        held.rest = min(2**held.failures, _LONGEST_REST)
        return held.failures == 1

    def _seen(self, name: str, stamp: _Stamp) -> _Held:
        held = self._held.get(name)
        if held is None or held.stamp != stamp:
            return _Held(stamp)
        held.unchanged += 1
        held.rest = max(held.rest - 1, 0)
        return held

    def _read(self, name: str, held: _Held) -> bytes | None:
        path = self._in / name
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise _Hopeless("it is a link, a pipe or a folder: put a regular file here")
        if name.lower().endswith(".txt") and not held.unchanged:
            return None  # half a text is a text too, so it has to stand still for a moment
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as handle:
            if _stamp(os.fstat(handle.fileno())) != held.stamp:
                return None
            content = handle.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise _Hopeless(f"it is larger than {LARGEST:,} bytes: shorten it or leave attachments out")
        return content

    def _move_taken(self, name: str, held: _Held) -> None:
        try:
            if _stamp(os.lstat(self._in / name)) == held.stamp:
                self._move(name, "taken")
        except FileNotFoundError:
            return
        except OSError as error:
            self._complain(name, held, error)

    def _reject(self, name: str, held: _Held, why: str) -> None:
        try:
            moved = self._move(name, "rejected")
            log.warning("invocation.rejected", file=one_line(name), why=why)
            put(moved.with_name(f"{moved.name}.reason.txt"), f"{one_line(name)} was not taken: {why}.\n".encode())
        except OSError as error:
            self._complain(name, held, error)

    def _move(self, name: str, where: str) -> Path:
        """Move a file, never over another."""
        folder = made(self._folder / where)
        stem, suffix = os.path.splitext(name if len(os.fsencode(name)) <= _LONGEST_NAME else file_name(name))
        for number in count(1):
            path = folder / f"{stem if number == 1 else f'{stem}-{number}'}{suffix}"
            if not os.path.lexists(path) and not os.path.lexists(f"{path}.reason.txt"):
                os.rename(self._in / name, path)
                return path
        raise AssertionError("there is always another number")

    def _complain(self, name: str, held: _Held, error: OSError) -> None:
        if not held.complained:
            log.error("invocation.not_moved", file=one_line(name), why=error.strerror or str(error))
        held.complained = True


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_ino, status.st_mtime_ns, status.st_size
