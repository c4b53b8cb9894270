"""Holds the fake Discord to its word, with discord.py at the other end and Discord's own document beside it."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import pytest
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.discord.fake_faults import Answer, Broken, Limited, Lost
from tests.adapters.discord.fake_limits import Limits, Rate
from tests.adapters.discord.fake_reading import alerts, buttons, chips, live_links, plain
from tests.adapters.discord.fake_world import (
    ABROAD,
    ANN,
    ANN_DM,
    BOB,
    BOT,
    FORUM,
    GENERAL,
    GROUP,
    HOME,
    Guild,
    Upload,
    User,
)
from tests.adapters.discord.openapi import Request, assert_valid, needs_document, problems

NOBODY = discord.AllowedMentions.none()


class HandClock:
    """A clock that a test moves."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Client(discord.AutoShardedClient):
    """discord.py with two commands, a button and a form. What it was told of is in `heard`."""

    def __init__(self, **more: Any) -> None:
        intents = discord.Intents.none()
        intents.guilds = intents.guild_messages = intents.dm_messages = True
        super().__init__(intents=intents, allowed_mentions=NOBODY, max_ratelimit_timeout=30.0, **more)
        self.tree = app_commands.CommandTree(self)
        self.heard: list[tuple[str, Any]] = []
        self.tree.add_command(self._echo())
        self.tree.add_command(app_commands.ContextMenu(name="Ask about", callback=self._ask_about))

    def _echo(self) -> app_commands.Command:
        async def offered(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
            return [app_commands.Choice(name=f"{current}!", value=current)]

        @app_commands.command(name="echo", description="Says it again")
        @app_commands.allowed_installs(guilds=True, users=True)
        @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
        @app_commands.autocomplete(topic=offered)
        async def echo(
            interaction: discord.Interaction, topic: str, file: discord.Attachment | None = None, private: bool = False
        ) -> None:
            content = (await file.read()).decode() if file else ""
            self.heard.append(("echo", (topic, content, private)))
            await interaction.response.send_message(view=words(f"{topic}{content}"), ephemeral=private)

        return echo

    async def _ask_about(self, interaction: discord.Interaction, message: discord.Message) -> None:
        self.heard.append(("ask about", message.content))
        await interaction.response.send_modal(Form())

    async def setup_hook(self) -> None:
        await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """At once: the fake does not mind."""

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        if interaction.type is discord.InteractionType.component:
            self.heard.append(("button", interaction.data["custom_id"]))
            await interaction.response.edit_message(view=words("pressed"))

    async def on_message(self, message: discord.Message) -> None:
        if message.author != self.user:
            self.heard.append(("message", message.content))

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self.heard.append(("deleted", event.message_id))

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        self.heard.append(("removed", guild.id))


class Form(discord.ui.Modal, title="Ask"):
    topic = discord.ui.Label(text="Topic", component=discord.ui.TextInput(custom_id="topic", default="as it was"))
    files = discord.ui.Label(text="Files", component=discord.ui.FileUpload(custom_id="files", required=False))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        files = [await one.read() for one in self.files.component.values]
        await interaction.response.send_message(view=words(f"{self.topic.component.value} {files}"))


def words(text: str, mark: int = 77, button: str = "", file: str = "") -> discord.ui.LayoutView:
    view = discord.ui.LayoutView(timeout=None)
    view.add_item(discord.ui.TextDisplay(text, id=mark))
    if file:
        view.add_item(discord.ui.File(f"attachment://{file}"))
    if button:
        view.add_item(discord.ui.ActionRow(discord.ui.Button(label="Go", custom_id=button)))
    return view


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as started:
        yield started
        assert started.violations == []


@asynccontextmanager
async def running(fake: FakeDiscord, **more: Any) -> AsyncIterator[Client]:
    """The client on the fake. The library's only knobs are these two."""
    before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = fake.api, yarl.URL(fake.gateway_url)
    try:
        async with Client(**more) as client:
            await client.login(fake.token)
            connecting = asyncio.create_task(client.connect())
            try:
                await fake.connected(more.get("shard_count") or fake.shards)
                yield client
            finally:
                await client.close()
                await asyncio.wait([connecting])
    finally:
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = before


async def until(there: Any) -> None:
    async with asyncio.timeout(5):
        while not there():
            await asyncio.sleep(0.005)


def general(client: Client) -> discord.PartialMessageable:
    return client.get_partial_messageable(int(GENERAL.id))


async def hung(client: Client, message: Any) -> discord.PartialMessageable:
    """A thread that hangs from a message."""
    told = await client.http.start_thread_with_message(int(GENERAL.id), message.id, name="T", auto_archive_duration=60)
    return client.get_partial_messageable(int(told["id"]))


async def code_of(call: Any) -> int:
    with pytest.raises(discord.HTTPException) as caught:
        await call
    return caught.value.code


@needs_document
async def test_discord_fake_answers_everything_asked_in_the_shapes_of_discords_document(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        await client.application_info()
        await client.fetch_channel(int(GENERAL.id))
        assert [guild.id async for guild in client.fetch_guilds()] == [int(HOME.id)]
        sent = await general(client).send(view=words("one", button="go", file="a.md"), files=[file("a.md")])
        await sent.edit(view=words("two", file="b.md"), attachments=[file("b.md")], allowed_mentions=NOBODY)
        thread = await hung(client, sent)
        await thread.send(view=words("in it"), reference=await thread.fetch_message(thread.id))
        assert [message.id async for message in thread.history()]
        await client.fetch_channel(thread.id)
        direct = await client.create_dm(discord.Object(int(ANN.id)))
        await direct.send(view=words("hello"))
        await client.fetch_channel(direct.id)
        await client.tree.fetch_commands()
        await sent.delete()
        gesture = await fake.slash(ANN, GENERAL, "echo", topic="hi")
        assert await gesture.acknowledged() == "message"
    assert fake.violations == []


def file(name: str, text: str = "text") -> discord.File:
    return discord.File(io.BytesIO(text.encode()), filename=name)


async def test_discord_fake_a_slash_command_is_answered_and_seen_by_all_or_by_one(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        for private in (False, True):
            gesture = await fake.slash(
                ANN, GENERAL, "echo", topic="hi ", file=Upload("a.txt", b"content"), private=private
            )
            assert await gesture.acknowledged() == "message"
        assert client.heard == [("echo", ("hi ", "content", False)), ("echo", ("hi ", "content", True))]
    assert fake.shown(GENERAL) == ["hi content"]
    assert fake.shown(GENERAL, ANN) == ["hi content"] * 2
    assert fake.told_alone(ANN) == ["hi content"]
    assert fake.told_alone(BOB) == []


async def test_discord_fake_a_command_that_is_not_registered_cannot_be_picked(fake: FakeDiscord) -> None:
    async with running(fake):
        with pytest.raises(AssertionError, match="no command"):
            await fake.slash(ANN, GENERAL, "panel")
        with pytest.raises(AssertionError, match="no option"):
            await fake.slash(ANN, GENERAL, "echo", subject="hi")
        with pytest.raises(AssertionError, match="takes no"):
            await fake.slash(ANN, GENERAL, "echo", topic=True)
        with pytest.raises(AssertionError, match="needs"):
            await fake.slash(ANN, GENERAL, "echo")


async def test_discord_fake_options_are_completed_forms_open_and_come_back_and_buttons_are_pressed(
    fake: FakeDiscord,
) -> None:
    async with running(fake) as client:
        offered = await fake.autocomplete(ANN, GENERAL, "echo", "topic", topic="de")
        assert [one["name"] for one in offered] == ["de!"]
        opened = await fake.context(ANN, fake.say(BOB, GENERAL, "what now?"), "Ask about")
        assert await opened.acknowledged() == "modal"
        sent = await fake.submit(ANN, opened, {}, {"files": [Upload("a.md", b"more")]})
        assert await sent.acknowledged() == "message"
        assert fake.shown(GENERAL)[-1] == "as it was [b'more']"
        message = await general(client).send(view=words("press", button="go"))
        standing = fake.messages(GENERAL)[-1]
        assert buttons(standing) == {"Go": "go"}
        pressed = await fake.click(BOB, standing, "go")
        assert await pressed.acknowledged() == "update"
        assert plain(fake.messages(GENERAL)[-1]) == "pressed"
        assert ("ask about", "what now?") in client.heard
        assert message.id == int(standing["id"])


async def test_discord_fake_words_come_only_where_the_bot_is_named_or_alone_with_somebody(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        fake.say(ANN, GENERAL, "not for you")
        fake.mention(ANN, GENERAL, "panel one")
        fake.dm(ANN, "hello")
        fake.delete_message(fake.say(ANN, GENERAL, "never mind"))
        fake.say(ANN, ABROAD, "the bot is not here")
        await until(lambda: client.heard and client.heard[-1][0] == "deleted")
        said = [heard for kind, heard in client.heard if kind == "message"]
        assert said == ["", f"<@{BOT.id}> panel one", "hello", ""]


@pytest.mark.parametrize("how", ["cut", "reconnect"])
async def test_discord_fake_a_resumed_session_hears_what_it_missed_and_what_is_told_twice(
    fake: FakeDiscord, how: str
) -> None:
    async with running(fake) as client:
        fake.dm(ANN, "one")
        await until(lambda: len(client.heard) == 1)
        fake.gateway.repeat = 1
        await (fake.gateway.cut() if how == "cut" else fake.gateway.reconnect())
        fake.dm(ANN, "two")
        await fake.connected()
        await until(lambda: len(client.heard) == 3)
        assert [heard for _, heard in client.heard] == ["one", "one", "two"]
        assert (fake.gateway.identified, fake.gateway.resumed) == (1, 1)


async def test_discord_fake_an_invalid_session_has_to_be_begun_anew(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        await fake.gateway.invalidate()
        await fake.connected()
        fake.dm(ANN, "one")
        await until(lambda: client.heard)
        assert (fake.gateway.identified, fake.gateway.resumed) == (2, 0)


async def test_discord_fake_the_gateway_speaks_compressed_and_hears_heartbeats(fake: FakeDiscord) -> None:
    fake.gateway.heartbeat_seconds = 0.05
    async with running(fake):
        await until(lambda: fake.gateway.heartbeats > 2)
        assert fake.gateway.asked[0]["compress"] in ("zlib-stream", "zstd-stream")


async def test_discord_fake_a_wrong_token_is_refused_by_rest_and_gateway(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        fake.token = "another"
        with pytest.raises(discord.HTTPException) as caught:
            await general(client).send(view=words("hi"))
        assert caught.value.status == 401
        with pytest.raises(discord.LoginFailure):
            async with Client() as other:
                await other.login("bot-token")


async def test_discord_fake_every_shard_hears_of_its_own_servers(fake: FakeDiscord) -> None:
    other = Guild(str(int(HOME.id) + (1 << 22)), "Other")
    fake.add(other)
    async with running(fake, shard_count=2) as client:
        await until(lambda: len(client.guilds) == 2)
        assert {guild.shard_id for guild in client.guilds} == {0, 1}
        fake.remove_guild(other)
        fake.outage(HOME)
        await until(lambda: client.heard)
        await asyncio.sleep(0.05)
        assert client.heard == [("removed", int(other.id))]


async def test_discord_fake_the_same_nonce_is_one_message_for_some_minutes(clock: HandClock) -> None:
    async with FakeDiscord(clock) as fake, running(fake) as client:
        first = await general(client).send(view=words("one"), nonce="n-1")
        clock.now += fake.nonce_seconds - 1
        assert (await general(client).send(view=words("one"), nonce="n-1")).id == first.id
        clock.now += 2
        assert (await general(client).send(view=words("one"), nonce="n-1")).id != first.id
        assert len(fake.messages(GENERAL)) == 2


async def test_discord_fake_a_message_whose_answer_was_lost_stands(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        fake.script("create_message", Lost())
        with pytest.raises(aiohttp.ClientError):
            await general(client).send(view=words("one"))
        assert fake.shown(GENERAL) == ["one"]


async def test_discord_fake_a_bucket_that_is_empty_answers_429_and_tells_so_before(fake: FakeDiscord) -> None:
    fake.limits = Limits({"create_message": Rate(2, 0.3)})
    async with running(fake) as client:
        await asyncio.gather(*(general(client).send(view=words(str(number))) for number in range(5)))
        assert fake.limits.over == 0
        assert len(fake.messages(GENERAL)) == 5
    fake.limits = Limits({"create_message": Rate(1, 9.0)})
    async with running(fake) as client, running(fake) as other:
        await general(client).send(view=words("a"))
        fake.script("create_message", Limited(31.0))
        with pytest.raises(discord.RateLimited):
            await general(other).send(view=words("b"))
    assert fake.invalid == 1


async def test_discord_fake_5xx_are_tried_again_by_the_library_and_errors_come_as_scripted(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        fake.script("create_message", Broken(502))
        await general(client).send(view=words("one"))
        fake.script("create_message", Answer(403, 50013, "Missing Permissions"))
        assert await code_of(general(client).send(view=words("two"))) == 50013
        assert fake.shown(GENERAL) == ["one"]


async def test_discord_fake_rights_are_refused_by_discords_codes(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        sent = await general(client).send(view=words("root"))
        fake.forbid(GENERAL, "create_public_threads")
        assert await code_of(hung(client, sent)) == 50013
        fake.allow(GENERAL, "create_public_threads")
        thread = await hung(client, sent)
        assert thread.id == sent.id
        assert await code_of(hung(client, sent)) == 160004
        fake.forbid(GENERAL, "send_messages_in_threads", "read_message_history")
        assert await code_of(thread.send(view=words("no"))) == 50013
        assert [one async for one in thread.history()] == []
        fake.allow(GENERAL, "send_messages_in_threads")
        fake.threads[str(thread.id)].locked = True
        assert await code_of(thread.send(view=words("no"))) == 50083
        fake.forbid(GENERAL, "send_messages")
        assert await code_of(general(client).send(view=words("no"))) == 50013
        fake.forbid(GENERAL, "view_channel")
        assert await code_of(general(client).send(view=words("no"))) == 50001
        nowhere = client.get_partial_messageable(int(ABROAD.id))
        assert await code_of(nowhere.send(view=words("no"))) == 50001
        assert await code_of(client.get_partial_messageable(5).send(view=words("no"))) == 10003
        fake.add(User(ANN.id, ANN.name, closed=True))
        assert await code_of(client.get_partial_messageable(int(ANN_DM.id)).send(view=words("no"))) == 50007


async def test_discord_fake_an_archived_thread_takes_posts_and_no_edits(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        thread = await hung(client, await general(client).send(view=words("root")))
        post = await thread.send(view=words("one"))
        fake.threads[str(thread.id)].archived = True
        assert await code_of(post.edit(view=words("two"), allowed_mentions=NOBODY)) == 50083
        await thread.send(view=words("three"))
        await post.edit(view=words("two"), allowed_mentions=NOBODY)
        assert fake.shown(str(thread.id)) == ["root", "two", "three"]


async def test_discord_fake_an_interaction_is_answered_once_in_time_and_its_token_ends(clock: HandClock) -> None:
    async with FakeDiscord(clock) as fake, running(fake) as client:
        heard: asyncio.Queue[discord.Interaction] = asyncio.Queue()
        client.tree.get_command("echo")._callback = _held(heard)  # type: ignore[union-attr]
        await fake.slash(ANN, GENERAL, "echo", topic="hi")
        interaction = await heard.get()
        clock.now += 4
        assert await code_of(interaction.response.defer()) == 10062
        await fake.slash(ANN, GENERAL, "echo", topic="hi")
        interaction = await heard.get()
        await interaction.response.defer(thinking=True)
        interaction.response._response_type = None
        assert await code_of(interaction.response.defer()) == 40060
        original = await interaction.original_response()
        followed = await interaction.followup.send(view=words("in place of thinking"), wait=True)
        assert followed.id == original.id
        assert fake.shown(GENERAL) == ["in place of thinking"]
        clock.now += 15 * 60 + 1
        assert await code_of(interaction.followup.send(view=words("late"))) == 50027


def _held(heard: "asyncio.Queue[discord.Interaction]") -> Any:
    async def callback(interaction: discord.Interaction, topic: str, **rest: Any) -> None:
        await heard.put(interaction)

    return callback


@pytest.mark.parametrize("place", [ABROAD, GROUP], ids=["a server without the bot", "a group"])
async def test_discord_fake_who_brought_the_app_alone_gets_five_followups_and_no_posts(
    fake: FakeDiscord, place: Any
) -> None:
    async with running(fake) as client:
        heard: asyncio.Queue[discord.Interaction] = asyncio.Queue()
        client.tree.get_command("echo")._callback = _held(heard)  # type: ignore[union-attr]
        await fake.slash(ANN, place, "echo", topic="hi")
        interaction = await heard.get()
        assert interaction.is_user_integration()
        assert not interaction.is_guild_integration()
        await interaction.response.send_message(view=words("root"))
        for number in range(5):
            await interaction.followup.send(view=words(str(number)))
        assert await code_of(interaction.followup.send(view=words("6"))) == 40094
        assert await code_of(client.get_partial_messageable(int(place.id)).send(view=words("no"))) == 50001


async def test_discord_fake_history_is_read_in_pages(fake: FakeDiscord) -> None:
    for number in range(120):
        fake.say(BOB, GENERAL, str(number))
    async with running(fake) as client:
        assert len([one async for one in general(client).history(limit=None)]) == 120
        newest = [one async for one in general(client).history(limit=3)]
        ids = [int(one["id"]) for one in fake.messages(GENERAL)]
        assert [one.id for one in newest] == ids[:-4:-1]
        after = [one.id async for one in general(client).history(limit=3, after=discord.Object(ids[5]))]
        assert after == ids[6:9]


async def test_discord_fake_component_ids_are_kept_and_given(fake: FakeDiscord) -> None:
    async with running(fake) as client:
        sent = await general(client).send(view=words("one", mark=2**31 - 1, button="go"))
        fetched = await general(client).fetch_message(sent.id)
        assert fetched.components[0].id == 2**31 - 1
        assert fetched.components[1].id == 1


async def test_discord_fake_a_forums_post_begins_with_a_message_of_its_own_id(fake: FakeDiscord) -> None:
    post = fake.start_thread(ANN, FORUM, "An idea", "what if")
    async with running(fake) as client:
        assert (await client.get_partial_messageable(int(post.id)).fetch_message(int(post.id))).content == ""
        assert await code_of(client.get_partial_messageable(int(FORUM.id)).send(view=words("no"))) == 50008


def test_discord_fake_alerts_are_what_allowed_mentions_lets_through() -> None:
    text = ["@everyone <@1> <@&2> `<@3>`"]
    assert alerts(text, None, "9") == ["1", "3", "&2", "everyone", "9"]
    assert alerts(text, {"parse": []}, "9") == []
    assert alerts(text, {"parse": [], "users": [1]}, "9") == ["1"]
    assert alerts(text, {"parse": ["everyone"], "replied_user": True}, "9") == ["everyone", "9"]


def test_discord_fake_what_is_escaped_or_code_is_no_mention_and_no_link() -> None:
    message = {"content": r"<@1> \<@2> `<@3>` [x](https://a.example/?k=1) https://b.example. `https://c.example`"}
    assert chips(message) == ["<@1>"]
    assert live_links(message) == ["https://a.example/?k=1", "https://b.example"]
    assert plain({"content": r"\*bare\* `\*code\*`"}) == r"*bare* `\*code\*`"


def posted(body: dict[str, Any], **more: Any) -> list[str]:
    quiet = {"allowed_mentions": {"parse": []}, **body}
    return problems(Request("POST", f"/api/v10/channels/{GENERAL.id}/messages", {}, quiet, **more))


TEXT = {"type": 10, "content": "words"}


def row(name: str) -> dict[str, Any]:
    return {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": name}]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"content": "x" * 2_001}, "over 2000"),
        ({"components": [TEXT]}, "without 32768"),
        ({"components": [TEXT], "flags": 32768, "content": "x"}, "not together"),
        ({"components": [TEXT | {"content": "x" * 3_000}] * 2, "flags": 32768}, "6000 displayed"),
        ({"components": [TEXT | {"id": 5}] * 2, "flags": 32768}, "an id occurs twice"),
        ({"components": [{"type": 17, "components": [TEXT] * 40}], "flags": 32768}, "41 are more"),
        ({"components": [row("a"), row("a")], "flags": 32768}, "custom_id occurs twice"),
        ({"components": [row("a" * 101)], "flags": 32768}, "over 100"),
        ({"content": "@everyone", "allowed_mentions": None}, "allowed_mentions: missing"),
        ({"content": "@everyone", "allowed_mentions": {"parse": ["everyone"]}}, "not []"),
        ({"components": [TEXT], "flags": 32768, "attachments": [{"id": 0, "filename": "a.md"}]}, "no component shows"),
        (
            {"components": [{"type": 13, "file": {"url": "https://evil.example"}}], "flags": 32768},
            "is not an attachment",
        ),
    ],
)
def test_discord_fake_what_discords_document_leaves_out_is_checked_too(body: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in posted(body)), posted(body)


@needs_document
@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request("GET", "/api/v10/nowhere"), "no such route"),
        (Request("GET", "/api/v10/channels/1/messages", {"limit": "101"}), "maximum of 100"),
        (Request("GET", "/api/v10/channels/1/messages", {"since": "1"}), "not a parameter"),
        (Request("GET", "/api/v10/channels/general/messages"), "not valid under"),
        (Request("POST", "/api/v10/channels/1/messages"), "body: missing"),
        (Request("GET", "/api/v10/users/@me", body={}), "takes none"),
        (Request("POST", "/api/v10/channels/1/messages/2/threads", body={"name": "x" * 101}), "name"),
        (Request("POST", "/api/v10/channels/1/messages", body={"nonce": "x" * 26}), "nonce"),
    ],
)
def test_discord_fake_requests_are_held_against_discords_document(request_: Request, said: str) -> None:
    assert any(said in problem for problem in problems(request_)), problems(request_)
    with pytest.raises(AssertionError, match=r"nowhere|channels|users"):
        assert_valid([request_])


@needs_document
def test_discord_fake_a_snowflake_may_be_a_number_as_the_library_sends_it() -> None:
    reference = {"message_id": 12, "channel_id": 13, "fail_if_not_exists": False}
    assert posted({"content": "hi", "message_reference": reference}) == []
