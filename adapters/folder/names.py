"""Names from outside made fit for a key, a line or a file name: what is harmless stays as it is."""

import hashlib
import os.path
import re

from adapters.safety import one_line

_LONGEST = 200
_SAFE_FILE = re.compile(r"\w[\w.@+=,-]*")
_LONGEST_FILE = 150  # bytes; file systems take 255, and suffixes follow
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_DERIVED = re.compile(r"~[0-9a-f]{16}")


def plain(name: str) -> str:
    """A key or a person's name on one line, inert and not endless. Two names stay two."""
    if name == one_line(name) and len(name) <= _LONGEST and not _DERIVED.search(name[-17:]):
        return name
    return _derived(name, name)


def file_name(name: str) -> str:
    """A name for a file that stays in its folder; two names stay two: `../a b.md` becomes `a-b~0123456789abcdef.md`."""
    if _SAFE_FILE.fullmatch(name) and len(name.encode()) <= _LONGEST_FILE:
        return name
    stem, suffix = os.path.splitext(name)
    return _derived(stem, name) + suffix if _SUFFIX.fullmatch(suffix) else _derived(name, name)


def thread_name(key: str) -> str:
    """The thread of the invocation with this key, the same in every process."""
    return _derived(key, key)


def is_thread_name(name: str) -> bool:
    """Say whether `thread_name` could have made this."""
    return re.fullmatch(rf"[\w-]+{_DERIVED.pattern}", name) is not None


def _derived(shown: str, name: str) -> str:
    slug = re.sub(r"\W+", "-", shown).strip("-")[:40] or "unnamed"
    return f"{slug}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
