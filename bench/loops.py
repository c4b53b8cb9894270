"""The event loop that the product runs on, for what is measured of it."""

import asyncio
from collections.abc import Coroutine
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")


def product_loop() -> str:
    """`uvloop` where it is installed, else `asyncio`."""
    return "uvloop" if find_spec("uvloop") else "asyncio"


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on that loop."""
    if product_loop() == "asyncio":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)
