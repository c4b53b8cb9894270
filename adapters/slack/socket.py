"""Socket Mode: payloads over one WebSocket, with a watch over it that ends the process rather than stay deaf.

The client reconnects by itself, for ever and silently; a process that looks healthy and hears nothing is worse than one
that ends and is started again.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.port import FrontEndFailed
from adapters.slack.errors import CALL_ERRORS, code_of

log = structlog.get_logger()

DOWN_SECONDS = 120.0
"""How long the socket may be down before the process gives up."""

PING_SECONDS = 10.0
"""Four of these without a pong, and the client takes the socket for dead."""


class Socket:
    """One connection to Slack, watched."""

    def __init__(
        self,
        app: AsyncApp,
        client: AsyncWebClient,
        app_token: str,
        *,
        down_seconds: float = DOWN_SECONDS,
        ping_seconds: float = PING_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._client, self._app_token = app, client, app_token
        self._down_seconds, self._ping_seconds, self._clock = down_seconds, ping_seconds, clock
        self._socket: SocketModeClient | None = None
        self._down_since: float | None = clock()
        self._heard: float | None = None

    def trouble(self) -> str:
        """What is wrong, as a sentence; empty while connected."""
        if self._up:
            return ""
        heard = "" if self._heard is None else f"; the last payload came {self._clock() - self._heard:.0f} s ago"
        down = self._clock() - (self._clock() if self._down_since is None else self._down_since)
        return f"Slack's socket has been down for {down:.0f} s{heard}"

    @property
    def _up(self) -> bool:
        """Whether the socket is open and answers pings; the client's own word for it can only be awaited."""
        socket = self._socket
        if socket is None or socket.closed or socket.stale or socket.current_session is None:
            return False
        silent = time.time() - (socket.last_ping_pong_time or time.time())
        return not socket.current_session.closed and silent < 4 * self._ping_seconds

    async def run(self) -> None:
        """Take payloads in until cancelled. Raises `FrontEndFailed` where Slack refuses the token, or when the socket
        was down for too long."""
        socket = self._socket = SocketModeClient(
            self._app_token, web_client=self._client, ping_interval=self._ping_seconds
        )
        socket.socket_mode_request_listeners.append(self._handle)
        try:
            await self._connected(socket)
            await self._watched()
        finally:
            await socket.close()  # type: ignore[no-untyped-call]

    async def _connected(self, socket: SocketModeClient) -> None:
        try:
            socket.wss_uri = await socket.issue_new_wss_url()
        except SlackApiError as error:
            code = code_of(error) or "no answer"
            raise FrontEndFailed(
                f"Slack refuses SLACK_APP_TOKEN ({code}); it begins with xapp- and needs the scope connections:write"
            ) from error
        except CALL_ERRORS as error:
            log.warning("slack.unreachable", error=type(error).__name__)
        # The client tries for ever; the watch says when that is long enough.
        self._connecting = asyncio.ensure_future(socket.connect())  # type: ignore[no-untyped-call]

    async def _watched(self) -> None:
        try:
            while True:
                if self._up:
                    if self._down_since is not None:
                        log.info("slack.connected")
                    self._down_since = None
                elif self._down_since is None:
                    self._down_since = self._clock()
                    log.warning("slack.disconnected")
                elif self._clock() - self._down_since > self._down_seconds:
                    raise FrontEndFailed(f"{self.trouble()}; the process ends so that it is started again")
                await asyncio.sleep(min(1.0, self._ping_seconds / 4))
        finally:
            self._connecting.cancel()

    async def _handle(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        self._heard = self._clock()
        began = time.time()
        response: Any = await run_async_bolt_app(self._app, request)
        await send_async_response(client, request, response, began)
