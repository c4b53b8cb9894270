"""One web search over HTTP: a request, its answer as hits, and whatever can go wrong as a value.

What providers differ in is a `Provider`; how they are asked is here, once for all. Keys go into headers and nowhere
else, and of what a provider writes only its hits are ever shown.
"""

import asyncio
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from teams.model import FailureKind
from teams.proxies import proxy_for
from teams.reading import without_hidden_characters
from teams.sources.port import Hit, SourceFailed

SEARCH_SECONDS = 10.0
"""How long one provider may take, with all it asks us to wait. The next one in the chain has its own."""

LARGEST_ANSWER = 1_000_000
"""Bytes. Twenty hits are a few ten thousand."""

MOST_HITS = 20
"""What Tavily and Brave give at most for one search."""

_MOST_TRIES = 3
_SHORTEST_WAIT = 0.25

Failure = tuple[FailureKind, str]
"""A kind, and the rest of a sentence that begins with the provider."""

Row = tuple[str, str, str]
"""Title, URL and passage, as the provider has them."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call. With `body` it is posted as JSON, else the `query` goes into the URL."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Provider:
    """What one provider needs. `setting` is the variable to look at if it refuses, `base` the one of its address.

    `rows` reads an answer, and raises `Unanswered`, or any other ValueError for a shape it does not know. `meaning` is
    what a status means with this provider alone, by the first bytes of the answer.
    """

    name: str
    title: str
    setting: str
    base: str
    request: Callable[[str, int], Request] = field(repr=False)
    rows: Callable[[Mapping[str, object]], Iterable[Row]] = field(repr=False)
    meaning: Callable[[int, bytes], Failure | None] = field(default=lambda status, body: None, repr=False)


class Unanswered(ValueError):
    """The provider itself heard from nobody. The message is the rest of a sentence that begins with its title."""


class ProviderSearch:
    """One provider as a `SearchSource`. `seconds` bound each search as a whole."""

    def __init__(self, provider: Provider, seconds: float = SEARCH_SECONDS) -> None:
        self._provider = provider
        self._seconds = seconds

    @property
    def name(self) -> str:
        """The provider's name, as in `PANELIST_WEB`."""
        return self._provider.name

    async def search(self, query: str, most: int) -> tuple[Hit, ...] | SourceFailed:
        """At most `most` hits. A wish to wait is granted if it ends in time."""
        most = max(1, min(most, MOST_HITS))
        request = self._provider.request(shortened(query), most)
        try:
            async with asyncio.timeout(self._seconds) as limit:
                answer = await self._answer(request, limit)
        except TimeoutError:
            return self._failed(FailureKind.TIMED_OUT, f"did not answer within {self._seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._failed(*_translated(error))
        if not isinstance(answer, _Answer):
            return self._failed(*answer)
        try:
            return hits_of(self._provider.rows(_parsed(answer.body)), self.name, most)
        except Unanswered as why:
            return self._failed(FailureKind.UNAVAILABLE, str(why))
        except (ValueError, RecursionError):
            return self._failed(FailureKind.UNREADABLE, "gave an answer that cannot be read")

    def _failed(self, kind: FailureKind, says: str) -> SourceFailed:
        return SourceFailed(self.name, kind, f"{self._provider.title} {says}")

    async def _answer(self, request: Request, limit: asyncio.Timeout) -> "_Answer | Failure":
        clock = asyncio.get_running_loop().time
        for _ in range(_MOST_TRIES):
            answer = await _asked(request)
            if answer.status != 429 or answer.wait is None:
                break
            wait = max(answer.wait, _SHORTEST_WAIT)
            if clock() + wait >= (limit.when() or 0):
                break
            await asyncio.sleep(wait)
        return answer if answer.status == 200 else self._meaning(answer)

    def _meaning(self, answer: "_Answer") -> Failure:
        own = self._provider.meaning(answer.status, answer.body)
        if own is not None:
            return own
        match answer.status:
            case 401 | 403:
                return FailureKind.REFUSED, f"refused the key; check {self._provider.setting}"
            case 402:
                return FailureKind.REFUSED, "has no credit left for this account; look at the account"
            case 429:
                return FailureKind.RATE_LIMITED, "is limiting requests; ask again in a while"
            case status if 300 <= status < 400 or status in {404, 405}:
                return FailureKind.UNAVAILABLE, f"has no search at its address; check {self._provider.base}"
            case status if status >= 500:
                return FailureKind.UNAVAILABLE, f"failed (HTTP {status})"
            case status:
                return FailureKind.REFUSED, f"did not accept the search (HTTP {status})"


# --- Asking


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back. `wait` is how many seconds the provider wants to be left alone, if it says so."""

    status: int
    body: bytes = field(repr=False)
    wait: float | None


async def _asked(request: Request) -> _Answer:
    async with (
        aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None), trust_env=False
        ) as session,
        session.request(
            "GET" if request.body is None else "POST",
            request.url,
            params=dict(request.query) or None,
            json=request.body,
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", **request.headers},
            # The key would go along.
            allow_redirects=False,
            proxy=proxy_for(request.url),
        ) as response,
    ):
        body = bytearray()
        async for piece in response.content.iter_chunked(65_536):
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise ValueError("too large")
        return _Answer(response.status, bytes(body), _wait(response.headers))


def _translated(error: Exception) -> Failure:
    match error:
        case aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError():
            return FailureKind.UNAVAILABLE, "has no certificate that can be trusted"
        case aiohttp.ClientConnectorError():
            return FailureKind.UNAVAILABLE, "cannot be reached"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return FailureKind.UNAVAILABLE, "broke off in the middle of its answer"
        case aiohttp.ClientResponseError() | ValueError():
            return FailureKind.UNREADABLE, "gave an answer that cannot be read"
        case _:
            return FailureKind.UNAVAILABLE, "cannot be reached"


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds from `Retry-After` (RFC 9110, 10.2.3), else from the limits that are used up.

    Of those, Brave gives one figure per window, in seconds ("Response Headers", X-RateLimit-Reset).
    """
    wish = headers.get("Retry-After", "").strip()
    if wish.isascii() and wish.isdecimal():
        return float(wish[:9])
    try:
        if wish:
            at = parsedate_to_datetime(wish)
            return max((at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
        left = [int(each) for each in headers.get("X-RateLimit-Remaining", "").split(",")]
        resets = [float(each) for each in headers.get("X-RateLimit-Reset", "").split(",")]
        return max(reset for remaining, reset in zip(left, resets, strict=True) if remaining <= 0)
    except (ValueError, OverflowError):
        return None


# --- Answers


def _parsed(body: bytes) -> Mapping[str, object]:
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("not an object")
    return answer


def rows_at(answer: object, *path: str) -> Iterator[Mapping[str, object]]:
    """The objects in the list at a path of keys. Raises ValueError where the answer is made otherwise."""
    for key in path:
        if not isinstance(answer, Mapping) or key not in answer:
            raise ValueError(f"no {key}")
        answer = answer[key]
    if not isinstance(answer, list):
        raise ValueError("no list")
    yield from (row for row in answer if isinstance(row, Mapping))


def text_at(row: Mapping[str, object], key: str) -> str:
    """A string of a row; empty where there is none."""
    value = row.get(key)
    return value if isinstance(value, str) else ""


def hits_of(rows: Iterable[Row], provider: str, most: int) -> tuple[Hit, ...]:
    """The rows as hits: each address once, only of the web, all as short as a list can bear."""
    found: dict[str, Hit] = {}
    for title, where, passage in rows:
        where = where.strip()
        if len(found) < most and where not in found and _WEB.fullmatch(where):
            found[where] = Hit(
                _plain(title, _LONGEST_TITLE) or where, where, _plain(passage, _LONGEST_PASSAGE), provider
            )
    return tuple(found.values())


_WEB = re.compile(r"https?://[^\s\x00-\x1f]{1,1990}", re.IGNORECASE)
_LONGEST_TITLE = 300
_LONGEST_PASSAGE = 2_000


def _plain(text: str, longest: int) -> str:
    return " ".join(without_hidden_characters(text.replace("\x00", "")).split())[:longest]


def without_tags(text: str) -> str:
    """Text that a provider gives as HTML."""
    return html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", text))


# --- Questions


def shortened(query: str) -> str:
    """A query that every provider takes: at most 50 words and 400 characters (Brave, "Query parameters", q; Tavily)."""
    words = query.split()[:50]
    while len(words) > 1 and len(" ".join(words)) > 400:
        words.pop()
    return " ".join(words)[:400]
