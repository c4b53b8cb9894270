"""Files that outlive the process: posts appended once per key, and a board replaced by newer ones only."""

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adapters.folder.disk import Unsettled, keep, put, send_error, settle
from adapters.port import OutFile, SendError


class Journal:
    """One append-only file of posts. Its methods block, and may be called by several threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._keys: set[str] = set()
        self._known: tuple[int, int] | None = None  # the inode and size that `_keys` are of

    def append(self, key: str, text: str, files: tuple[OutFile, ...], *, create: bool = False) -> SendError | None:
        """Append a post unless its key is there, its files first. None: the line and its files are on disk."""
        try:
            with self._lock, self._opened(create) as descriptor:
                if key not in self._keys:
                    names = [keep(self.path.with_suffix(".files"), file) for file in files]
                    post = {"post": key, "text": text, "files": names}
                    self._write(descriptor, json.dumps(post, ensure_ascii=False).encode() + b"\n")
                    self._keys.add(key)
        except OSError as error:
            return send_error(error, self.path)
        return None

    def has(self, key: str) -> bool | SendError:
        """Say whether a post with this key stands, or why that cannot be told."""
        try:
            with self._lock, self._opened(create=False):
                return key in self._keys
        except FileNotFoundError:
            return False
        except OSError as error:
            return send_error(error, self.path)

    @contextmanager
    def _opened(self, create: bool) -> Iterator[int]:
        """Open the file and know its keys: it is read again only if it is not as this object left it."""
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self.path, flags | os.O_CREAT if create else flags, 0o666)
        try:
            if self._known != _state(descriptor):
                self._keys = _keys(descriptor)
                # A line found here may have been written by a process that was killed before it settled it.
                os.fsync(descriptor)
                settle(self.path.parent)
                self._known = _state(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, line: bytes) -> None:
        before = os.fstat(descriptor).st_size
        self._known = None  # until this went well
        try:
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with suppress(OSError):  # else the next opening cuts it off
                os.ftruncate(descriptor, before)
            raise
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise Unsettled(error.errno, error.strerror) from error
        self._known = _state(descriptor)


class BoardFile:
    """One file with the newest board of `thread`. It blocks, and may be called by several threads at once."""

    def __init__(self, path: Path, thread: Path) -> None:
        self.path = path
        self._thread = thread
        self._lock = threading.Lock()
        self._revision: int | None = None

    def replace(self, revision: int, board: dict[str, object]) -> SendError | None:
        """Put `board` in place of an older one; a newer one or this very one stays."""
        try:
            with self._lock:
                os.stat(self._thread)
                if self._revision is None:
                    self._revision = _revision(self.path)
                if revision > self._revision:
                    content = json.dumps({"revision": revision, **board}, ensure_ascii=False, indent=1)
                    put(self.path, content.encode() + b"\n")
                    self._revision = revision
        except OSError as error:
            return send_error(error, self.path)
        return None


def _state(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size


def _keys(descriptor: int) -> set[str]:
    """The keys of all whole lines. A torn last line was never acknowledged: it is cut off, to be appended whole."""
    with os.fdopen(os.dup(descriptor), "rb") as handle:
        handle.seek(0)
        content = handle.read()
    *lines, torn = content.split(b"\n")
    if torn:
        os.ftruncate(descriptor, len(content) - len(torn))
    posts = [_object(line) for line in lines]
    return {key for post in posts if isinstance(key := post.get("post"), str)}


def _revision(path: Path) -> int:
    try:
        revision = _object(path.read_bytes()).get("revision")
    except FileNotFoundError:
        return -1
    return revision if isinstance(revision, int) else -1


def _object(content: bytes) -> dict[str, object]:
    """A JSON object; an empty one where somebody wrote something else."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
