"""Lines from an input that is no terminal, read without holding up the event loop."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TextIO


class Lines:
    """Reads `stdin` by its descriptor. Bytes that are not UTF-8 become U+FFFD."""

    def __init__(self, stdin: TextIO) -> None:
        self._stdin = stdin
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._left = False

    async def run(self, submit: Callable[[str], Awaitable[None]]) -> None:
        """Submit every line that is not blank, until the input ends or `leave` is called."""
        try:
            descriptor = self._stdin.fileno()
        except ValueError:  # closed already
            return
        # A daemon: a read that never ends must not hold up the exit.
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(descriptor, loop), name="stdin", daemon=True).start()
        rest = b""
        while chunk := await self._chunks.get():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                await self._submit(line, submit)
        await self._submit(rest, submit)

    def leave(self) -> None:
        """Submit nothing more."""
        self._left = True
        self._chunks.put_nowait(b"")

    async def _submit(self, line: bytes, submit: Callable[[str], Awaitable[None]]) -> None:
        text = line.decode("utf-8", "replace").strip()
        if text and not self._left:
            await submit(text)

    def _read(self, descriptor: int, loop: asyncio.AbstractEventLoop) -> None:
        # The descriptor and not the stream: at exit Python dies on the lock of a stream that a thread is reading.
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            chunk = b"first"
            while chunk:
                try:
                    chunk = os.read(descriptor, 65_536)
                except OSError:
                    chunk = b""
                loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
