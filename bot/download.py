"""The download of the built-in model, shown on stderr: a bar on a terminal, two lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NOTICE = "no model is set and none was found on this machine: fetching the tiny built-in one, once (93 MB)"


@contextmanager
def showing_download() -> Iterator[Callable[[int, int], None]]:
    """A callback for `fetch_weights` (bytes done, bytes in all). Nothing is shown unless it is called."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("built-in model"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty(), expand=False) as bar:
        task = None

        def told(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                console.print(f"panelist: {NOTICE}", markup=False, highlight=False, soft_wrap=True)
                task = bar.add_task("", total=total or None)
            bar.update(task, completed=done, total=total or None)

        yield told
