"""The download of the built-in model, shown on stderr: a bar on a terminal, one line elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

NOTICE = "no model is set and none was found on this machine: fetching the tiny built-in one, once (93 MB)"


@contextmanager
def showing_download() -> Iterator[Callable[[int, int], None]]:
    """A callback for `fetch_weights` (bytes done, bytes in all). Nothing is shown unless it is called; the bar is gone
    when all bytes are there, so that it never shares the screen with a board."""
    with ExitStack() as stack:
        bar: Callable[[int, int], None] | None = None

        def told(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                sys.stderr.write(f"panelist: {NOTICE}\n")
                bar = _bar(stack) if sys.stderr.isatty() else lambda _, __: None
            bar(done, total)
            if total and done >= total:
                stack.close()

        yield told


def _bar(stack: ExitStack) -> Callable[[int, int], None]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("built-in model"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    # Redirecting would put rich between the terminal and everything else that writes to it.
    progress = Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    )
    task = stack.enter_context(progress).add_task("", total=None)

    def shown(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total or None)

    return shown
