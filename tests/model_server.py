"""A model's server for tests: OpenAI's wire format, scripted by perspective, counting what is asked of it."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from teams.scripted import chat_text, expert_reply, synthesis_reply

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def completion(text: str, finish_reason: str = "stop") -> web.Response:
    """A whole chat completion around `text`."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return web.json_response(
        {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    )


def error(status: int, **headers: str) -> Handler:
    """A handler that refuses with `status`; its body holds a canary that must never reach a person."""

    async def handle(_: web.Request) -> web.Response:
        body = {"error": {"message": "CANARY-sk-secret said the server", "type": "x", "code": None}}
        return web.json_response(body, status=status, headers=headers)

    return handle


def answering(text: str, finish_reason: str = "stop") -> Handler:
    """A handler that answers with `text`."""

    async def handle(_: web.Request) -> web.Response:
        return completion(text, finish_reason)

    return handle


async def hang(_: web.Request) -> web.Response:
    """A handler that never answers."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


class ModelServer:
    """Answers every expert and every synthesis well, unless `faults` has a handler under the perspective's key
    (`synthesis` for syntheses). `delay` is in seconds.
    Nobody is answered until `hold_until` calls are in flight at once."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.faults: dict[str, Handler] = {}
        self.calls: Counter[str] = Counter()
        self.prompts: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.aborted: Counter[str] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self.base = ""
        self.hold_until = 0
        self._held = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = "\n".join(str(message["content"]) for message in body["messages"])
        asked = re.search(r"\[\[ ## expert_perspective ## \]\]\n(\w+)", prompt)
        who = asked[1] if asked else "synthesis"
        self.calls[who] += 1
        self.prompts.append(prompt)
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.in_flight >= self.hold_until:
                self._held.set()
            await self._held.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            if who in self.faults:
                return await self.faults[who](request)
            reply = synthesis_reply("all in all") if who == "synthesis" else expert_reply(f"{who} speaks")
            return completion(chat_text(reply))
        except asyncio.CancelledError:
            self.aborted[who] += 1
            raise
        finally:
            self.in_flight -= 1


@asynccontextmanager
async def model_server(delay: float = 0.0):
    """A `ModelServer` listening on loopback; its `base` is the API base."""
    server = ModelServer(delay)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


def jsonl(text: str) -> list[dict]:
    """The objects of a text with one JSON object a line."""
    return [json.loads(line) for line in text.splitlines() if line]
