"""One page fetched from the web: through the guard, to the end of its redirects, within a size and a time.

Knows nothing of what pages say. Whatever goes wrong is a `SourceFailed` with a sentence that quotes no server.
"""

import asyncio
import codecs
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
from yarl import URL

from teams.model import FailureKind
from teams.sources.guard import Blocked, Guard
from teams.sources.port import SourceFailed

GUARD = Guard()


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one page may cost. `body_bytes` holds for what comes over the wire and for what it unpacks to; `seconds`
    pass from the first look-up of a name to the last byte, redirects included."""

    body_bytes: int = 5_000_000
    seconds: float = 15.0
    hops: int = 5


LIMITS = FetchLimits()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page as it came. `url` is where the redirects ended, and `server` the name of the server there.

    `kind` is how it is read: html, text or document. `charset` is the one that the server names, if it is one of the
    web's that Python knows; else nothing. `at` is when it came (ISO 8601, UTC).
    """

    url: str
    server: str
    kind: str
    charset: str
    body: bytes = field(repr=False)
    at: str


async def fetch(url: str, guard: Guard = GUARD, limits: FetchLimits = LIMITS) -> Fetched | SourceFailed:
    """The page at a URL. Nobody is asked for anything before the URL was found fit, nor at any redirect."""
    try:
        target = guard.checked(url)
    except Blocked as why:
        return SourceFailed("the page", FailureKind.REFUSED, f"the page was not fetched: its URL {why}")
    name = target.raw_host or "the page"
    try:
        async with asyncio.timeout(limits.seconds):
            return await _follow(target, guard, limits)
    except _Unfit as unfit:
        return SourceFailed(name, unfit.kind, f"{name} {unfit}")
    except TimeoutError:
        says = f"did not send the page within {limits.seconds:g} s"
        return SourceFailed(name, FailureKind.TIMED_OUT, f"{name} {says}")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        kind, says = _translated(error)
        return SourceFailed(name, kind, f"{name} {says}")


class _Unfit(Exception):
    """A server's answer is not read on. The message is the rest of a sentence that begins with the server's name."""

    def __init__(self, kind: FailureKind, says: str) -> None:
        super().__init__(says)
        self.kind = kind


def _translated(error: Exception) -> tuple[FailureKind, str]:
    # What the guard said stands behind what aiohttp made of it.
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, Blocked):
            return FailureKind.REFUSED, f"was not asked for the page: it {inner}"
        inner = getattr(inner, "os_error", None) or inner.__cause__
    match error:
        case aiohttp.ClientConnectorDNSError():
            return FailureKind.UNAVAILABLE, "cannot be found: there is no such server"
        case aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError():
            return FailureKind.UNAVAILABLE, "has no certificate that can be trusted"
        case aiohttp.ClientConnectorError():
            return FailureKind.UNAVAILABLE, "cannot be reached"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return FailureKind.CUT_OFF, "broke off in the middle of the page"
        case aiohttp.ClientResponseError() | ValueError():
            return FailureKind.UNREADABLE, "answers in a way that is not HTTP"
        case _:
            return FailureKind.UNAVAILABLE, "cannot be reached"


# --- Asking

_HEADERS = {
    "User-Agent": "panelist (reads single pages that a person's question led to)",
    "Accept": "text/html, application/xhtml+xml, text/markdown, text/plain, application/pdf, application/json;q=0.9, "
    "*/*;q=0.5",
    # What is not asked for is refused below: each further kind would be one more library to unpack a bomb with.
    "Accept-Encoding": "gzip, deflate",
    "Accept-Language": "en, *;q=0.5",
}

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def _follow(target: URL, guard: Guard, limits: FetchLimits) -> Fetched:
    async with aiohttp.ClientSession(
        connector=guard.connector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        auto_decompress=False,
        # Neither proxies nor logins out of the environment: with a proxy, its addresses would be those judged.
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        for _ in range(limits.hops + 1):
            async with session.get(target, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await _taken(response, limits)
                target = _next(response, guard)
    raise _Unfit(FailureKind.UNAVAILABLE, f"sends callers on over {limits.hops} times, which nobody follows")


def _next(response: aiohttp.ClientResponse, guard: Guard) -> URL:
    where = response.headers.get("Location", "")
    if not where:
        raise _Unfit(FailureKind.UNREADABLE, "sends callers on to nowhere")
    try:
        return guard.checked(where, base=response.url)
    except Blocked as why:
        raise _Unfit(FailureKind.REFUSED, f"sends callers on to a URL that is not followed: it {why}") from why


_STATUSES = {
    401: (FailureKind.REFUSED, "wants a login for the page"),
    403: (FailureKind.REFUSED, "does not give the page to programs"),
    404: (FailureKind.UNAVAILABLE, "has no such page"),
    410: (FailureKind.UNAVAILABLE, "has the page no more"),
    429: (FailureKind.RATE_LIMITED, "is asked too often and gives no page now"),
    451: (FailureKind.REFUSED, "may not give the page"),
}


async def _taken(response: aiohttp.ClientResponse, limits: FetchLimits) -> Fetched:
    if response.status != 200:
        failure, says = _STATUSES.get(response.status, (FailureKind.UNAVAILABLE, "does not give the page"))
        raise _Unfit(failure, f"{says} (HTTP {response.status})")
    kind = _kind(response)
    if (response.content_length or 0) > limits.body_bytes:
        raise _too_large(limits)
    body = bytearray()
    async for piece in _unpacked(response, limits):
        body += piece
        if len(body) > limits.body_bytes:
            raise _too_large(limits)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Fetched(str(response.url), response.url.raw_host or "", kind, _charset(response), bytes(body), at)


def _too_large(limits: FetchLimits) -> _Unfit:
    return _Unfit(FailureKind.TOO_LONG, f"has a page of over {limits.body_bytes:,} bytes, which is all that is read")


# --- What a page is

_OFFICE = (
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)


def _kind(response: aiohttp.ClientResponse) -> str:
    """`html`, `text` or `document`, by what the server says it is: what it is in truth, its reader finds out."""
    said = response.content_type if "Content-Type" in response.headers else ""
    if said in {"text/html", "application/xhtml+xml"}:
        return "html"
    if said.startswith("text/") or said == "application/json" or said.endswith("+json"):
        return "text"
    if said in {"application/pdf", "application/x-pdf", *_OFFICE}:
        return "document"
    raise _Unfit(FailureKind.UNREADABLE, "has no page there, but something that is neither text, PDF nor Office file")


# The encodings of the web (WHATWG, "Encoding", names and labels) as Python calls them. Python knows others under the
# same header that are no encodings of pages, and slow enough to stop a process.
_CHARSETS = frozenset(
    (
        *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp866", "koi8-r", "koi8-u", "mac-roman", "mac-cyrillic"),
        *(f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
        *(f"cp125{page}" for page in range(9)),
        *("cp874", "gbk", "gb18030", "big5", "euc_jp", "iso2022_jp", "shift_jis", "euc_kr"),
    )
)

# The standard reads the first as the last, for so the web is written.
_MEANT = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gbk", "tis-620": "cp874", "iso8859-9": "cp1254"}


def _charset(response: aiohttp.ClientResponse) -> str:
    try:
        known = codecs.lookup(response.charset or "").name
    except (LookupError, ValueError):
        return ""
    known = _MEANT.get(known, known)
    return known if known in _CHARSETS else ""


# --- Unpacking

_PIECE = 65_536
"""Bytes that are taken, unpacked or decoded at a time: well under a millisecond, after which others have their turn."""


async def _unpacked(response: aiohttp.ClientResponse, limits: FetchLimits) -> AsyncIterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip", "deflate"}:
        raise _Unfit(FailureKind.UNREADABLE, "packs the page in a way that was not asked for")
    inflate = None if encoding in {"identity", ""} else _Inflate(raw_allowed=encoding == "deflate")
    taken = 0
    async for packed in response.content.iter_chunked(_PIECE):
        # Of a page that unpacks to nothing, what comes is what has to be bounded.
        taken += len(packed)
        if taken > limits.body_bytes:
            raise _too_large(limits)
        for piece in inflate.pieces(packed) if inflate else (packed,):
            yield piece
            await asyncio.sleep(0)
    if inflate and not inflate.complete:
        raise _Unfit(FailureKind.CUT_OFF, "broke off in the middle of the page")


_WRAPPED = 32 + zlib.MAX_WBITS
"""gzip or zlib, whichever the first bytes say (zlib manual, `inflateInit2`)."""


class _Inflate:
    """gzip and deflate, never more than a piece at a time, however much a bomb would give."""

    def __init__(self, *, raw_allowed: bool) -> None:
        self._raw_allowed = raw_allowed
        self._begun = False
        self._inner = zlib.decompressobj(_WRAPPED)

    @property
    def complete(self) -> bool:
        """Whether the end was seen, or nothing came at all."""
        return self._inner.eof or not self._begun

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        more = bool(packed)
        while more:
            if self._inner.eof:
                # A gzip file may have several members. What else stands behind the first, browsers leave out too.
                if not packed.startswith(b"\x1f\x8b"):
                    return
                self._inner = zlib.decompressobj(_WRAPPED)
            piece = self._piece(packed)
            self._begun = True
            packed = self._inner.unconsumed_tail or self._inner.unused_data
            # A full piece may leave something inside, also when all that came has been taken.
            more = bool(packed) or (len(piece) == _PIECE and not self._inner.eof)
            yield piece

    def _piece(self, packed: bytes) -> bytes:
        try:
            return self._inner.decompress(packed, _PIECE)
        except zlib.error as error:
            # Some servers take "deflate" at its word and leave out the wrapping that the standard wants.
            if self._begun or not self._raw_allowed:
                raise _Unfit(FailureKind.UNREADABLE, "packs the page in a way that cannot be unpacked") from error
            self._raw_allowed = False
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._piece(packed)
