"""A front end that tells how long its sends take and what they come to; otherwise it is the one inside it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from adapters.port import (
    AskForm,
    Attachment,
    Board,
    Capabilities,
    Doc,
    FrontEnd,
    Gone,
    Health,
    Inbound,
    Invocation,
    MessageRef,
    NotDispatched,
    PermissionMissing,
    Place,
    RateLimited,
    Receipt,
    Rejected,
    SendError,
    Sink,
    ThreadRef,
    TooLarge,
    Unfetched,
    Unknown,
    Unreadable,
)
from bot.watching import SendEnded, TakenIn, Watch

T = TypeVar("T")

SENDS = ("root", "post", "board", "notice", "form", "removal")
"""What is sent."""

OUTCOMES: dict[type, str] = {
    RateLimited: "rate_limited",
    NotDispatched: "not_dispatched",
    Unknown: "unknown",
    Rejected: "rejected",
    PermissionMissing: "permission_missing",
    Gone: "gone",
    TooLarge: "too_large",
}
"""What a send comes to by its error. Else it is `sent`, `cancelled`, or `broke` where the front end did."""


def outcome_of(given: object) -> str:
    """What a send came to, in one word, from what a front end gives for it."""
    if not isinstance(given, Receipt):
        return OUTCOMES.get(type(given), "sent")
    return "sent" if given.outcome == "sent" else OUTCOMES.get(type(given.error), given.outcome)


class WatchedFrontEnd:
    """`front`, with `watch` told of what is sent to it and what it takes in."""

    def __init__(self, front: FrontEnd, watch: Watch) -> None:
        self._front, self._watch = front, watch

    @property
    def name(self) -> str:
        """See `FrontEnd.name`."""
        return self._front.name

    def capabilities(self, place: Place) -> Capabilities:
        """See `FrontEnd.capabilities`."""
        return self._front.capabilities(place)

    async def open_thread(self, invocation: Invocation, root: Doc, *, key: str) -> ThreadRef | SendError:
        """See `FrontEnd.open_thread`."""
        return await self._timed("root", self._front.open_thread(invocation, root, key=key))

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        """See `FrontEnd.post`."""
        return await self._timed("post", self._front.post(thread, doc, key=key))

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | Unreadable | None:
        """See `FrontEnd.find`."""
        return await self._front.find(thread, key)

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | Unreadable | None:
        """See `FrontEnd.find_thread`."""
        return await self._front.find_thread(invocation, key)

    async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
        """See `FrontEnd.board`."""
        return await self._timed("board", self._front.board(thread, board, revision=revision))

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """See `FrontEnd.notify`."""
        return await self._timed("notice", self._front.notify(invocation, doc))

    async def ask(self, invocation: Invocation, form: AskForm) -> Receipt:
        """See `FrontEnd.ask`."""
        return await self._timed("form", self._front.ask(invocation, form))

    async def fetch(self, invocation: Invocation, attachment: Attachment) -> bytes | Unfetched | SendError:
        """See `FrontEnd.fetch`."""
        return await self._front.fetch(invocation, attachment)

    async def remove(self, ref: MessageRef) -> SendError | None:
        """See `FrontEnd.remove`."""
        return await self._timed("removal", self._front.remove(ref))

    def health(self) -> Health:
        """See `FrontEnd.health`."""
        return self._front.health()

    async def serve(self, sink: Sink) -> None:
        """See `FrontEnd.serve`."""
        await self._front.serve(lambda inbound: self._taken_in(sink, inbound))

    async def close(self) -> None:
        """See `FrontEnd.close`."""
        await self._front.close()

    async def _timed(self, what: str, send: Awaitable[T]) -> T:
        began, outcome = _now(), "broke"
        try:
            given = await send
            outcome = outcome_of(given)
            return given
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._watch(SendEnded(self.name, what, outcome, _now() - began))

    async def _taken_in(self, sink: Sink, inbound: Inbound) -> None:
        began, safe = _now(), False
        try:
            await sink(inbound)
            safe = True
        finally:
            self._watch(TakenIn(self.name, safe, _now() - began))


def _now() -> float:
    return asyncio.get_running_loop().time()
