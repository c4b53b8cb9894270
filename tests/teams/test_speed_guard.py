"""What a model call costs, in function calls of the client: counted, so that no machine is too slow or too busy."""

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import contextmanager

import aiohttp
import dspy
import pytest
from aiohttp import web
from pydantic import SecretStr

from teams.lms import close_pools, make_lm
from teams.panel import ExpertPanel
from teams.scripted import chat_text, expert_reply
from teams.tiers import ModelChoice

PANELS = 5
EXPERTS = 6

TODAY = 2.3
"""Function calls of a call of a panel, in those of a bare aiohttp client's for the same bytes, as it was measured."""


@contextmanager
def server():
    """A model's server on a thread of its own, whose work is not counted; its API base, and the bodies it was sent."""
    message = {"role": "assistant", "content": chat_text(expert_reply("It is worth a trial"))}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    reply = json.dumps({"id": "c", "model": "m", "choices": [choice], "usage": usage}).encode()
    bodies: list[bytes] = []
    bases: list[str] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(body=reply, content_type="application/json")

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        bases.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield bases[0], bodies
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def function_calls(ask: Callable[[], Awaitable[None]]) -> float:
    """Functions of Python and C that this thread enters for one model call; coroutines that go on count too."""
    await ask()
    await ask()
    counted = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal counted
        if event in ("call", "c_call"):
            counted += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for _ in range(PANELS):
            await ask()
    finally:
        sys.setprofile(before)
    return counted / (PANELS * EXPERTS)


@pytest.fixture
async def times_the_floor():
    """Measures a panel against a bare client, both on the same server."""
    with server() as (base, bodies):
        lm = make_lm(ModelChoice("openai/mock", SecretStr("k"), base))
        panel = ExpertPanel(lm)

        async def ask_a_panel() -> None:
            assert len((await panel.acall(topic="Open on Sundays?")).expert_analyses) == EXPERTS

        await ask_a_panel()
        same = bodies[:EXPERTS]
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def post(body: bytes) -> bool:
                async with session.post(f"{base}/chat/completions", data=body) as reply:
                    return bool(json.loads(await reply.read())["choices"])

            async def ask_barely() -> None:
                assert all(await asyncio.gather(*map(post, same)))

            async def measure() -> float:
                return await function_calls(ask_a_panel) / await function_calls(ask_barely)

            yield measure
        await close_pools(lm)


async def test_a_call_of_a_panel_costs_at_most_twice_what_it_did(times_the_floor):
    assert await times_the_floor() < 2 * TODAY


async def test_the_guard_sees_it_when_the_short_way_is_not_taken(times_the_floor):
    with dspy.track_usage():
        assert await times_the_floor() > 2 * TODAY
