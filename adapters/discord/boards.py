"""Boards: the root edited in place, as whole state; an older one is dropped."""

from collections import OrderedDict
from collections.abc import Callable

from adapters.discord.errors import MESSAGE_GONE
from adapters.discord.layout import board_message
from adapters.discord.marks import mark_of
from adapters.discord.native import Native
from adapters.discord.posting import failed
from adapters.discord.threads import is_window, root_channel
from adapters.discord.windows import Windows
from adapters.port import Board, MessageRef, Receipt, Rejected, ThreadRef

MOST_BOARDS = 2_000

ROOT_GONE = Rejected("the message with the board was deleted")


class Boards:
    """Shows the newest board of every thread."""

    def __init__(self, native: Native, windows: Windows, notice_of: Callable[[ThreadRef], str]) -> None:
        self._native, self._windows, self._notice_of = native, windows, notice_of
        self._shown: OrderedDict[ThreadRef, tuple[int, Receipt]] = OrderedDict()

    async def show(self, thread: ThreadRef, board: Board, revision: int) -> Receipt:
        """Show a board unless a newer one stands. The root's mark was for finding it; what stands under a thread's
        reference need not be found."""
        newest, before = self._shown.get(thread, (-1, Receipt("sent")))
        if revision <= newest:
            return before
        message, mark = board_message(board, self._notice_of(thread)), mark_of(thread.root, 1, 1)
        if is_window(thread):
            error = await self._windows.change(thread, message, mark)
        else:
            error = await self._native.edit(root_channel(thread), thread.root, message, mark)
        if error == MESSAGE_GONE:
            # The answers have their thread still; whether that is gone too, they find out.
            return failed(ROOT_GONE)
        if error is not None:
            return failed(error)
        receipt = Receipt("sent", MessageRef(thread, (thread.root,)), 1)
        self._shown[thread] = (revision, receipt)
        self._shown.move_to_end(thread)
        if len(self._shown) > MOST_BOARDS:
            self._shown.popitem(last=False)
        return receipt
