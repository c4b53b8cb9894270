"""A TCP port in front of a Unix socket, which can cut its connections: at once, or around the next COMMIT."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

Cut = Literal["before the commit", "after the commit"]


class Proxy:
    """`cut` is where the next connection that commits is cut, if anywhere; then it is None again. With `down` no
    connection is let through."""

    def __init__(self, socket: Path) -> None:
        self.socket, self.port = socket, 0
        self.cut: Cut | None = None
        self.down = False
        self.made = 0
        self._near: set[asyncio.StreamWriter] = set()
        self._far: set[asyncio.StreamWriter] = set()
        self._abandoned = False

    def cut_all(self) -> None:
        """Reset every connection that is open."""
        for writer in [*self._near, *self._far]:
            writer.transport.abort()

    def cut_near(self) -> None:
        """Reset the connections on our side, and leave the server's as they are, until the proxy ends."""
        self._abandoned = True
        for writer in list(self._near):
            writer.transport.abort()

    async def serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        if self.down:
            near_out.transport.abort()
            return
        far, far_out = await asyncio.open_unix_connection(self.socket)
        self._near.add(near_out)
        self._far.add(far_out)
        self.made += 1
        back = asyncio.create_task(self._back(far, near_out))
        try:
            while data := await near.read(65_536):
                cut = self.cut if b"COMMIT" in data else None
                if cut is not None:
                    self.cut = None
                    back.cancel()
                if cut == "before the commit":
                    break
                far_out.write(data)
                if cut == "after the commit":
                    # The server's word, which its client never hears.
                    await far.read(65_536)
                    break
        except ConnectionError:
            pass
        finally:
            back.cancel()
            self._near.discard(near_out)
            near_out.transport.abort()
            if not self._abandoned:
                self._far.discard(far_out)
                far_out.transport.abort()

    async def _back(self, far: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        try:
            while data := await far.read(65_536):
                near_out.write(data)
        except ConnectionError:
            pass
        near_out.close()


@asynccontextmanager
async def proxied(socket: Path) -> AsyncIterator[Proxy]:
    proxy = Proxy(socket)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut_all()
