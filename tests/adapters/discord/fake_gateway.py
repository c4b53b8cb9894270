"""Discord's gateway: sockets, sessions that can be resumed, heartbeats, shards, intents, compression as asked for.

It knows no people and no messages: it is given events and tells them to whom they are for.
"""

import asyncio
import contextlib
import json
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

Json = dict[str, Any]

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 0, 1 << 9, 1 << 12, 1 << 15
PRIVILEGED = (1 << 1) | (1 << 8) | MESSAGE_CONTENT
NOT_AUTHENTICATED, FAILED, INVALID_SEQUENCE, DISALLOWED_INTENTS = 4003, 4004, 4007, 4014
"""("Opcodes and Status Codes", "Gateway Close Event Codes")"""


class Packer:
    """What a connection asked for in `compress`: one stream for all of its messages, flushed after each."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        if kind == "zlib-stream":
            self._zlib = zlib.compressobj()
        elif kind == "zstd-stream":
            import zstandard

            self._zstd = zstandard.ZstdCompressor().compressobj()
            self._flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def packed(self, text: str) -> str | bytes:
        if self.kind == "zlib-stream":
            return self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        if self.kind == "zstd-stream":
            return bytes(self._zstd.compress(text.encode()) + self._zstd.flush(self._flush))
        return text


@dataclass(slots=True, eq=False)
class Session:
    """What was told to one shard, so that it can be told again. `socket` is None while it is away; `first` is the last
    event of its beginning, and `heard` the last that it said it has."""

    id: str
    shard: tuple[int, int]
    intents: int
    sequence: int = 0
    first: int = 0
    heard: int = 0
    told: list[tuple[int, str, Json]] = field(default_factory=list)
    socket: "Connection | None" = None
    gone: bool = False


@dataclass(slots=True, eq=False)
class Connection:
    """One socket."""

    request: web.Request
    socket: web.WebSocketResponse
    packer: Packer
    session: Session | None = None

    async def send(self, op: int, data: Any = None, event: str | None = None, sequence: int | None = None) -> None:
        text = json.dumps({"op": op, "d": data, "s": sequence, "t": event})
        with contextlib.suppress(ConnectionError, RuntimeError, aiohttp.ClientError):
            packed = self.packer.packed(text)
            await (self.socket.send_str(packed) if isinstance(packed, str) else self.socket.send_bytes(packed))


class Gateway:
    """`ready` gives the READY of a shard, and `first` the events after it. `allowed` are the privileged intents that
    are switched on for the app. `repeat`: so many events that were told already are told again after a resume."""

    def __init__(
        self,
        token: Callable[[], str],
        ready: Callable[[Session], Json],
        first: Callable[[Session], list[tuple[str, Json]]],
    ) -> None:
        self._token, self._ready, self._first = token, ready, first
        self.heartbeat_seconds = 41.25
        self.allowed, self.repeat, self.resumable, self.mute = 0, 0, True, False
        self.sessions: dict[str, Session] = {}
        self._out: asyncio.Queue[tuple[Connection, int, Json | None, str | None, int | None]] = asyncio.Queue()
        self.connections: list[Connection] = []
        self.identified, self.resumed, self.heartbeats, self.asked = 0, 0, 0, []  # type: ignore[var-annotated]

    # What a test does

    async def connected(self, count: int = 1, timeout: float = 5.0) -> None:
        """Waits until exactly so many shards are there and have heard how it begins."""
        async with asyncio.timeout(timeout):
            while sum(one.socket is not None and one.heard >= one.first for one in self.sessions.values()) != count:
                await asyncio.sleep(0.005)

    async def cut(self) -> None:
        """Every connection breaks off; what happens now is told when they resume."""
        for connection in list(self.connections):
            self._leave(connection)
            if connection.request.transport is not None:
                connection.request.transport.abort()
        await asyncio.sleep(0)

    async def reconnect(self) -> None:
        """Asks every shard to connect anew and to resume (op 7)."""
        for connection in list(self.connections):
            self._leave(connection)
            await connection.send(RECONNECT)

    async def invalidate(self, *, resumable: bool = False) -> None:
        """Ends every session (op 9)."""
        for connection in list(self.connections):
            if connection.session is not None and not resumable:
                connection.session.gone = True
                self.sessions.pop(connection.session.id, None)
            self._leave(connection)
            await connection.send(INVALID_SESSION, resumable)

    async def close(self, code: int) -> None:
        """Closes every connection with a code."""
        for connection in list(self.connections):
            self._leave(connection)
            await connection.socket.close(code=code)

    def tell(self, event: str, payload: Json, *, guild_id: str = "", intent: int = 0) -> None:
        """An event for the shard of a server, or the first; only for who asked for such, where `intent` is set."""
        for session in self.sessions.values():
            number, count = session.shard
            if number != ((int(guild_id) >> 22) % count if guild_id else 0):
                continue
            if not intent or session.intents & intent:
                self._tell(session, event, payload)

    # The server

    def _leave(self, connection: Connection) -> None:
        if connection.session is not None and connection.session.socket is connection:
            connection.session.socket = None
        connection.session = None
        if connection in self.connections:
            self.connections.remove(connection)

    def _tell(self, session: Session, event: str, payload: Json) -> None:
        session.sequence += 1
        copied = json.loads(json.dumps(payload))
        session.told.append((session.sequence, event, copied))
        if session.socket is not None:
            self._out.put_nowait((session.socket, DISPATCH, copied, event, session.sequence))

    async def pump(self) -> None:
        """Sends what is told, in order, until cancelled."""
        while True:
            connection, op, payload, event, sequence = await self._out.get()
            await connection.send(op, payload, event, sequence)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0, autoping=True)
        await socket.prepare(request)
        self.asked.append(dict(request.query))
        connection = Connection(request, socket, Packer(request.query.get("compress", "")))
        self.connections.append(connection)
        await connection.send(HELLO, {"heartbeat_interval": int(self.heartbeat_seconds * 1_000)})
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._take(connection, json.loads(message.data))
        finally:
            self._leave(connection)
        return socket

    async def _take(self, connection: Connection, told: Json) -> None:
        match told["op"]:
            case op if op == HEARTBEAT:
                self.heartbeats += 1
                if connection.session is not None:
                    connection.session.heard = max(connection.session.heard, told["d"] or 0)
                if not self.mute:
                    await connection.send(ACK)
            case op if op == IDENTIFY:
                await self._identify(connection, told["d"])
            case op if op == RESUME:
                await self._resume(connection, told["d"])

    async def _identify(self, connection: Connection, told: Json) -> None:
        if told["token"] != self._token():
            await connection.socket.close(code=FAILED, message=b"Authentication failed.")
            return
        if told.get("intents", 0) & PRIVILEGED & ~self.allowed:
            await connection.socket.close(code=DISALLOWED_INTENTS, message=b"Disallowed intent(s).")
            return
        self.identified += 1
        number, count = told.get("shard") or (0, 1)
        for old in [one for one in self.sessions.values() if one.shard == (number, count)]:
            del self.sessions[old.id]
        session = Session(secrets.token_hex(16), (number, count), told.get("intents", 0))
        session.socket, connection.session = connection, session
        self._tell(session, "READY", self._ready(session))
        for event, payload in self._first(session):
            self._tell(session, event, payload)
        session.first = session.sequence
        self.sessions[session.id] = session
        # Asks for a heartbeat, which says how far the client has come ("Gateway", "Sending Heartbeats").
        self._out.put_nowait((connection, HEARTBEAT, None, None, None))

    async def _resume(self, connection: Connection, told: Json) -> None:
        session = self.sessions.get(told["session_id"])
        if told["token"] != self._token() or session is None or not self.resumable:
            await connection.send(INVALID_SESSION, False)
            return
        self.resumed += 1
        session.socket, connection.session = connection, session
        since = told["seq"] or 0
        again = [each for each in session.told if since - self.repeat < each[0] <= since and each[1] != "READY"]
        missed = [each for each in session.told if each[0] > since]
        for sequence, event, payload in (*again, *missed):
            self._out.put_nowait((connection, DISPATCH, payload, event, sequence))
        self._tell(session, "RESUMED", {"_trace": []})
