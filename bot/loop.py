"""The event loop of a process that serves: uvloop where it is there, else Python's own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
NewLoop = Callable[[], asyncio.AbstractEventLoop]


def uvloops() -> NewLoop:
    """What makes loops of uvloop. Raises `ImportError`, as it does on Windows, for which there is none."""
    import uvloop

    return uvloop.new_event_loop


def run_serving(work: Coroutine[Any, Any, T], fast: Callable[[], NewLoop] = uvloops) -> T:
    """Run `work` to its end, on the loops that `fast` gives, or on Python's own where it raises `ImportError`."""
    try:
        new_loop: NewLoop | None = fast()
    except ImportError:
        new_loop = None
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)
