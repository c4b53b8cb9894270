"""What all requests of a kind have in common, cut out of one that DSPy's provider adapter made. Knows no provider."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from dspy import lm15

from teams.transport import Address

Send = Callable[[Any, list[dict[str, str]]], Awaitable[None]]
"""Has a provider's adapter send a request for these OpenAI-shaped messages through that transport."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A request with two holes for text: `parts` are the bytes before, between and behind them.

    `swapped` says that the user's text comes before the system's.
    """

    address: Address
    parts: tuple[bytes, bytes, bytes]
    swapped: bool

    def body(self, system: str, user: str) -> bytes:
        """The request's body with both texts. Raises `TypeError` for text that has no UTF-8 form."""
        head, middle, tail = self.parts
        constant, changing = _encoded(system), orjson.dumps(user)
        first, second = (changing, constant) if self.swapped else (constant, changing)
        return b"".join((head, first, middle, second, tail))


# There are as many system prompts as signatures.
@lru_cache(maxsize=256)
def _encoded(text: str) -> bytes:
    return orjson.dumps(text)


async def frame_from(send: Send) -> Frame | None:
    """The frame of the requests that `send` makes, or None where they differ in more than their two texts (as a signed
    request does) or cannot be made at all."""
    first = await _probed(send, "first")
    return first if first is not None and first == await _probed(send, "the second") else None


async def _probed(send: Send, which: str) -> Frame | None:
    system, user = f"panelist system {which}", f"panelist user {which}"
    recorder = _Recorder()
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    try:
        await send(recorder, messages)
    except _Recorded:
        return _cut(recorder.request, _encoded(system), _encoded(user))
    except lm15.LM15Error:
        # A call meets the same refusal, and then tells it.
        return None
    return None


def _cut(request: Any, system: bytes, user: bytes) -> Frame | None:
    body: bytes = request.body
    if request.method != "POST" or body.count(system) != 1 or body.count(user) != 1:
        return None
    swapped = body.index(user) < body.index(system)
    first, second = (user, system) if swapped else (system, user)
    head, _, rest = body.partition(first)
    middle, _, tail = rest.partition(second)
    return Frame(Address.of(request), (head, middle, tail), swapped)


class _Recorded(Exception):
    """The request was recorded and not sent."""


class _Recorder:
    """A transport that keeps the request instead of sending it."""

    def __init__(self) -> None:
        self.request: Any = None

    @asynccontextmanager
    async def stream(self, request: Any) -> AsyncIterator[Any]:
        self.request = request
        raise _Recorded
        yield
