"""Boards: the root edited in place, or Slack's own plan where people talk to the bot alone."""

from collections import OrderedDict
from dataclasses import replace

import structlog

from adapters.port import (
    Board,
    MessageRef,
    PermissionMissing,
    RateLimited,
    Receipt,
    Rejected,
    SendError,
    ThreadRef,
    Unknown,
)
from adapters.slack.blocks import board_message
from adapters.slack.native import Native
from adapters.slack.plan_stream import PlanStream
from adapters.slack.posting import Poster, refused

log = structlog.get_logger()

MOST_BOARDS = 2_000


class Boards:
    """Shows the newest board of every thread. In a channel only the asker would see a stream move, so there the root is
    edited; each workspace takes some twenty new streams a minute, so there is one for a run and none for an expert."""

    def __init__(self, native: Native, poster: Poster) -> None:
        self._native, self._poster = native, poster
        self._shown: OrderedDict[ThreadRef, tuple[int, Receipt]] = OrderedDict()
        self._streams: dict[ThreadRef, PlanStream] = {}
        self._edited: set[ThreadRef] = set()
        self._no_status: set[str] = set()

    async def show(self, thread: ThreadRef, board: Board, revision: int) -> Receipt:
        """Show a board unless a newer one stands."""
        newest, before = self._shown.get(thread, (-1, Receipt("sent")))
        if revision <= newest:
            return before
        receipt = await (self._plan(thread, board) if is_direct(thread) else self._edit(thread, board))
        if receipt.outcome == "sent":
            self._shown[thread] = (revision, receipt)
            self._shown.move_to_end(thread)
            if len(self._shown) > MOST_BOARDS:
                self._shown.popitem(last=False)
        return receipt

    async def close(self) -> None:
        """End plans under way in good order."""
        for stream in list(self._streams.values()):
            await stream.close()
        self._streams.clear()

    async def status(self, thread: ThreadRef, status: str) -> None:
        """The session's status, where the app is an agent; what Slack asks for it is told in two ways, so that a
        refusal only means that there is none."""
        if not is_direct(thread) or thread.place.tenant in self._no_status:
            return
        error = await self._native.set_status(thread, status)
        if isinstance(error, PermissionMissing | Rejected):
            self._no_status.add(thread.place.tenant)
            log.info("slack.no_session_status", error=type(error).__name__)

    async def _plan(self, thread: ThreadRef, board: Board) -> Receipt:
        stream = self._streams.get(thread)
        if thread in self._edited or (stream is None and board.finished):
            receipt = await self._edit(thread, board)
        else:
            receipt = await self._streamed(thread, board, stream)
        if board.finished and receipt.outcome == "sent":
            self._edited.discard(thread)
            await self.status(thread, "active")
        return receipt

    async def _streamed(self, thread: ThreadRef, board: Board, stream: PlanStream | None) -> Receipt:
        if stream is None:
            # The root keeps its control, while the plan below shows who is at it.
            begun = await self._edit(thread, replace(board, rows=(), note=""))
            if begun.outcome != "sent":
                return begun
            stream = self._streams[thread] = PlanStream(self._native, thread)
        error = await stream.show(board)
        if isinstance(error, RateLimited):
            return Receipt("failed", error=error)
        if error is not None:
            log.info("slack.no_plan", error=type(error).__name__)
            self._edited.add(thread)
        ids = (root_of(thread), *stream.ids)
        if error is None and not board.finished:
            return Receipt("sent", MessageRef(thread, ids), 1)
        self._streams.pop(thread, None)
        receipt = await self._edit(thread, board)
        return replace(receipt, ref=MessageRef(thread, ids)) if receipt.ref else receipt

    async def _edit(self, thread: ThreadRef, board: Board) -> Receipt:
        root, style = root_of(thread), self._poster.style(thread.place)
        error = await self._native.update(thread.place, root, board_message(board, style))
        if refused(error) and style == "rich":
            error = await self._native.update(thread.place, root, board_message(board, "plain"))
            if error is None:
                self._poster.note_plain(thread.place)
        return Receipt("sent", MessageRef(thread, (root,)), 1) if error is None else failed(error)


def is_direct(thread: ThreadRef) -> bool:
    """Whether a thread is in a direct message."""
    return thread.place.channel.startswith("D")


def root_of(thread: ThreadRef) -> str:
    """The timestamp of a run's first message."""
    return thread.root or thread.thread


def failed(error: SendError) -> Receipt:
    """A send that was not shown, as far as is known."""
    return Receipt("unknown" if isinstance(error, Unknown) else "failed", error=error)
