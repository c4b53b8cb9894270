"""Which files of a folder are worth reading, and what is left out, by reason. Opens no file."""

import os
import stat
from collections import Counter
from dataclasses import dataclass, field

HIDDEN = "hidden"
MACHINERY = "folders of programs (node_modules and the like)"
LINKS = "links (add what they lead to)"
LARGE = "too large"
BINARY = "pictures, programs and other files without text"
PAGE_PARTS = "style sheets, scripts and drawings"
SPECIAL = "devices and pipes"
UNREADABLE = "folders that may not be listed"
NAMES = "names that are not UTF-8"
GONE = "gone before they were read"

_MACHINERY = frozenset({"node_modules", "__pycache__", "site-packages", "bower_components"})
_PAGE_PARTS = (".css", ".js", ".mjs", ".map", ".svg", ".xpm")


@dataclass(slots=True)
class Walk:
    """What was found under one root: files by path, what was left out, and folders that nothing is known of."""

    files: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unlisted: list[str] = field(default_factory=list)


def walk(root: str, largest: int) -> Walk:
    """The files under a root, in order. A root that is a file is taken whatever it is, for somebody named it.

    No link is followed: what it leads to is found where it is if it is in the folder. If it is not, a folder from
    elsewhere could have anything on this machine read with `notes.md -> ../../.ssh/id_ed25519`.
    """
    found = Walk()
    if not os.path.isdir(root):
        found.files.append(root)
        return found
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            found.unlisted.append(folder)
            found.skipped[UNREADABLE] += 1
            continue
        inner = []
        for entry in entries:
            reason = _why_not(entry, largest)
            if reason:
                found.skipped[reason] += 1
            elif entry.is_dir(follow_symlinks=False):
                inner.append(entry.path)
            else:
                found.files.append(entry.path)
        folders.extend(reversed(inner))
    return found


def _why_not(entry: os.DirEntry[str], largest: int) -> str:
    if entry.name.startswith("."):
        return HIDDEN
    if not _is_utf8(entry.name):
        return NAMES
    if entry.is_symlink():
        return LINKS
    if entry.is_dir(follow_symlinks=False):
        return MACHINERY if entry.name in _MACHINERY else ""
    if entry.name.lower().endswith(_PAGE_PARTS):
        return PAGE_PARTS
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return GONE
    if not stat.S_ISREG(status.st_mode):
        return SPECIAL
    return LARGE if status.st_size > largest else ""


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
