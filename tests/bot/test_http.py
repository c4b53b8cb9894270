"""The web server: it lives, it is ready or says what is not, and it tells nothing else."""

import asyncio
import json
import socket
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from adapters.port import FrontEndFailed, Health
from bot.http import LARGEST, Web

HERE = "127.0.0.1"


async def got(server: Web, path: str) -> tuple[int, object]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{HERE}:{server.port}{path}") as response,
    ):
        return response.status, await response.json(content_type=None)


async def test_a_process_whose_loop_runs_is_alive_also_while_it_is_not_ready():
    async with Web(lambda: {"slack": Health(False, "connecting")}, [], 0, host=HERE) as server:
        assert await got(server, "/healthz") == (200, {"status": "ok"})


async def test_a_front_end_that_cannot_go_on_is_the_end_of_a_process():
    def failed() -> dict[str, Health]:
        raise FrontEndFailed("Slack says that the token was revoked: install the app again")

    async with Web(failed, [], 0, host=HERE) as server:
        for path in ("/healthz", "/readyz"):
            status, body = await got(server, path)
            assert (status, body["status"]) == (503, "failed")
            assert "install the app again" in body["why"]


async def test_a_process_is_ready_when_all_its_parts_are():
    async def store() -> dict[str, Health]:
        return {"store": Health(True)}

    async with Web(lambda: {"slack": Health(True)}, [], 0, host=HERE, checks=store) as server:
        assert await got(server, "/readyz") == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("slack", "store", "missing"),
    [
        (Health(False, "the socket is closed"), Health(True), {"slack": "the socket is closed"}),
        (Health(True), Health(False), {"store": "not connected"}),
        (Health(False, "a"), Health(False, "b"), {"slack": "a", "store": "b"}),
    ],
)
async def test_a_process_that_is_not_ready_names_what_is_not(slack, store, missing):
    async def checks() -> dict[str, Health]:
        return {"store": store}

    async with Web(lambda: {"slack": slack}, [], 0, host=HERE, checks=checks) as server:
        assert await got(server, "/readyz") == (503, {"status": "not ready", "missing": missing})


async def test_a_check_that_never_answers_is_not_ready_and_leaves_the_process_alive():
    async def never() -> dict[str, Health]:
        await asyncio.Event().wait()
        return {}

    async with Web(dict, [], 0, host=HERE, checks=never, check_seconds=0.05) as server:
        status, body = await got(server, "/readyz")
        assert (status, list(body["missing"])) == (503, ["checks"])
        assert await got(server, "/healthz") == (200, {"status": "ok"})


async def test_a_port_that_is_taken_is_one_sentence_with_what_to_do():
    async with Web(dict, [], 0, host=HERE) as server:
        second = Web(dict, [], server.port, host=HERE)
        with pytest.raises(FrontEndFailed, match=rf"^PORT {server.port} is in use by another program: stop that one"):
            await second.__aenter__()
        assert (await got(server, "/healthz"))[0] == 200


async def test_an_address_that_this_machine_does_not_have_is_one_sentence():
    with pytest.raises(FrontEndFailed, match="PORT 0 cannot be had"):
        await Web(dict, [], 0, host="192.0.2.1").__aenter__()


async def test_a_closed_server_frees_its_port():
    async with Web(dict, [], 0, host=HERE) as server:
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HERE, port), timeout=1).close()
    async with Web(dict, [], port, host=HERE) as server:
        assert server.port == port


async def test_routes_of_front_ends_are_served_and_no_body_over_a_mebibyte_is_read():
    async def length(request: web.Request) -> web.Response:
        return web.json_response(len(await request.read()))

    async with Web(dict, [web.post("/given", length)], 0, host=HERE) as server:
        url = f"http://{HERE}:{server.port}/given"
        async with aiohttp.ClientSession() as session:
            async with session.post(url, data=b"x" * LARGEST) as response:
                assert await response.json() == LARGEST
            with suppress(aiohttp.ClientConnectionError):
                async with session.post(url, data=b"x" * (LARGEST + 1)) as response:
                    assert response.status == 413
            async with session.get(url) as response:
                assert response.status == 405
        assert await got(server, "/healthz") == (200, {"status": "ok"})


async def test_a_bug_in_a_route_is_logged_once_without_what_was_sent(caplog):
    async def broken(request: web.Request) -> web.Response:
        raise ValueError(f"canary {request.query_string}")

    with capture_logs() as logs, caplog.at_level("DEBUG"):
        async with Web(dict, [web.get("/given", broken)], 0, host=HERE) as server:
            url = f"http://{HERE}:{server.port}/given?code=canary"
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                assert (response.status, await response.text()) == (500, "")
    (entry,) = logs
    assert (entry["event"], entry["path"], entry["error"]) == ("http.request_failed", "/given", "ValueError")
    assert "canary" not in json.dumps(logs)
    assert "canary" not in caplog.text
