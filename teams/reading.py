"""Foreign files to text: what a file is by its content, and its text out of a child process. Knows no chat.

Plain text is decoded here. Anything that needs a parser goes to `teams/reading_child.py`, which runs with limits.
"""

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from teams.reading_child import Reading, ReadingLimits, Reason

__all__ = ["LIMITS", "ReadingLimits", "UnreadableDocument", "read_document", "without_hidden_characters"]

LIMITS = ReadingLimits()
"""400,000 characters are about 100,000 tokens, which the default models take. A file of that length takes a few
seconds; 20 s of one processor and 1 GB leave room for untidy ones, and a bomb does no harm in them."""

# -I: neither the environment nor the working folder nor the user's own packages have a say. -X utf8: nor its language.
READER_COMMAND = (sys.executable, "-I", "-X", "utf8", str(Path(__file__).with_name("reading_child.py")))

REMOVED_CHARACTERS = "[hidden characters were removed]"
REMOVED_TEXT = "[hidden text was removed]"
DOUBTFUL_TEXT = "[some of this text may be invisible to a reader: white, hidden or under a picture]"
PARTIAL_TEXT = "[parts of this file could not be read]"


class UnreadableDocument(ValueError):
    """A file cannot be used as a document. The message is one sentence with the reason and the way out."""


async def read_document(
    name: str, content: bytes, limits: ReadingLimits = LIMITS, *, command: Sequence[str] = READER_COMMAND
) -> str:
    """The text of a file: as it is if it is plain text or Markdown, as Markdown if it is HTML, PDF or an Office file.

    What a person would not see is taken out or pointed to in the first lines, in brackets. Raises `UnreadableDocument`,
    which begins with the name. One file takes up to `limits.memory_bytes` and `limits.seconds`: callers with many read
    them one after the other. Cancelling kills the child.
    """
    name = " ".join(without_hidden_characters(name).split())
    kind = _kind(name, content, limits)
    if kind == "text":
        reading = Reading(_decoded(name, content, limits))
    else:
        reading = await _read_in_child(name, kind, content, limits, command)
    return _flagged(reading)


async def read_web_page(
    name: str, content: bytes, limits: ReadingLimits = LIMITS, *, command: Sequence[str] = READER_COMMAND
) -> tuple[str, str]:
    """Title and text of an HTML page from the web: as Markdown, without the menus and footers around what it says.

    Its bytes are UTF-8 with a byte order mark where the encoding is known, else as they came. What a person would not
    see is dealt with, and `UnreadableDocument` raised, as in `read_document`.
    """
    reading = await _read_in_child(name, "page", content, limits, command)
    return " ".join(without_hidden_characters(reading.title).split()), _flagged(reading)


# --- What a file is

_PICTURE = "a picture; give its text as a file"
_ARCHIVE = "a packed archive; unpack it and give the files that matter"
_MEDIA = "a recording; give its transcript"
_PROGRAM = "a program; give a document"

_REFUSED = {
    b"\x89PNG": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
    b"GIF8": _PICTURE,
    b"II*\x00": _PICTURE,
    b"MM\x00*": _PICTURE,
    b"RIFF": "a picture or a recording; give its text as a file",
    b"\x1f\x8b": _ARCHIVE,
    b"7z\xbc\xaf\x27\x1c": _ARCHIVE,
    b"Rar!\x1a\x07": _ARCHIVE,
    b"\xfd7zXZ\x00": _ARCHIVE,
    b"\x28\xb5\x2f\xfd": _ARCHIVE,
    b"BZh": _ARCHIVE,
    b"OggS": _MEDIA,
    b"ID3": _MEDIA,
    b"fLaC": _MEDIA,
    b"\x7fELF": _PROGRAM,
    b"MZ": _PROGRAM,
    b"{\\rtf": "an RTF file; save it as .docx or plain text",
    b"%!PS": "a PostScript file; save it as PDF",
}
"""First bytes to what is said. Only of files that are no valid text, but for the last two: prose may begin with MZ."""

_TEXT_MAGIC = (b"{\\rtf", b"%!PS")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")

_BEFORE_HTML = ((b"<?xml", b">"), (b"<!--", b"-->"))
_HTML = re.compile(rb"<(!doctype\s+html|html|head|body)\b")
_ANY_TAG = re.compile(rb"<[a-z!][^<]*>", re.I)


def _kind(name: str, content: bytes, limits: ReadingLimits) -> str:
    """`text`, or what the child calls it. Raises `UnreadableDocument` for what neither of us reads."""
    if len(content) > limits.file_bytes:
        raise UnreadableDocument(f"{name} is over {limits.file_bytes:,} bytes; give the part that matters")
    start = content[:4_096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"%PDF"):
        return "pdf"
    if content.startswith(_ZIP):
        return "office"
    if content.startswith(_OLE):
        raise UnreadableDocument(f"{name} is {_old_office(content)}")
    if _begins_as_html(start) or (name.lower().endswith((".html", ".htm", ".xhtml")) and _ANY_TAG.search(start)):
        return "html"
    return "text"


def _begins_as_html(start: bytes) -> bool:
    """Whether the first tag is one of HTML's own, behind any comments and XML declaration."""
    rest = start.lower()
    # No pattern: one for many comments in a row tries every way to divide them.
    while closing := next((closing for opening, closing in _BEFORE_HTML if rest.startswith(opening)), None):
        rest = rest.partition(closing)[2].lstrip()
    return _HTML.match(rest) is not None


def _old_office(content: bytes) -> str:
    if "EncryptedPackage".encode("utf-16-le") in content:
        return "protected with a password; save it without one and give it again"
    return "in an old Office format; save it as .docx, .xlsx, .pptx or PDF"


def _decoded(name: str, content: bytes, limits: ReadingLimits) -> str:
    known = next((says for magic, says in _REFUSED.items() if content.startswith(magic)), None)
    # ISO base media: the mark stands behind the size of the first box.
    if content[4:8] == b"ftyp":
        known = "a picture or a recording; give its text as a file"
    if len(content) > limits.text_bytes and not known:
        raise UnreadableDocument(f"{name} is over {limits.text_bytes:,} bytes; give the part that matters")
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        says = known or "not UTF-8 text; save it as plain text or Markdown in UTF-8"
        raise UnreadableDocument(f"{name} is {says}") from error
    if "\x00" in text or content.startswith(_TEXT_MAGIC):
        raise UnreadableDocument(f"{name} is {known or 'binary; save it as plain text or Markdown in UTF-8'}")
    if not text.strip():
        raise UnreadableDocument(_sentence(name, Reason.EMPTY, 0, limits))
    if len(text) > limits.characters:
        raise UnreadableDocument(
            f"{name} has {len(text):,} characters; at most {limits.characters:,} are read: give the part that matters"
        )
    return text


# --- What nobody sees

_HIDDEN = re.compile(
    "[\u200b\u200e\u200f\u2060-\u2064\u206a-\u206f\u180e\ufeff"  # no width at all
    "\u202a-\u202e\u2066-\u2069"  # turn the order of reading
    "\U000e0000-\U000e007f]"  # tags: a whole second alphabet, invisible
    # Single ones belong to emoji and to several scripts. In a row they are bits of a message.
    "|[\u200c\u200d]{2,}|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}"
)


def without_hidden_characters(text: str) -> str:
    """The text without characters that nobody sees but a model reads. Joiners of emoji and scripts stay."""
    return _HIDDEN.sub("", text)


def _flagged(reading: Reading) -> str:
    text = without_hidden_characters(reading.text).replace("\x00", "")
    flags = (
        (REMOVED_CHARACTERS, text != reading.text),
        (REMOVED_TEXT, reading.removed),
        (DOUBTFUL_TEXT, reading.doubtful),
        (PARTIAL_TEXT, reading.partial),
    )
    return "\n".join([*(flag for flag, flies in flags if flies), text])


# --- The child

_KINDS = {"pdf": "a PDF", "office": "an Office or zip file", "html": "a web page", "page": "a web page"}

_SENTENCES = {
    Reason.ARCHIVE: "is a zip archive and no Word, PowerPoint or Excel file; unpack it and give the files that matter",
    Reason.BINARY_WORKBOOK: "is a binary Excel workbook; save it as .xlsx",
    Reason.DAMAGED: "is {kind} that is damaged or made in an unusual way; open it, save it anew and give that",
    Reason.EMPTY: "is empty; leave it out or give another file",
    Reason.ENCRYPTED: "is protected with a password; save it without one and give it again",
    Reason.ENTRIES: "is an archive of {value:,} parts, of which at most {limits.entries:,} are opened; save it anew",
    Reason.LONG: "has over {limits.characters:,} characters of text, which is all that is read; give the part that "
    "matters",
    Reason.MEMORY: "needs over {limits.memory_bytes:,} bytes of memory to be read; give the part that matters",
    Reason.MISSING: "cannot be read here: a library for {kind} is missing; install panelist again, with what it needs",
    Reason.NESTED: "has parts within parts too deep to follow; save it as PDF or plain text",
    Reason.OPEN_DOCUMENT: "is an OpenDocument file; save it as .docx, .xlsx, .pptx or PDF",
    Reason.PAGES: "has {value:,} pages, of which at most {limits.pages:,} are read; give those that matter",
    Reason.RATIO: "unpacks to {value:,} times its size, as only a bomb does; save it anew from the program it is from",
    Reason.SCAN: "has no text on its pages ({value:,}), like a scan; have its text recognized and give that",
    Reason.TIME: "takes over {limits.cpu_seconds:,} seconds to be read; give the part that matters or plain text",
    Reason.UNPACKED: "unpacks to {value:,} bytes, of which at most {limits.unpacked_bytes:,} are read; give the part "
    "that matters",
}


def _sentence(name: str, reason: Reason, value: int, limits: ReadingLimits, kind: str = "") -> str:
    return f"{name} " + _SENTENCES[reason].format(value=value, limits=limits, kind=_KINDS.get(kind, "text"))


async def _read_in_child(
    name: str, kind: str, content: bytes, limits: ReadingLimits, command: Sequence[str]
) -> Reading:
    with tempfile.TemporaryDirectory(prefix="panelist-reading-") as folder:
        process = await _started(name, (*command, kind, json.dumps(asdict(limits))), folder)
        try:
            async with asyncio.timeout(limits.seconds):
                said = await _exchange(process, content, most=limits.characters * 6 + 1_000)
                await process.wait()
        except TimeoutError as error:
            raise UnreadableDocument(_sentence(name, Reason.TIME, 0, limits, kind)) from error
        finally:
            _kill_group(process)
            await process.wait()
    answer = _parsed(said)
    if isinstance(answer, Reading):
        return answer
    reason, value = answer or (_death(process.returncode), 0)
    raise UnreadableDocument(_sentence(name, reason, value, limits, kind))


async def _started(name: str, command: Sequence[str], folder: str) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Libraries complain about damaged files and quote them.
            stderr=asyncio.subprocess.DEVNULL,
            cwd=folder,
            # No key, no proxy, no path. Windows does not start programs without the one name.
            env={key: os.environ[key] for key in ("SYSTEMROOT",) if key in os.environ},
            # A group of its own, so that it can be killed with whatever it may have started.
            start_new_session=True,
        )
    except OSError as error:
        why = (error.strerror or "no reason given").lower()
        raise UnreadableDocument(
            f"{name} cannot be read now, for no process can be started ({why}); try again in a while"
        ) from error


async def _exchange(process: asyncio.subprocess.Process, content: bytes, most: int) -> bytes:
    """Gives the child the file and takes its answer: nothing if it is longer than any answer may be."""
    assert process.stdout is not None
    said = bytearray()
    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(_feed(process, content))
        while len(said) <= most and (part := await process.stdout.read(65_536)):
            said += part
        if len(said) > most:
            _kill_group(process)
            said.clear()
        # An answer may come before the file was taken in full.
        feeding.cancel()
    return bytes(said)


async def _feed(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(content)
        await process.stdin.drain()
    process.stdin.close()


def _kill_group(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()


def _parsed(said: bytes) -> Reading | tuple[Reason, int] | None:
    """The child's answer; nothing if it is none. It has read a hostile file, so its word is checked."""
    try:
        match json.loads(said):
            case {
                "text": str(text),
                "removed": bool(removed),
                "doubtful": bool(doubtful),
                "partial": bool(partial),
                **rest,
            }:
                return Reading(text, removed, doubtful, partial, str(rest.get("title", "")))
            case {"reason": str(reason), **rest}:
                value = rest.get("value", 0)
                return Reason(reason), value if isinstance(value, int) else 0
    except (ValueError, RecursionError):
        return None
    return None


def _death(code: int | None) -> Reason:
    """Why a child ended without an answer."""
    return Reason.TIME if code == -getattr(signal, "SIGXCPU", 0) else Reason.DAMAGED
