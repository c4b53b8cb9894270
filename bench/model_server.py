"""A mock model in a process of its own: OpenAI's chat completions after a fixed delay, with constant answers.

`python -m bench.model_server --delay 0.2` prints its API base and ends when its stdin does. It reads no more of a
request than it has to, so that the client is what is measured.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from bench.peers.measuring import many_files
from teams.scripted import chat_text, expert_reply, synthesis_reply

EXPERT_MARK = b"## expert_perspective ##"
KEPT = 6
"""How many request bodies are kept, the first ones, so that a bare client can post the very same bytes."""

MARK = "left-at-0000000000000000"
"""Where a stamped answer says when it left, in microseconds of the system's clock."""

HELD_SECONDS = 30.0
"""How long answers are held back at most."""


def completion(text: str) -> bytes:
    """A whole chat completion around `text`."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 900, "completion_tokens": 120, "total_tokens": 1020}
    whole = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "bench",
        "choices": [choice],
        "usage": usage,
    }
    return json.dumps(whole).encode()


class MockModel:
    """Answers after `delay` seconds and counts. While `hold` is set, nobody is answered until so many wait at once.

    With `spread` an answer takes up to so many seconds more, each its own time, the same in every bench. `stamped`
    answers of experts say when they left.
    """

    def __init__(self, delay: float) -> None:
        self.delay, self.spread, self.stamped = delay, 0.0, False
        self.random = random.Random(7)
        self.expert = completion(chat_text(expert_reply("A trial of six weeks costs little and settles the question")))
        self.stamp = completion(chat_text(expert_reply(MARK)))
        self.synthesis = completion(chat_text(synthesis_reply("All in all: try it, and measure from the first day.")))
        self.kept: list[str] = []
        self.calls = self.in_flight = self.peak = self.hold = 0
        self.released = asyncio.Event()

    async def complete(self, request: web.Request) -> web.Response:
        """POST /v1/chat/completions."""
        self.calls += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            body = await request.read()
            if len(self.kept) < KEPT:
                self.kept.append(body.decode())
            if self.in_flight >= self.hold:
                self.released.set()
            elif not self.released.is_set():
                await self._held()
            await asyncio.sleep(self.delay + self.spread * self.random.random())
            if EXPERT_MARK not in body:
                answer = self.synthesis
            elif self.stamped:
                answer = self.stamp.replace(MARK.encode(), f"left-at-{time.time_ns() // 1000:016}".encode())
            else:
                answer = self.expert
            return web.Response(body=answer, content_type="application/json")
        finally:
            self.in_flight -= 1

    async def _held(self) -> None:
        try:
            async with asyncio.timeout(HELD_SECONDS):
                await self.released.wait()
        except TimeoutError:
            self.released.set()

    async def stats(self, _: web.Request) -> web.Response:
        """GET /stats: calls and the most in flight at once since the last reset."""
        return web.json_response({"calls": self.calls, "in_flight": self.in_flight, "peak": self.peak})

    async def reset(self, request: web.Request) -> web.Response:
        """POST /reset?hold=N&delay=S&spread=S&stamped=1: count from nothing; all but `hold` stays if not named."""
        self.calls = self.peak = 0
        self.hold = int(request.query.get("hold", "0"))
        self.delay = float(request.query.get("delay", self.delay))
        self.spread = float(request.query.get("spread", self.spread))
        self.stamped = bool(int(request.query.get("stamped", self.stamped)))
        self.released = asyncio.Event()
        return web.Response()

    async def bodies(self, _: web.Request) -> web.Response:
        """GET /kept: the first request bodies, as a list of texts."""
        return web.json_response(self.kept)


async def serve(delay: float) -> None:
    """Print the API base, then answer until stdin ends."""
    model = MockModel(delay)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.add_routes(
        [
            web.post("/v1/chat/completions", model.complete),
            web.get("/stats", model.stats),
            web.post("/reset", model.reset),
            web.get("/kept", model.bodies),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    # A short backlog drops connections of a burst; they come back a whole second later.
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    try:
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await runner.cleanup()


def _run(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench.model_server")
    parser.add_argument("--delay", type=float, default=0.2, help="seconds before each answer")
    many_files()
    _run(serve(parser.parse_args().delay))
