"""The web server of a process: whether it lives, whether it is ready, and the routes that front ends bring along.

Addresses are never logged whole: they carry secrets, such as the codes of an installation.
"""

import asyncio
import errno
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from adapters.port import FrontEndFailed, Health

LARGEST = 1_048_576
"""Bytes of one body."""
IDLE_SECONDS = 75.0
"""How long a connection may take for a request's headers, or lie idle: over the 60 s of common proxies, whose reused
connections would otherwise be closed under them."""
LINGERING_SECONDS = 2.0
"""How long the rest of a refused body is read, so that the sender gets to see the answer."""
CLOSING_SECONDS = 2.0
"""How long requests under way may take when the server is closed."""
CHECK_SECONDS = 2.0
"""How long the checks of `/readyz` may take."""

Checks = Callable[[], Awaitable[Mapping[str, Health]]]

log = structlog.get_logger()


class Web:
    """A web server, open as long as the block.

    `health` says of each part by its name whether it is connected; it raises `FrontEndFailed` where one cannot go on.
    `checks` are parts that have to be asked, such as the store. `port` 0 takes any free one. Entering raises
    `FrontEndFailed` where the port cannot be had.
    """

    def __init__(
        self,
        health: Callable[[], Mapping[str, Health]],
        routes: Iterable[web.RouteDef],
        port: int,
        *,
        host: str = "0.0.0.0",  # noqa: S104 - Slack comes from outside
        checks: Checks | None = None,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._health = health
        self._checks = checks
        self._check_seconds = check_seconds
        self._host = host
        self._asked_port = port
        app = web.Application(client_max_size=LARGEST, middlewares=[_edge])
        app.add_routes([web.get("/healthz", self._alive), web.get("/readyz", self._ready), *routes])
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGERING_SECONDS,
            shutdown_timeout=CLOSING_SECONDS,
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._runner.addresses[0][1])

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._asked_port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise FrontEndFailed(_why(error, self._asked_port)) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _alive(self, _: web.Request) -> web.Response:
        try:
            self._health()
        except FrontEndFailed as error:
            return _told(503, "failed", {"why": str(error)})
        return _told(200, "ok", {})

    async def _ready(self, _: web.Request) -> web.Response:
        try:
            parts = {**self._health(), **await self._checked()}
        except FrontEndFailed as error:
            return _told(503, "failed", {"why": str(error)})
        missing = {name: part.detail or "not connected" for name, part in parts.items() if not part.ready}
        return _told(503, "not ready", {"missing": missing}) if missing else _told(200, "ready", {})

    async def _checked(self) -> Mapping[str, Health]:
        if self._checks is None:
            return {}
        try:
            async with asyncio.timeout(self._check_seconds):
                return await self._checks()
        except TimeoutError:
            return {"checks": Health(False, f"no answer within {self._check_seconds:g} s")}


def _told(status: int, word: str, more: Mapping[str, object]) -> web.Response:
    return web.json_response({"status": word, **more}, status=status, headers={"Cache-Control": "no-store"})


@web.middleware
async def _edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a bug with 500 and log it without what was sent: aiohttp would log messages that may quote it."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - the edge of a request
        log.error("http.request_failed", path=request.path, error=type(error).__name__, at=_where(error))
        return web.Response(status=500)


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _why(error: OSError, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"PORT {port} is in use by another program: stop that one, or set PORT to another number"
        case errno.EACCES:
            return f"PORT {port} may not be used by this user: set PORT to a number above 1023"
        case errno.EADDRNOTAVAIL:
            return f"PORT {port} cannot be had: this machine does not have the address that was asked for"
        case _:
            return f"PORT {port} cannot be had: {error.strerror or error}"
