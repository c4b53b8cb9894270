"""The event loop that the product serves on, for what is measured of it."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from bot.loop import run_serving, uvloops

T = TypeVar("T")


def product_loop() -> str:
    """`uvloop` where it is there, else `asyncio`."""
    try:
        uvloops()
    except ImportError:
        return "asyncio"
    return "uvloop"


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on that loop."""
    return run_serving(main)
