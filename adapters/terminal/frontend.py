"""The terminal front end: the port's promises kept on one screen, for one person."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from adapters.port import (
    AskForm,
    Attachment,
    Board,
    Capabilities,
    Doc,
    Gone,
    Health,
    Invocation,
    Markdown,
    MessageRef,
    NotDispatched,
    NotSafe,
    Place,
    Receipt,
    Rejected,
    SendError,
    Sink,
    ThreadRef,
    Unfetched,
)
from adapters.safety import one_line
from adapters.terminal.boards import ShownBoard
from adapters.terminal.keep import keep
from adapters.terminal.lines import Lines
from adapters.terminal.screen import Screen
from adapters.terminal.streams import Streams

PLACE = Place(surface="terminal", tenant="local", channel="terminal")
AUTHOR = "you"


class Intake(Protocol):
    """Where lines come from."""

    async def run(self, submit: Callable[[str], Awaitable[None]]) -> None:
        """Submit every line until there are no more."""

    def leave(self) -> None:
        """Submit nothing more and let `run` end."""


class TerminalFrontEnd:
    """Shows threads on a terminal, or as plain text where the output is a file or a pipe.

    `files` is the folder for a document's files; `clock` gives monotonic seconds. Once several threads were shown,
    each post says the number of its own.
    """

    name = "terminal"

    def __init__(
        self, files: Path, *, streams: Streams | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = files
        self._streams = streams or Streams.standard()
        self._clock = clock
        self._screen = Screen(self._streams, clock)
        self._numbers: dict[ThreadRef, int] = {}
        self._posts: dict[tuple[str, str], MessageRef] = {}  # by thread and key
        self._roots: dict[str, ThreadRef] = {}
        self._boards: dict[ThreadRef, ShownBoard] = {}
        self._intake: Intake | None = None
        self._closed = False

    def capabilities(self, place: Place) -> Capabilities:
        """A terminal scrolls: no limit, and nothing to fold."""
        return Capabilities(text_limit=None, folds=False, tables=True, edits=True, files=True)

    async def open_thread(self, invocation: Invocation, root: Doc, *, key: str) -> ThreadRef | SendError:
        """Show the root; the posts of its thread follow below it."""
        thread = self._roots.get(key) or ThreadRef(invocation.place, uuid4().hex[:12])
        receipt = await self.post(thread, root, key=key)
        if receipt.error is not None:
            return receipt.error
        self._roots[key] = thread
        return thread

    async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
        """Show a document, keep its files and say where."""
        shown = self._posts.get((thread.thread, key))
        if shown is None or self._closed:
            error = self._show(doc, self._mark(thread))
            if error is not None:
                return Receipt("failed", error=error)
            shown = self._posts[thread.thread, key] = MessageRef(thread, (key,))
        return Receipt("sent", shown, 1)

    async def find(self, thread: ThreadRef, key: str) -> MessageRef | SendError | None:
        """The post, if this process showed it: what another one showed is on its screen, not on this one."""
        return self._posts.get((thread.thread, key))

    async def find_thread(self, invocation: Invocation, key: str) -> ThreadRef | SendError | None:
        """The thread whose root this process showed."""
        return self._roots.get(key)

    async def board(self, thread: ThreadRef, board: Board, *, revision: int) -> Receipt:
        """Draw the board where there is one to draw on, else say what changed."""
        before = self._boards.get(thread)
        if self._closed:
            return Receipt("failed", error=_CLOSED)
        if before is None or revision > before.revision:
            shown = self._boards[thread] = ShownBoard(board, revision, self._clock())
            self._screen.draw(thread.thread, shown, mark=self._mark(thread), before=before.board if before else None)
        if self._screen.broken:
            return Receipt("failed", error=_GONE)
        return Receipt("sent", MessageRef(thread, ("board",)), 1)

    async def notify(self, invocation: Invocation, doc: Doc) -> Receipt:
        """Show a document that belongs to no thread: one person reads all there is."""
        error = self._show(doc, "")
        return Receipt("failed", error=error) if error else Receipt("sent", parts=1)

    async def ask(self, invocation: Invocation, form: AskForm) -> Receipt:
        """A terminal has no forms: one line is all there is to fill in."""
        return Receipt("failed", error=Rejected("a terminal has no forms"))

    async def fetch(self, invocation: Invocation, attachment: Attachment) -> bytes | Unfetched | SendError:
        """A line that is typed brings no files."""
        return Unfetched("a terminal takes no attachments; give files with --docs")

    async def remove(self, ref: MessageRef) -> SendError | None:
        """What is on a screen, or went down a pipe, stays."""
        return Rejected("what was written to a terminal stays; clear the screen")

    def health(self) -> Health:
        """Whether anybody reads it."""
        if self._closed:
            return Health(ready=False, detail=_CLOSED.reason)
        return Health(not self._screen.broken, _GONE.what if self._screen.broken else "")

    async def serve(self, sink: Sink) -> None:
        """Take in what is typed or piped, one invocation per line, until it ends or the person leaves."""

        async def submit(line: str) -> None:
            with suppress(NotSafe):  # whoever typed it was told
                await sink(Invocation(PLACE, AUTHOR, line, f"terminal-{uuid4().hex}", "terminal"))

        if self._closed:
            return
        self._intake = self._opened()
        if self._intake is not None:
            await self._intake.run(submit)

    async def close(self) -> None:
        """Leave the screen as it stands."""
        if not self._closed:
            self._closed = True
            if self._intake is not None:
                self._intake.leave()
            self._screen.finish()

    def _opened(self) -> Intake | None:
        if self._streams.prompting:
            # prompt_toolkit takes a moment to import, and only a conversation needs it.
            from adapters.terminal.prompt import Prompt

            return Prompt(self._streams, self._screen)
        return None if self._streams.stdin is None else Lines(self._streams.stdin)

    def _show(self, doc: Doc, mark: str) -> SendError | None:
        if self._closed:
            return _CLOSED
        notes, unkept = self._keep(doc)
        self._screen.show(Doc(doc.title, (*doc.blocks, *unkept), doc.tone), mark=mark, notes=notes)
        return _GONE if self._screen.broken else None

    def _keep(self, doc: Doc) -> tuple[list[str], list[Markdown]]:
        """Write the files: what to say of them, and the text of those that could not be written."""
        notes: list[str] = []
        unkept: list[Markdown] = []
        for file in doc.files:
            try:
                notes.append(f"File: {keep(self._files, file)}")
            except OSError as error:
                why = error.strerror or str(error)
                said = f"{one_line(file.name)} could not be written to {self._files}: {why}. Its whole text follows."
                unkept += [Markdown(said), Markdown(file.text)]
        return notes, unkept

    def _mark(self, thread: ThreadRef) -> str:
        number = self._numbers.setdefault(thread, len(self._numbers) + 1)
        return f"#{number}" if len(self._numbers) > 1 else ""


_CLOSED = NotDispatched("the terminal front end is closed")
_GONE = Gone("standard output: nobody reads it any more")
