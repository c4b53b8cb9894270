"""Pages of the web as text: fetched, and read by whatever reads their kind in a process of its own.

Knows no model and no search: a page is a URL, a title and what it says.
"""

import asyncio
import codecs
from dataclasses import dataclass, field

from teams.model import FailureKind
from teams.reading import LIMITS as READING_LIMITS
from teams.reading import UnreadableDocument, read_document, read_web_page, without_hidden_characters
from teams.reading_child import ReadingLimits
from teams.sources.fetch import GUARD, LIMITS, Fetched, FetchLimits, fetch
from teams.sources.guard import Guard
from teams.sources.port import SourceFailed

LONGEST_TITLE = 300
"""Characters. A title names a source; some pages put their whole text there."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it was when it was read. `final_url` is where its redirects ended, `kind` is html, text or document."""

    final_url: str
    title: str
    text: str = field(repr=False)
    kind: str
    at: str


class Pages:
    """Reads pages. One object serves many at a time; each is judged, fetched and read by itself."""

    def __init__(
        self, guard: Guard = GUARD, limits: FetchLimits = LIMITS, reading: ReadingLimits = READING_LIMITS
    ) -> None:
        self._guard = guard
        self._limits = limits
        self._reading = reading

    async def read(self, url: str) -> Page | SourceFailed:
        """What the page at a URL says. Takes at most the seconds of both limits, one after the other."""
        fetched = await fetch(url, self._guard, self._limits)
        if isinstance(fetched, SourceFailed):
            return fetched
        # Also what a file's own reader says of it begins with this name, so nothing of the URL but the server is in it.
        name = f"the page at {fetched.server}"
        try:
            title, text = await self._text(name, fetched)
        except UnreadableDocument as why:
            # Behind the reason stands what to do about a file of one's own.
            return SourceFailed(fetched.server, FailureKind.UNREADABLE, str(why).partition(";")[0])
        return Page(fetched.url, title[:LONGEST_TITLE] or fetched.server, text, fetched.kind, fetched.at)

    async def _text(self, name: str, fetched: Fetched) -> tuple[str, str]:
        match fetched.kind:
            case "html":
                return await read_web_page(name, await _as_utf8(fetched), self._reading)
            case "document":
                return "", await read_document(name, fetched.body, self._reading)
            case _:
                return "", await self._plain(name, fetched)

    async def _plain(self, name: str, fetched: Fetched) -> str:
        text = await _decoded(fetched.body, fetched.charset or _guessed(fetched.body))
        if len(text) > self._reading.characters:
            raise UnreadableDocument(
                f"{name} has {len(text):,} characters of text; at most {self._reading.characters:,} are read"
            )
        shown = without_hidden_characters(text).replace("\x00", "")
        if not shown.strip():
            raise UnreadableDocument(f"{name} is empty")
        return shown


# --- Decoding

_PIECE = 65_536


async def _decoded(content: bytes, charset: str) -> str:
    """The text, with others having their turn meanwhile: five megabytes of some encodings take long."""
    decoder = codecs.getincrementaldecoder(charset)("replace")
    parts = []
    for start in range(0, len(content), _PIECE):
        parts.append(decoder.decode(content[start : start + _PIECE]))
        await asyncio.sleep(0)
    parts.append(decoder.decode(b"", final=True))
    return "".join(parts)


def _guessed(content: bytes) -> str:
    """The encoding of text that nobody named one for."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


async def _as_utf8(fetched: Fetched) -> bytes:
    """HTML as its reader takes it. A mark in the first bytes goes before the server's word, that before the page's own
    (HTML standard, "Determining the character encoding")."""
    marked = fetched.body.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if marked or not fetched.charset:
        return fetched.body
    text = await _decoded(fetched.body, fetched.charset)
    return codecs.BOM_UTF8 + text.encode("utf-8", "replace")
