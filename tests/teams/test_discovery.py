"""A local server is recognized by what it lists; whatever else listens there is passed over."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from teams.discovery import LOCAL_SERVERS, Candidate, LocalServer, find_local_server, first_chat_model

OLLAMA, LM_STUDIO, LLAMA_CPP = LOCAL_SERVERS

OLLAMA_BODY = {"models": [{"name": "llama3.2:3b", "model": "llama3.2:3b", "size": 2}]}
LM_STUDIO_BODY = {"object": "list", "data": [{"id": "qwen3-4b", "object": "model", "owned_by": "organization_owner"}]}
LLAMA_CPP_BODY = {"object": "list", "data": [{"id": "gemma", "object": "model", "owned_by": "llamacpp"}]}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answers(body: object, status: int = 200) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


@asynccontextmanager
async def listening(candidate: Candidate, answer: Answer) -> AsyncIterator[Candidate]:
    """`candidate` as a real server on a free port."""
    app = web.Application()
    app.router.add_get(candidate.path, answer)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield replace(candidate, origin=f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("candidate", "body", "model"),
    [
        (OLLAMA, OLLAMA_BODY, "llama3.2:3b"),
        (LM_STUDIO, LM_STUDIO_BODY, "qwen3-4b"),
        (LLAMA_CPP, LLAMA_CPP_BODY, "gemma"),
    ],
    ids=["Ollama", "LM Studio", "llama.cpp"],
)
async def test_each_server_is_found_by_its_own_list(candidate: Candidate, body: object, model: str) -> None:
    async with listening(candidate, answers(body)) as there:
        found = await find_local_server([there], seconds=5)
    assert found == LocalServer(candidate.name, f"{there.origin}/v1", model)


async def test_the_earlier_candidate_wins_when_several_run() -> None:
    async with (
        listening(OLLAMA, answers(OLLAMA_BODY)) as ollama,
        listening(LM_STUDIO, answers(LM_STUDIO_BODY)) as lm_studio,
    ):
        found = await find_local_server([ollama, lm_studio], seconds=5)
    assert found is not None
    assert found.name == "Ollama"


async def test_a_server_that_hangs_does_not_hide_the_next() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        return web.Response()

    async with listening(OLLAMA, hang) as ollama, listening(LM_STUDIO, answers(LM_STUDIO_BODY)) as lm_studio:
        async with asyncio.timeout(5):
            found = await find_local_server([ollama, lm_studio], seconds=0.5)
    assert found is not None
    assert found.name == "LM Studio"


async def test_a_server_in_trouble_is_passed_over() -> None:
    async with listening(OLLAMA, answers(OLLAMA_BODY, status=500)) as there:
        assert await find_local_server([there], seconds=5) is None


async def test_a_body_without_end_is_not_read_to_the_end() -> None:
    async def pour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    async with listening(OLLAMA, pour) as there:
        async with asyncio.timeout(20):
            assert await find_local_server([there], seconds=15) is None


async def test_a_redirect_is_not_followed() -> None:
    async with listening(LM_STUDIO, answers(OLLAMA_BODY)) as elsewhere:

        async def redirect(request: web.Request) -> web.StreamResponse:
            raise web.HTTPFound(f"{elsewhere.origin}{elsewhere.path}")

        async with listening(OLLAMA, redirect) as there:
            assert await find_local_server([there], seconds=5) is None


async def test_nothing_is_found_where_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        silent = replace(OLLAMA, origin=f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert await find_local_server([silent]) is None


async def test_a_server_that_does_not_speak_http_is_passed_over() -> None:
    async def grumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ready\r\n")
        writer.close()

    async with await asyncio.start_server(grumble, "127.0.0.1", 0) as server:
        there = replace(OLLAMA, origin=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await find_local_server([there], seconds=5) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"null",
        b'{"models": null}',
        b'{"models": {"name": "x"}}',
        b'{"models": []}',
        b'{"models": ["x", null, {}, {"name": 7}, {"name": ""}]}',
        b'{"data": [{"id": "x"}]}',
        b'{"models": [{"name": "nomic-embed-text:latest"}, {"name": "all-minilm:22m"}]}',
    ],
)
def test_a_list_of_another_shape_names_no_model(body: bytes) -> None:
    assert first_chat_model(OLLAMA, body) is None


def test_an_embedding_model_is_skipped_for_the_next() -> None:
    body = b'{"data": [{"id": "text-embedding-nomic-embed-text-v1.5"}, {"id": "qwen3-4b"}]}'
    assert first_chat_model(LM_STUDIO, body) == "qwen3-4b"


def test_another_server_on_the_port_of_llama_cpp_is_not_taken_for_it() -> None:
    assert first_chat_model(LLAMA_CPP, b'{"data": [{"id": "x", "owned_by": "somebody"}]}') is None
