"""Logs: one entry is one line, whatever is in it."""

import asyncio
import io
import json
import logging
from contextlib import suppress

import aiohttp
import pytest
import structlog
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient

from bot.http import Web
from bot.log import configure_logs, one_line

QUIET = ("slack_sdk", "slack_bolt", "aiohttp.access", "aiohttp.server")


@pytest.fixture(autouse=True)
def _defaults_after():
    before = [(name, logging.getLogger(name).level) for name in QUIET]
    yield
    structlog.reset_defaults()
    for name, level in before:
        logger = logging.getLogger(name)
        logger.level, logger.propagate, logger.handlers = level, True, []


HOSTILE = 'x\n{"event": "forged"}\r\x1b[31mred\x1b]52;c;AAAA\x07\x00\u2028\u202e'


def test_fault_55_an_injected_newline_or_escape_stays_inside_its_json_line():
    out = io.StringIO()
    configure_logs("info", out)
    structlog.get_logger().info("run.finished", error=HOSTILE, run=HOSTILE)

    (line,) = out.getvalue().splitlines()
    assert "\x1b" not in line
    assert json.loads(line)["error"] == HOSTILE


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_fault_55_for_people_a_log_line_shows_escapes_and_obeys_none():
    out = Terminal()
    configure_logs("info", out)
    structlog.get_logger().info("run.finished", error=HOSTILE)
    text = out.getvalue()
    assert text.count("\n") == 1
    assert "\x1b[31mred" not in text
    assert "\x1b]52" not in text
    assert "\x07" not in text


@given(st.text())
def test_fault_55_no_value_of_an_entry_holds_a_line_break_or_a_control(text):
    event = one_line(None, "info", {"event": "e", "value": text})
    assert not [char for char in event["value"] if ord(char) < 32 or 127 <= ord(char) < 160]


def test_what_is_below_the_level_is_dropped():
    out = io.StringIO()
    configure_logs("warning", out)
    structlog.get_logger().info("quiet")
    assert out.getvalue() == ""


# Libraries


async def slack_traffic() -> None:
    """Everything that goes wrong between Slack and its libraries, a canary in each place that can hold a secret."""

    async def answered(request: web.Request) -> web.Response:
        match request.path:
            case "/api/oauth.v2.access":
                return web.json_response({"ok": False, "error": "invalid_code", "detail": "CANARY-answer"})
            case "/api/apps.connections.open":
                url = f"ws://127.0.0.1:{server.port}/none?ticket=CANARY-ticket"
                return web.json_response({"ok": True, "url": url})
            case "/api/users.info":
                return web.Response(status=500, text="{CANARY-page", content_type="application/json")
            case _:
                return web.json_response({"ok": True, "message": {"text": "CANARY-echo"}})

    async with Web(dict, [web.post("/api/{method}", answered)], 0, host="127.0.0.1") as server:
        client = AsyncWebClient(token="xoxb-CANARY", base_url=f"http://127.0.0.1:{server.port}/api/")
        await client.chat_postMessage(channel="C1", text="CANARY-text")
        for refused in (
            client.users_info(user="CANARY-user"),
            client.oauth_v2_access(client_id="1.2", client_secret="CANARY-secret", code="CANARY-code"),
        ):
            with pytest.raises(SlackApiError):
                await refused
        with suppress(aiohttp.ClientError):
            await AsyncWebClient("xoxb-CANARY", "http://127.0.0.1:1/CANARY/", retry_handlers=[]).auth_test()
        await flow_with_a_bad_code(client)
        await bolt_with_a_bug_and_an_unknown_payload(client)
        await socket_that_is_refused(client)
        await malformed_header(server.port)


async def flow_with_a_bad_code(client: AsyncWebClient) -> None:
    settings = AsyncOAuthSettings(client_id="1.2", client_secret="CANARY-secret", state_validation_enabled=False)
    flow = AsyncOAuthFlow(client=client, settings=settings)
    await flow.handle_callback(AsyncBoltRequest(body="", query="code=CANARY-code&state=CANARY-state"))


async def bolt_with_a_bug_and_an_unknown_payload(client: AsyncWebClient) -> None:
    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T1", bot_token="xoxb-CANARY")

    async def broken() -> None:
        raise ValueError("CANARY-bug")

    app = AsyncApp(name="panelist", authorize=authorize, signing_secret="CANARY", request_verification_enabled=False)
    app.command("/panel")(broken)
    for command in ("/panel", "/unknown"):
        body = f"command={command}&text=CANARY-typed&team_id=T1&user_id=U1&token=CANARY"
        await app.async_dispatch(AsyncBoltRequest(body=body, headers={}))
    await asyncio.sleep(0)


async def socket_that_is_refused(client: AsyncWebClient) -> None:
    socket = SocketModeClient("xapp-CANARY", web_client=client, auto_reconnect_enabled=False)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await socket.connect()
    await socket.close()


async def malformed_header(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nCANARY header: x\r\n\r\n")
    async with asyncio.timeout(5):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("level", ["debug", "warning"])
async def test_fault_71_slacks_libraries_log_no_secret_and_no_text(level, caplog):
    with caplog.at_level("DEBUG"):
        await slack_traffic()
    quoted = [record for record in caplog.records if "CANARY" in caplog.handler.format(record)]
    # Unless they are silenced they do, at every level: else this would show nothing.
    assert {"DEBUG", "WARNING", "ERROR"} <= {record.levelname for record in quoted}
    assert set(QUIET) - {"aiohttp.access"} <= {
        library for record in quoted for library in QUIET if record.name.startswith(library)
    }

    out = io.StringIO()
    configure_logs(level, out)
    await slack_traffic()
    assert "CANARY" not in out.getvalue()
    assert out.getvalue() == ""
