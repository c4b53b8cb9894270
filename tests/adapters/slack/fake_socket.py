"""The other end of Socket Mode: sockets that take envelopes in turn and acknowledge them."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

Json = dict[str, Any]
MOST_SOCKETS = 10


@dataclass(slots=True)
class Sockets:
    """The sockets of one app. Slack spreads envelopes over them and copies none.

    With `mute_pongs` no ping is answered. `acks` are all that came, by envelope.
    """

    app_id: str
    mute_pongs: bool = False
    live: list[web.WebSocketResponse] = field(default_factory=list)
    acks: dict[str, asyncio.Future[Json]] = field(default_factory=dict)
    made: int = 0
    turns: Iterator[int] = field(default_factory=itertools.count)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        if len(self.live) >= MOST_SOCKETS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets", "debug_info": {}})
            await socket.close()
            return socket
        await self.welcome(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.PING and not self.mute_pongs:
                    await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self.take(json.loads(message.data))
        finally:
            await self.gone(socket)
        return socket

    async def welcome(self, socket: web.WebSocketResponse) -> None:
        number = len(self.live) + 1
        hello = {
            "type": "hello",
            "num_connections": number,
            "debug_info": {"host": "applink-1", "build_number": 1, "approximate_connection_time": 18_060},
            "connection_info": {"app_id": self.app_id},
        }
        await socket.send_json(hello)
        async with self.changed:
            self.live.append(socket)
            self.made += 1
            self.changed.notify_all()

    async def gone(self, socket: web.WebSocketResponse) -> None:
        async with self.changed:
            if socket in self.live:
                self.live.remove(socket)
            self.changed.notify_all()

    def take(self, said: Json) -> None:
        ack = self.acks.get(said.get("envelope_id", ""))
        if ack is not None and not ack.done():
            ack.set_result(said.get("payload") or {})

    async def connected(self, count: int = 1, timeout: float = 3.0) -> None:
        """Waits until exactly so many sockets are open."""
        async with asyncio.timeout(timeout), self.changed:
            await self.changed.wait_for(lambda: len(self.live) == count)

    async def send(self, envelope: Json, timeout: float) -> Json | None:
        """What the app answered: a payload, `{}` for a bare acknowledgement, None for nothing in time."""
        ack = self.acks[envelope["envelope_id"]] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                if not self.live:
                    async with self.changed:
                        await self.changed.wait_for(lambda: bool(self.live))
                await self.live[next(self.turns) % len(self.live)].send_json(envelope)
                return await ack
        except TimeoutError:
            return None

    async def disconnect(self, reason: str, close: bool) -> None:
        for socket in [*self.live]:
            if reason:
                await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}})
            if close:
                await self.gone(socket)
                cut(socket)


def cut(socket: web.WebSocketResponse) -> None:
    """As a network does it, without a closing word."""
    transport = socket._req.transport if socket._req is not None else None
    if transport is not None:
        transport.abort()
