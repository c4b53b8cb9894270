"""The engine: DSPy's engine contract on a pooled aiohttp transport; DSPy's own provider adapters do the mapping.

DSPy's native client stops at 100 calls in flight per LM and counts the wait for a connection against the timeout. Here
the number in flight is ours to set, waiting for a slot costs nothing, and the timeout is that of one call.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from dspy import lm15
from dspy.utils.exceptions import LMError

from teams.frames import Frame, frame_from
from teams.replies import PlainAnswer, plain_answer
from teams.retry import ends_within, mark_queued
from teams.tiers import ModelChoice
from teams.transport import CONNECT_SECONDS, AiohttpTransport, Arrived, has_outcome, with_outcome
from teams.usage import current_meter

T = TypeVar("T")

Settings = tuple[tuple[str, type, Any], ...]
"""Settings of a request, such as `("temperature", float, 0.2)`; with the type, for 1 and 1.0 are sent differently."""

FRAMES_KEPT = 16
"""For how many different settings frames are kept at most: a panel has one."""


class AnswerCutOff(LMError):
    """The model stopped at its length limit: what it wrote is not an answer."""

    default_code = "cut_off"


class AnswerRefused(LMError):
    """The model, or its provider's filter, declined to answer."""

    default_code = "refused"


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

    @property
    def speaks_openai(self) -> bool:
        """Whether replies are OpenAI's chat completions."""
        return type(self.provider) is lm15.AsyncOpenAIChatLM


class PooledEngine:
    """The async engine of one model. One object serves every event loop of the process, each with its own pool."""

    def __init__(self, choice: ModelChoice) -> None:
        self.choice = choice
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()
        self._frames: dict[Settings, Frame | None] = {}

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """One call, one attempt. At most `max_parallel_requests` are in flight on this loop; the rest wait their turn.

        In a block of `with_outcome` nothing is sent: what was met before is mapped. Raises lm15 errors, and
        `AnswerCutOff` or `AnswerRefused` for an answer that is none.
        """
        pool = self._pool()
        request = replace(request, model=pool.wire_model)
        meter = current_meter()
        try:
            if has_outcome():
                response = await self._asked(pool, request)
            else:
                response = await self._in_a_slot(pool, self._asked, pool, request)
        except Exception as error:
            if not 200 <= (getattr(error, "status", None) or 200) < 300:
                meter.told(0, 0)  # an error that the server answered with is not charged
            raise
        meter.told(response.usage.input_tokens, response.usage.output_tokens)
        return accepted(response)

    async def exchange(self, frame: Frame, body: bytes) -> Arrived:
        """The reply to one request, sent as `complete` sends it, and not yet mapped. Raises lm15 errors."""
        pool = self._pool()
        return await self._in_a_slot(pool, pool.transport.exchange, frame.address, body)

    async def _in_a_slot(self, pool: _Pool, call: Callable[..., Awaitable[T]], *args: Any) -> T:
        queued = pool.slots.locked()
        if queued:
            mark_queued(True)
        async with pool.slots:
            if queued:
                mark_queued(False)
            current_meter().sent(self.choice.model)
            if ends_within(self.choice.timeout):
                return await call(*args)
            try:
                async with asyncio.timeout(self.choice.timeout):
                    return await call(*args)
            except lm15.LM15Error:
                raise  # one of them is a TimeoutError: a server that gave up waiting, which is no clock of ours
            except TimeoutError as error:
                raise lm15.TimeoutError(f"no answer within {self.choice.timeout:g} s") from error

    async def frame(self, settings: Settings) -> Frame | None:
        """What all requests with these settings (`temperature`, `max_tokens`, …) have in common; None where one is
        not to be had: from a provider that streams, that litellm serves, or whose credential may change."""
        if settings not in self._frames:
            if len(self._frames) >= FRAMES_KEPT:
                self._frames.clear()
            self._frames[settings] = await self._framed({name: value for name, _, value in settings})
        return self._frames[settings]

    async def _framed(self, settings: dict[str, Any]) -> Frame | None:
        choice = self.choice
        if choice.streamed or (choice.api_key is None and choice.api_base is None):
            return None

        async def send(transport: Any, messages: list[dict[str, str]]) -> None:
            provider, wire_model = _provider(choice, transport)
            if isinstance(provider, _LiteLLMProvider):
                raise lm15.UnsupportedFeatureError("litellm sends its requests itself")
            request = lm15.request_from_openai_chat({"model": choice.model, "messages": messages, **settings})
            await provider.complete(replace(request, model=wire_model))

        return await frame_from(send)

    async def text_of(self, arrived: Arrived) -> str | None:
        """The text of a reply to `exchange` that is a whole answer of text and nothing else; None for any other, which
        is for `complete` to map."""
        pool = self._pool()
        plain = plain_answer(arrived) if pool.speaks_openai else await _plain(pool, arrived)
        if plain is None:
            return None
        current_meter().told(plain.input_tokens, plain.output_tokens)
        return plain.text

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
        pool = self._pools.get(loop)
        if pool is None:
            # A session refers to its loop, so a pool whose loop ended without aclose would stay for ever.
            for ended in [other for other in self._pools if other.is_closed()]:
                del self._pools[ended]
            transport = AiohttpTransport()
            provider, wire_model = _provider(self.choice, transport)
            pool = _Pool(asyncio.Semaphore(self.choice.max_parallel_requests), transport, provider, wire_model)
            self._pools[loop] = pool
        return pool


async def _plain(pool: _Pool, arrived: Arrived) -> PlainAnswer | None:
    """A provider's reply of another form than OpenAI's, read by DSPy's adapter for it."""
    if arrived.status != 200:
        return None
    # How a reply to plain text is read does not depend on the text.
    request = lm15.Request(model=pool.wire_model, messages=(lm15.Message.user("text"),))
    try:
        with with_outcome(arrived):
            response = await pool.provider.complete(request)
    except Exception:  # noqa: BLE001 - met again, and told, where DSPy maps the reply
        return None
    parts = response.message.parts
    if response.finish_reason != "stop" or not all(type(part) is lm15.TextPart for part in parts) or response.logprobs:
        return None
    text = "".join(part.text for part in parts)
    return PlainAnswer(text, response.usage.input_tokens, response.usage.output_tokens) if text else None


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


def _provider(choice: ModelChoice, transport: Any) -> tuple[Any, str]:
    """What answers the calls, and the model's name on the wire."""
    try:
        router = lm15.AsyncLMRouter(_config(choice, transport=transport))
    except lm15.UnknownModelError:
        # DSPy's adapters have no door to this provider, litellm may.
        return _LiteLLMProvider(choice), choice.model
    route = _route(choice, router)
    return router.lm(route), route.partition(":")[2]
