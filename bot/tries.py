"""The tries of one send: what is tried again and how long, and front ends that break."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from adapters.port import NotDispatched, RateLimited, Receipt, SendError, Unknown, Unreadable
from bot.pace import Lane

log = structlog.get_logger()
T = TypeVar("T")

UNKNOWN_TRIES = 8
"""How often a send is tried whose end stays unknown, for about two minutes: each might be one too many."""

LONGEST_WAIT = 3_600.0
"""Seconds that a place may ask to wait before a post is given up."""

BREAKS = Unknown("the front end broke; the log says more")
BROKEN = Receipt("unknown", error=BREAKS)
"""What is known of a send at which the front end broke: nothing."""


LATE_TRIES = 3
"""How often a notice is sent again that a place asked to wait with."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the courier tries one post, or a notice that was to wait, and how it waits between tries; in seconds."""

    post: float = 900.0
    notice: float = 30.0
    first: float = 0.5
    longest: float = 30.0


async def guarded(call: Awaitable[T], otherwise: T) -> T:
    """What a front end gives. One that breaks does not break the run: then it is as if nobody knew what it did."""
    try:
        return await call
    except Exception:
        log.exception("front_end.broke")
        return otherwise


def looked(key: str, found: T | Unreadable) -> T | None:
    """What looking for a post came to. Where the platform does not let the bot look it is as if nothing stood there:
    the post is sent at least once, and perhaps again."""
    if not isinstance(found, Unreadable):
        return found
    log.warning("post.sent_unsure", key=key, why=found.reason)
    return None


class Tries:
    """Whether there is another try of one send, after a wait that the time left has room for."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._until = asyncio.get_running_loop().time() + patience.post
        self._next = patience.first
        self._unknown = 0

    async def another(self, error: SendError | None, lane: Lane) -> bool:
        """Wait as `error` asks, and say whether to try again; False at once where that would lead to nothing."""
        match error:
            case RateLimited(retry_after):
                await lane.block(retry_after)
                wait = retry_after
                if wait <= LONGEST_WAIT:
                    # The place said when: that is worth waiting for, however long other errors are tried.
                    self._until = max(self._until, asyncio.get_running_loop().time() + wait + self._patience.first)
            case NotDispatched() | Unknown():
                self._unknown += isinstance(error, Unknown)
                if self._unknown >= UNKNOWN_TRIES:
                    return False
                wait, self._next = self._next, min(self._next * 2, self._patience.longest)
            case _:
                return False
        if asyncio.get_running_loop().time() + wait > self._until:
            return False
        await asyncio.sleep(wait)
        return True
