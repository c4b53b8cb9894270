"""Requests to a model's server on pooled connections, and replies that are read whole. Knows no provider."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from dspy import lm15
from dspy.utils.exceptions import LMError
from multidict import CIMultiDict
from yarl import URL

from teams.proxies import proxy_for

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of one response that are read: far above any answer, it bounds what a broken server can make us hold."""

CONNECT_SECONDS = 10.0
"""How long a TCP and TLS connection may take, as in DSPy's native client (lm15 `Timeouts.connect`)."""


class ServerRedirects(LMError):
    """The server sends callers elsewhere; they are not taken there, for their key would go along."""

    default_code = "redirects"


def _too_large() -> lm15.CollectionLimitError:
    return lm15.CollectionLimitError(f"the response is over {LARGEST_ANSWER:,} bytes", limit="bytes")


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where requests of one kind go, and their headers, the key among them. Made once: parsing a URL and reading the
    environment would be a fifth of a call's work. `proxy` is the one that the environment named then."""

    url: URL
    headers: CIMultiDict[str]
    proxy: URL | None

    @classmethod
    def of(cls, request: Any) -> "Address":
        """The address of an lm15 transport request."""
        proxy = proxy_for(request.url)
        return cls(URL(request.url), CIMultiDict(request.headers), None if proxy is None else URL(proxy))


@dataclass(frozen=True, slots=True)
class Arrived:
    """A reply that was read whole, in the shape that lm15's provider adapters read."""

    status: int
    reason: str
    fields: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    http_version: str = "HTTP/1.1"

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The reply's headers; a list only where somebody asks."""
        return list(self.fields.items())

    async def read(self) -> bytes:
        """The body."""
        return self.body

    async def aiter_lines(self) -> AsyncIterator[bytes]:
        """The body by lines."""
        for line in self.body.splitlines(keepends=True):
            yield line


class _Reply:
    """A reply that is still arriving, in the same shape."""

    http_version = "HTTP/1.1"

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply
        self.status = reply.status
        self.reason = reply.reason or ""
        self.headers = list(reply.headers.items())

    async def read(self) -> bytes:
        return await _whole(self._reply.content)

    async def aiter_lines(self) -> AsyncIterator[bytes]:
        taken = 0
        async for line in self._reply.content:
            taken += len(line)
            if taken > LARGEST_ANSWER:
                raise _too_large()
            yield line


async def _whole(content: aiohttp.StreamReader) -> bytes:
    first = await content.readany()
    if content.at_eof() and len(first) <= LARGEST_ANSWER:
        return first
    body = bytearray(first)
    while not content.at_eof():
        if len(body) > LARGEST_ANSWER:
            raise _too_large()
        body.extend(await content.readany())
    if len(body) > LARGEST_ANSWER:
        raise _too_large()
    return bytes(body)


_outcome: ContextVar[Arrived | Exception | None] = ContextVar("outcome", default=None)


@contextmanager
def with_outcome(outcome: Arrived | Exception) -> Iterator[None]:
    """Requests of the block are not sent: their outcome is this one, which was met before."""
    token = _outcome.set(outcome)
    try:
        yield
    finally:
        _outcome.reset(token)


def has_outcome() -> bool:
    """Whether this is in a block of `with_outcome`."""
    return _outcome.get() is not None


class AiohttpTransport:
    """lm15's transport contract on one aiohttp session without a connection limit: the engine limits calls instead."""

    def __init__(self) -> None:
        # Opened by the first call: a model without a key never makes one.
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise lm15.TransportError("the connections were closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                # A cookie would tie the calls of all users together.
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    @asynccontextmanager
    async def stream(self, request: Any) -> AsyncIterator[_Reply | Arrived]:
        """Send `request` and give its response. Raises `lm15.TransportError` and `ServerRedirects`."""
        outcome = _outcome.get()
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            yield outcome
            return
        try:
            async with self._sent(Address.of(request), request.body, request.method) as reply:
                _refuse_redirect(reply.status)
                yield _Reply(reply)
        except (aiohttp.ClientError, OSError) as error:
            raise lm15.TransportError(type(error).__name__) from error

    async def exchange(self, address: Address, body: bytes) -> Arrived:
        """Post `body` and read the reply, whatever its status. Raises as `stream` does."""
        try:
            async with self._sent(address, body, "POST") as reply:
                _refuse_redirect(reply.status)
                return Arrived(reply.status, reply.reason or "", reply.headers, await _whole(reply.content))
        except (aiohttp.ClientError, OSError) as error:
            raise lm15.TransportError(type(error).__name__) from error

    def _sent(self, address: Address, body: bytes, method: str) -> Any:
        return self._opened().request(
            method,
            address.url,
            headers=address.headers,
            data=body,
            allow_redirects=False,  # a redirect would carry the key to another host
            proxy=address.proxy,
        )

    async def aclose(self) -> None:
        """Close every connection; calls from now on fail."""
        self._closed = True
        if self._session is not None:
            await self._session.close()


def _refuse_redirect(status: int) -> None:
    if 300 <= status < 400:
        raise ServerRedirects("the server redirects", status=status)
