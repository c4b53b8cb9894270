"""What is written on the terminal: pages one below the other, live boards under them.

Three ways, decided once by the streams: drawn with rich and a live region, drawn above a prompt that shows the boards
itself, or plain lines without any escape where nothing can be drawn over.
"""

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from io import StringIO
from typing import IO, TYPE_CHECKING, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live

from adapters.plain import doc_source
from adapters.port import Board, Doc
from adapters.terminal.boards import BoardTable, ShownBoard, changes
from adapters.terminal.pages import page
from adapters.terminal.streams import Paper, Streams, Writable

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFRESHES = 2  # a second


class Screen:
    """The one writer of a terminal."""

    def __init__(self, streams: Streams, clock: Callable[[], float]) -> None:
        self._paper = Paper(streams.stdout)
        self._drawn = streams.live
        self._clock = clock
        self._console = Console(
            file=cast("IO[str]", self._paper),
            force_terminal=self._drawn,
            force_interactive=self._drawn,
            no_color=None if self._drawn else True,
            highlight=False,
            _environ=streams.environ,
        )
        # By thread, with the thread's mark. Replaced and never changed: rich's thread reads it too.
        self._boards: dict[str, tuple[str, ShownBoard]] = {}
        self._live: Live | None = None
        self._prompting = False
        self._after_line = False  # plain output: a line of a board was the last thing written

    @property
    def broken(self) -> bool:
        """Whether nobody reads this any more."""
        return self._paper.broken

    @property
    def running(self) -> bool:
        """Whether a board is shown whose run is not over."""
        return bool(self._boards)

    def show(self, doc: Doc, *, mark: str = "", notes: Iterable[str] = ()) -> None:
        """Show a document above the live boards."""
        if self._drawn:
            self._print(page(doc, mark=mark, notes=notes))
            return
        titled = f"{mark} {doc.title}".strip()
        source = doc_source(Doc(titled, doc.blocks))
        self._write(("\n" if self._after_line else "") + "\n\n".join([source, *notes]) + "\n\n")
        self._after_line = False

    def draw(self, thread: str, shown: ShownBoard, *, mark: str, before: Board | None) -> None:
        """Show the newest board of a thread; when its run is over it stays above for good."""
        if not self._drawn:
            for line in changes(before, shown.board):
                self._write(f"{mark} {line}\n".lstrip())
                self._after_line = True
            return
        if shown.board.finished:
            self._boards = {other: entry for other, entry in self._boards.items() if other != thread}
            if before != shown.board:
                self._print(Group("", BoardTable(shown.board, mark=mark, live=False)))
        else:
            self._boards = {**self._boards, thread: (mark, shown)}
        self._settle()

    def finish(self) -> None:
        """Leave the boards of unfinished runs as they stand, and draw nothing live any more."""
        boards = [BoardTable(shown.now(self._clock()), mark=mark, live=False) for mark, shown in self._boards.values()]
        self._boards = {}
        self._settle()
        if boards:
            self._print(Group("", *boards))

    @contextmanager
    def under_prompt(self, stream: Writable) -> "Iterator[None]":
        """Write through `stream`, and leave the live boards to the prompt's `toolbar`."""
        self._prompting = True
        self._settle()
        self._paper.through(stream)
        try:
            yield
        finally:
            self._paper.through(None)
            self._prompting = False
            self._settle()

    def toolbar(self, hint: str) -> str:
        """The live boards as terminal output at the present width, `hint` below them; all on half of the screen."""
        console = Console(
            file=StringIO(),
            force_terminal=True,
            color_system=self._console.color_system,  # type: ignore[arg-type]
            no_color=self._console.no_color,
            width=self._console.width,
            highlight=False,
        )
        with console.capture() as capture:
            console.print(self._region())
        lines = capture.get().rstrip("\n").split("\n") if self._boards else []
        room = max(1, self._console.height // 2)
        if len(lines) > room:
            lines = [*lines[: room - 1], f"… {len(lines) - room + 1} more lines"]
        return "\n".join([*lines, hint])

    def _region(self) -> RenderableType:
        now = self._clock()
        boards = (BoardTable(shown.now(now), mark=mark, live=True) for mark, shown in self._boards.values())
        return Group("", *boards)

    def _settle(self) -> None:
        """Make the live region fit the state: there while boards run and no prompt shows them."""
        if self._boards and not self._prompting and not self._paper.broken:
            if self._live is None:
                self._live = Live(
                    console=self._console,
                    get_renderable=self._region,
                    refresh_per_second=_REFRESHES,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()
            self._live.refresh()
        elif self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, renderable: RenderableType) -> None:
        self._console.print(renderable)
        self._paper.flush()

    def _write(self, text: str) -> None:
        self._paper.write(text)
        self._paper.flush()
