"""The courier: takes a run's events to its thread, in order, each post under its key."""

import structlog

from adapters.port import FrontEnd, Receipt, ThreadRef
from bot import render
from bot.runs import LiveRun
from teams.events import RunEvent

log = structlog.get_logger()


class Courier:
    """Delivers one run to one thread. A post that could not be shown is logged; the run goes on."""

    def __init__(self, front: FrontEnd, thread: ThreadRef, revision: int = 0) -> None:
        self._front, self.thread, self.revision = front, thread, revision

    async def deliver(self, run: LiveRun, event: RunEvent) -> None:
        """Show what `event` has to say, and the board after it."""
        for post in render.posts(event, run.progress, run.round):
            await self._post(run, post)
        await self._board(run)

    async def last_word(self, run: LiveRun, post: render.Post) -> None:
        """Show a post that no event made, and the board as it then stands."""
        await self._post(run, post)
        await self._board(run)

    async def _post(self, run: LiveRun, post: render.Post) -> None:
        receipt = await self._front.post(self.thread, post.doc, key=run.key(post.part))
        _noted(receipt, post.part)

    async def _board(self, run: LiveRun) -> None:
        self.revision += 1
        receipt = await self._front.board(self.thread, render.board(run.progress), revision=self.revision)
        _noted(receipt, "board")


def _noted(receipt: Receipt, part: str) -> None:
    if receipt.outcome != "sent":
        log.warning("post.not_shown", part=part, outcome=receipt.outcome, error=type(receipt.error).__name__)
