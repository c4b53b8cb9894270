"""The engine: DSPy's engine contract on a pooled aiohttp transport; DSPy's own provider adapters do the mapping.

DSPy's native client stops at 100 calls in flight per LM and counts the wait for a connection against the timeout. Here
the number in flight is ours to set, waiting for a slot costs nothing, and the timeout is that of one call.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from dspy import lm15
from dspy.utils.exceptions import LMError

from teams.proxies import proxy_for
from teams.retry import mark_queued
from teams.tiers import ModelChoice
from teams.usage import current_meter

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of one response that are read: far above any answer, it bounds what a broken server can make us hold."""

CONNECT_SECONDS = 10.0
"""How long a TCP and TLS connection may take, as in DSPy's native client (lm15 `Timeouts.connect`)."""


class AnswerCutOff(LMError):
    """The model stopped at its length limit: what it wrote is not an answer."""

    default_code = "cut_off"


class AnswerRefused(LMError):
    """The model, or its provider's filter, declined to answer."""

    default_code = "refused"


class ServerRedirects(LMError):
    """The server sends callers elsewhere; they are not taken there, for their key would go along."""

    default_code = "redirects"


def _too_large() -> lm15.CollectionLimitError:
    return lm15.CollectionLimitError(f"the response is over {LARGEST_ANSWER:,} bytes", limit="bytes")


class _Reply:
    """An aiohttp response in the shape that lm15's provider adapters read."""

    http_version = "HTTP/1.1"

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply
        self.status = reply.status
        self.reason = reply.reason or ""
        self.headers = list(reply.headers.items())

    async def read(self) -> bytes:
        body = bytearray()
        async for chunk in self._reply.content.iter_any():
            body.extend(chunk)
            if len(body) > LARGEST_ANSWER:
                raise _too_large()
        return bytes(body)

    async def aiter_lines(self) -> AsyncIterator[bytes]:
        taken = 0
        async for line in self._reply.content:
            taken += len(line)
            if taken > LARGEST_ANSWER:
                raise _too_large()
            yield line


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
            )
        return self._session

    @asynccontextmanager
    async def stream(self, request: Any) -> AsyncIterator[_Reply]:
        """Send `request` and give its response. Raises `lm15.TransportError`."""
        try:
            async with self._opened().request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,  # a redirect would carry the key to another host
                proxy=proxy_for(request.url),
            ) as reply:
                if 300 <= reply.status < 400:
                    raise ServerRedirects("the server redirects", status=reply.status)
                yield _Reply(reply)
        except (aiohttp.ClientError, OSError) as error:
            raise lm15.TransportError(type(error).__name__) from error

    async def aclose(self) -> None:
        """Close every connection; calls from now on fail."""
        self._closed = True
        if self._session is not None:
            await self._session.close()


class _LiteLLMProvider:
    """A provider that only litellm has a door for, in the shape of lm15's provider LMs."""

    def __init__(self, choice: ModelChoice) -> None:
        from dspy.clients.engines.litellm_engine import AsyncLiteLLMEngine

        key = {"api_key": choice.api_key.get_secret_value()} if choice.api_key else {}
        self._engine = AsyncLiteLLMEngine(model_type="chat", timeout=choice.timeout, **key)

    async def complete(self, request: lm15.Request) -> lm15.Response:
        try:
            return await self._engine.complete(request)
        except lm15.InvalidRequestError as error:
            # litellm's words for a name whose provider it does not know either.
            if "LLM Provider NOT provided" in str(error):
                raise lm15.UnsupportedModelError(f"no provider is known for {request.model}", status=404) from error
            raise


@dataclass(slots=True)
class _Pool:
    """What belongs to one event loop: its slots, its connections, the provider that uses them."""

    slots: asyncio.Semaphore
    transport: AiohttpTransport
    provider: Any
    wire_model: str


class PooledEngine:
    """The async engine of one model. One object serves every event loop of the process, each with its own pool."""

    def __init__(self, choice: ModelChoice) -> None:
        self.choice = choice
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """One call, one attempt. At most `max_parallel_requests` are in flight on this loop; the rest wait their turn.

        Raises lm15 errors, and `AnswerCutOff` or `AnswerRefused` for an answer that is none.
        """
        pool = self._pool()
        mark_queued(True)
        async with pool.slots:
            mark_queued(False)
            meter = current_meter()
            meter.sent(self.choice.model)
            try:
                async with asyncio.timeout(self.choice.timeout):
                    response = await self._asked(pool, replace(request, model=pool.wire_model))
            except TimeoutError as error:
                raise lm15.TimeoutError(f"no answer within {self.choice.timeout:g} s") from error
            except Exception as error:
                if not 200 <= (getattr(error, "status", None) or 200) < 300:
                    meter.told(0, 0)  # an error that the server answered with is not charged
                raise
        meter.told(response.usage.input_tokens, response.usage.output_tokens)
        return accepted(response)

    async def _asked(self, pool: _Pool, request: lm15.Request) -> lm15.Response:
        if self.choice.streamed:
            # llama.cpp works on for a caller who has gone until it next writes: a stream frees its slot at once.
            return await lm15.amaterialize_response(pool.provider.stream(request), request)
        return await pool.provider.complete(request)

    async def aclose(self) -> None:
        """Close this event loop's connections. The engine may be used again; it then opens new ones."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.transport.aclose()

    def _pool(self) -> _Pool:
        loop = asyncio.get_running_loop()
        # A session refers to its loop, so a pool whose loop ended without aclose would stay for ever.
        for ended in [other for other in self._pools if other.is_closed()]:
            del self._pools[ended]
        pool = self._pools.get(loop)
        if pool is None:
            transport = AiohttpTransport()
            provider, wire_model = _provider(self.choice, transport)
            pool = _Pool(asyncio.Semaphore(self.choice.max_parallel_requests), transport, provider, wire_model)
            self._pools[loop] = pool
        return pool


class BlockingEngine:
    """The sync engine that DSPy's contract asks for beside the async one: plain calls, for scripts and notebooks.

    It serves the providers that DSPy's native client knows; its timeout is that of one wait for data.
    """

    def __init__(self, choice: ModelChoice, pooled: PooledEngine) -> None:
        self.choice = choice
        self.pooled = pooled
        self._slots = threading.BoundedSemaphore(choice.max_parallel_requests)

    def complete(self, request: lm15.Request) -> lm15.Response:
        """One call, one attempt, blocking the calling thread. Raises as `PooledEngine.complete` does."""
        timeouts = lm15.Timeouts(connect=CONNECT_SECONDS, read=self.choice.timeout)
        router = lm15.LMRouter(_config(self.choice, timeouts=timeouts))
        try:
            route = _route(self.choice, router)
            with self._slots:
                return accepted(router.lm(route).complete(replace(request, model=route.partition(":")[2])))
        finally:
            router.close()


def accepted(response: lm15.Response) -> lm15.Response:
    """The response when it is a whole answer. Raises `AnswerCutOff` and `AnswerRefused`."""
    if response.finish_reason == "length":
        raise AnswerCutOff("the answer reached the length limit", model=response.model)
    if response.finish_reason == "content_filter" or response.message.parts_of(lm15.RefusalPart):
        raise AnswerRefused("the model declined", model=response.model)
    return response


def _config(choice: ModelChoice, **given: Any) -> lm15.RouterConfig:
    provider = _route(choice, lm15.LMRouter()).partition(":")[0]
    if choice.api_key is not None:
        given["api_keys"] = {provider: choice.api_key.get_secret_value()}
    elif choice.api_base is not None:
        # Without this, lm15 would look for OPENAI_API_KEY and hand it to somebody else's server.
        given["api_keys"] = {provider: "none"}
    if choice.api_base is not None:
        given["base_urls"] = {provider: choice.api_base.rstrip("/")}
    return lm15.RouterConfig(**given)


def _route(choice: ModelChoice, router: Any) -> str:
    """The lm15 route `provider:model`. A server named by an API base speaks OpenAI's chat completions, always."""
    if choice.api_base is not None:
        return f"openai-chat:{choice.served_as or choice.model.removeprefix('openai/')}"
    resolution = router.resolve_openai_chat(choice.model)
    return f"{resolution.provider}:{resolution.model}"


def _provider(choice: ModelChoice, transport: AiohttpTransport) -> tuple[Any, str]:
    """What answers the calls, and the model's name on the wire."""
    try:
        router = lm15.AsyncLMRouter(_config(choice, transport=transport))
    except lm15.UnknownModelError:
        # DSPy's adapters have no door to this provider, litellm may.
        return _LiteLLMProvider(choice), choice.model
    route = _route(choice, router)
    return router.lm(route), route.partition(":")[2]
