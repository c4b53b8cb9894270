"""A front end that keeps next to nothing: how much of each run was shown, so that a thousand at once cost no memory."""

import asyncio
import time
from dataclasses import dataclass, field

from adapters.port import (
    AskForm,
    Attachment,
    Board,
    Capabilities,
    Doc,
    Health,
    Invocation,
    MessageRef,
    Place,
    Receipt,
    Rejected,
    SendError,
    Sink,
    ThreadRef,
    Unfetched,
)

LAST = "roster"
"""The part of a run's last post."""


@dataclass(slots=True)
class Shown:
    """What was shown of one run. `settled` is whether its last board has every row done; `over` tells its last post,
    and when that was."""

    posts: int = 0
    settled: bool = False
    over: "asyncio.Future[float]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class CountingFrontEnd:
    """Accepts everything at once and counts it, by run."""

    name = "bench"

    def __init__(self) -> None:
        self.runs: dict[str, Shown] = {}

    def invocation(self, key: str, text: str) -> Invocation:
        """Somebody asks for a run, in one of a few dozen channels."""
        self.runs[key] = Shown()
        place = Place(self.name, "bench", f"channel-{hash(key) % 50}")
        return Invocation(place, "ann", text, key, "command")

    def capabilities(self, place: Place) -> Capabilities:
        """No limits and no pace: not the platform is measured."""
        return Capabilities()

    async def open_thread(self, invocation: Invocation, root: Doc, *, key: str) -> ThreadRef | SendError:
        """A thread named like the run."""
        self._count(key)
        return ThreadRef(invocation.place, invocation.key)

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        """Count a post."""
        self._count(key)
        return Receipt("sent", MessageRef(thread, (key,)), 1)

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | None:
        """Nothing is kept, so nothing is found."""
        return None

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | None:
        """Nothing is kept, so nothing is found."""
        return None

    async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
        """Look at the last board only."""
        if board.finished:
            self.runs[thread.thread].settled = all(row.state == "done" for row in board.rows)
        return Receipt("sent", MessageRef(thread, (thread.thread,)), 1)

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """Whoever is told something here has no run. Raises `RuntimeError`."""
        raise RuntimeError(f"{invocation.key} was not run: {doc.title}")

    async def ask(self, invocation: Invocation, form: AskForm) -> Receipt:
        """Nobody sits here to fill a form in."""
        return Receipt("failed", error=Rejected("there are no forms here"))

    async def fetch(self, invocation: Invocation, attachment: Attachment) -> bytes | Unfetched | SendError:
        """There are no files."""
        return Unfetched("there are no files here")

    async def remove(self, ref: MessageRef) -> SendError | None:
        """Nothing is kept, so nothing is there."""
        return None

    def health(self) -> Health:
        """Always there."""
        return Health(ready=True)

    async def serve(self, sink: Sink) -> None:
        """The load asks by itself."""

    async def close(self) -> None:
        """Nothing is held."""

    def _count(self, key: str) -> None:
        run, _, part = key.partition("/")
        shown = self.runs[run]
        shown.posts += 1
        if part == LAST and not shown.over.done():
            shown.over.set_result(time.perf_counter())
