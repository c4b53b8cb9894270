"""A Slack on a local port: Web API, Socket Mode, files, response_urls, and signed deliveries to the app.

It plays what Slack documents and refuses what Slack refuses; guesses say so where they are made. Tests read what
became of it with `messages`, `plain`, `live_mentions`, `live_links` and `calls`.
"""

import asyncio
import hashlib
import hmac
import json
import time
from base64 import b64decode
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tests.adapters.slack import fake_methods, fake_reading
from tests.adapters.slack.fake_faults import (
    Answer,
    Broken,
    Cut,
    Fault,
    Hang,
    Limited,
    Lost,
    Page,
    Slow,
)
from tests.adapters.slack.fake_limits import ONE_A_MINUTE, Limits
from tests.adapters.slack.fake_payloads import Gesture
from tests.adapters.slack.fake_socket import Sockets
from tests.adapters.slack.fake_world import (
    ANN,
    GENERAL,
    HOME,
    RESPONSE_SECONDS,
    RESPONSE_USES,
    Call,
    Channel,
    Clock,
    Json,
    Refused,
    ResponsePost,
    User,
    Workspace,
    World,
)

PAGE = "<!DOCTYPE html><html><head><title>Slack</title></head><body>Sign in to your workspace</body></html>"
IN_JSON = ("blocks", "attachments", "metadata", "view", "chunks", "files", "loading_messages")
"""Arguments that are JSON inside a form."""


class Delivered(NamedTuple):
    """What the app answered to a delivery over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: str


class FakeSlack(World):
    """`async with FakeSlack() as slack:` gives a running one; `slack.url` is the `base_url` for slack_sdk.

    `clock` decides on limits, streams, triggers and response_urls. `latency` delays every call, in seconds.
    """

    def __init__(self, clock: Clock = time.time) -> None:
        super().__init__(clock)
        self.calls: list[Call] = []
        self.limits = Limits()
        self.latency = 0.0
        self.signing_secret = "signing-secret"
        self.sockets = Sockets(HOME.app_id)
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._slow_reading = Limits({f"conversations.{name}": ONE_A_MINUTE for name in ("replies", "history")})
        self._stopped = asyncio.Event()

    async def start(self) -> Self:
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_post("/upload/v1/{file}", self._upload)
        app.router.add_get("/files-pri/{file}/{name:.*}", self._download)
        app.router.add_post("/hooks/{team}/{number}", self._respond)
        app.router.add_get("/socket/{ticket}", self.sockets.serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        self._client = aiohttp.ClientSession()
        return self

    async def stop(self) -> None:
        self._stopped.set()
        await self.sockets.disconnect("", close=True)
        await self._client.close()
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"{self.origin}/api/"

    # What a test does

    def script(self, method: str, *faults: Fault) -> None:
        """The next calls of `method` go wrong like this. `upload`, `download` and `response_url` are methods too."""
        self._faults[method].extend(faults)

    def asked(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def gesture(
        self, user: User = ANN, channel: Channel = GENERAL, team: Workspace = HOME, message_ts: str = ""
    ) -> Gesture:
        """Something a person does, with a trigger_id and a response_url that work from now on."""
        trigger = self.trigger(team.team_id, channel.id, user.id)
        return Gesture(team, channel, user, trigger, self.hook(team.team_id, channel.id, user.id, message_ts))

    @property
    def mute_pongs(self) -> bool:
        return self.sockets.mute_pongs

    @mute_pongs.setter
    def mute_pongs(self, mute: bool) -> None:
        self.sockets.mute_pongs = mute

    async def send_envelope(
        self,
        payload: Json,
        *,
        type: Literal["events_api", "slash_commands", "interactive"] = "events_api",  # noqa: A002
        retry_attempt: int = 0,
        retry_reason: str = "",
        envelope_id: str = "",
        timeout: float = 3.0,
    ) -> Json | None:
        """Sends over one of the sockets; the answer's payload, `{}` for a bare acknowledgement, None for none."""
        envelope: Json = {"envelope_id": envelope_id or f"env-{self.number()}", "type": type, "payload": payload}
        envelope["accepts_response_payload"] = type != "events_api"
        if type == "events_api":
            envelope |= {"retry_attempt": retry_attempt, "retry_reason": retry_reason}
        return await self.sockets.send(envelope, timeout)

    async def connected(self, count: int = 1, timeout: float = 3.0) -> None:
        """Waits until exactly so many sockets are open."""
        await self.sockets.connected(count, timeout)

    async def disconnect(self, reason: str = "refresh_requested", *, close: bool = False) -> None:
        """Asks the app to connect anew; with `close` the sockets are cut as well, without `reason` they only are."""
        await self.sockets.disconnect(reason, close)

    async def deliver(
        self,
        url: str,
        payload: Json,
        kind: Literal["event", "command", "interaction"] = "event",
        *,
        retry: int = 0,
        retry_reason: str = "http_timeout",
        at: float | None = None,
        secret: str | None = None,
    ) -> Delivered:
        """Posts to the app, signed as Slack signs. `at` is another time, `secret` another key than they should be."""
        body, content_type = encoded(payload, kind)
        stamp = str(int(time.time() if at is None else at))
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature(self.signing_secret if secret is None else secret, stamp, body),
        }
        if retry:
            headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": retry_reason}
        async with self._client.post(url, data=body.encode(), headers=headers) as answer:
            return Delivered(answer.status, dict(answer.headers), await answer.text())

    # What a test reads

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Json]:
        """All of a channel's messages, or those of one thread with its root, oldest first."""
        if thread_ts is not None:
            return self.thread(channel, thread_ts)
        return sorted(self.posted.get(channel, {}).values(), key=lambda message: message["ts"])

    plain = staticmethod(fake_reading.plain)
    live_mentions = staticmethod(fake_reading.live_mentions)
    live_links = staticmethod(fake_reading.live_links)

    # The server

    async def _api(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        body = await arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or body.get("token", "")
        return await self._serve(request, name, token, body)

    async def _serve(self, request: web.Request, name: str, token: str, body: Json) -> web.StreamResponse:
        """One call, with whatever was scripted for it."""
        place = len(self.calls)
        self.calls.append(Call(name, token, body, self.clock()))
        if self.latency:
            await asyncio.sleep(self.latency)
        fault = self._faults[name].popleft() if self._faults[name] else None
        match fault:
            case Answer(error):
                answer = web.json_response(refused(Refused(error)))
            case Limited(seconds):
                answer = limited(seconds)
            case Broken(status):
                answer = web.Response(status=status, text="upstream connect error", content_type="text/plain")
            case Page():
                answer = web.Response(text=PAGE, content_type="text/html")
            case Cut():
                return cut(request)
            case _:
                if isinstance(fault, Slow):
                    await asyncio.sleep(fault.seconds)
                answer = self._carry_out(request, name, token, body)
        if isinstance(fault, Lost):
            return cut(request)
        if isinstance(fault, Hang):
            await self._stopped.wait()
            return cut(request)
        if answer.content_type == "application/json":
            self.calls[place] = replace(self.calls[place], answered=json.loads(answer.text or "null"))
        return answer

    def _carry_out(self, request: web.Request, name: str, token: str, body: Json) -> web.Response:
        try:
            match name:
                case "upload":
                    return self._take_file(body)
                case "download":
                    return self._give_file(token, body)
                case "response_url":
                    return self._take_response(body)
                case "apps.connections.open":
                    return self._open_connection(token)
                case "oauth.v2.access":
                    client = basic(request) or (body.get("client_id", ""), body.get("client_secret", ""))
                    return answered(fake_methods.exchange_code(self, client, body))
            if name not in fake_methods.METHODS:
                raise Refused("unknown_method", req_method=name)
            team = self._caller(token)
            if seconds := self._wait(name, team, str(body.get("channel", ""))):
                return limited(seconds)
            return answered(fake_methods.call(self, team, name, body), scope_headers(self, team, name, body))
        except Refused as no:
            return web.json_response(refused(no))

    def _caller(self, token: str) -> Workspace:
        if not token:
            raise Refused("not_authed")
        if token == self.app_token:
            raise Refused("not_allowed_token_type")
        if (team := self.workspace_of(token)) is None:
            raise Refused("invalid_auth")
        if team.revoked:
            raise Refused("token_revoked")
        return team

    def _wait(self, name: str, team: Workspace, channel: str) -> int:
        now = self.clock()
        if self.history == "one_a_minute" and (seconds := self._slow_reading.wait(name, team.team_id, channel, now)):
            return seconds
        return self.limits.wait(name, team.team_id, channel, now)

    def _open_connection(self, token: str) -> web.Response:
        if not token:
            raise Refused("not_authed")
        if token != self.app_token:
            raise Refused("not_allowed_token_type" if self.workspace_of(token) else "invalid_auth")
        return answered({"url": f"{self.origin.replace('http', 'ws', 1)}/socket/{self.number()}"})

    # Files

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        body = {"file": request.match_info["file"], "content": await request.read()}
        return await self._serve(request, "upload", "", body)

    def _take_file(self, body: Json) -> web.Response:
        stored, content = self.files.get(body["file"]), body["content"]
        if stored is None or len(content) != stored.length:
            return web.Response(status=400, text="length mismatch", content_type="text/plain")
        stored.content = content
        return web.Response(text=f"OK - {len(content)}", content_type="text/plain")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return await self._serve(request, "download", token, {"file": request.match_info["file"]})

    def _give_file(self, token: str, body: Json) -> web.Response:
        """Who may not have a file gets a page to sign in, with HTTP 200."""
        stored = self.files.get(body["file"].partition("-")[2])
        team = self.workspace_of(token)
        allowed = team.team_id if team is not None and not team.revoked and "files:read" in team.scopes else ""
        if stored is None or stored.content is None or stored.team_id != allowed:
            return web.Response(text=PAGE, content_type="text/html")
        return web.Response(body=stored.content, content_type=stored.info["mimetype"])

    # response_urls

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        body = await arguments(request)
        return await self._serve(request, "response_url", "", {**body, "url": f"{self.origin}{request.path}"})

    def _take_response(self, body: Json) -> web.Response:
        url = body["url"]
        body = {key: value for key, value in body.items() if key != "url"}
        door = self.hooks.get(url)
        if door is None or self.clock() - door.made > RESPONSE_SECONDS:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        if door.uses >= RESPONSE_USES:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        door.uses += 1
        self.responses.append(ResponsePost(url, body, self.clock()))
        try:
            fake_methods.respond(self, url, body)
        except Refused as no:
            return web.json_response(refused(no), status=400)
        return web.Response(text="ok", content_type="text/html")


async def arguments(request: web.Request) -> Json:
    """Query, form and JSON together; JSON that came inside a form is read."""
    body: Json = dict(request.query)
    if request.content_type == "application/json":
        body |= await request.json()
    elif request.can_read_body:
        body |= dict(await request.post())
    for key in IN_JSON:
        if isinstance(body.get(key), str):
            with suppress(ValueError):
                body[key] = json.loads(body[key])
    return body


def basic(request: web.Request) -> tuple[str, str] | None:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind != "Basic":
        return None
    name, _, password = b64decode(secret).decode().partition(":")
    return name, password


def answered(told: Json, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"ok": True, **told}, headers=headers)


def refused(no: Refused) -> Json:
    said: Json = {"ok": False, "error": no.refusal.error, **no.more}
    if no.refusal.problems:
        said["response_metadata"] = {"messages": [f"[ERROR] {problem}" for problem in no.refusal.problems]}
    if no.refusal.problems and no.refusal.error == "invalid_blocks":
        said["errors"] = [*no.refusal.problems]
    return said


def limited(seconds: int) -> web.Response:
    return web.json_response(
        {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": str(max(1, seconds))}
    )


def scope_headers(world: World, team: Workspace, name: str, body: Json) -> dict[str, str]:
    accepted = fake_methods.scope_of(world, fake_methods.METHODS[name], body)
    return {"x-oauth-scopes": ",".join(team.scopes), "x-accepted-oauth-scopes": accepted}


def cut(request: web.Request) -> web.Response:
    """Ends the connection; what is given back goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def encoded(payload: Json, kind: str) -> tuple[str, str]:
    """Events are JSON, commands a form, interactions a form with one field of JSON."""
    if kind == "event":
        return json.dumps(payload), "application/json"
    form: Any = payload if kind == "command" else {"payload": json.dumps(payload)}
    return urlencode(form), "application/x-www-form-urlencoded"


def signature(secret: str, stamp: str, body: str) -> str:
    """Slack's v0 signature ("Verifying requests from Slack")."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
