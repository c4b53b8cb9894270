"""The chat front ends that are set up: from settings to front ends, and whether the process is ready for them."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from adapters.discord.config import DiscordConfig
from adapters.memory import MemoryFrontEnd
from adapters.port import FrontEndFailed, Health
from adapters.slack.config import SLACK_API, SlackConfig
from bot.chat import Chat, Readiness, Setup, chat, setup_of, web_port
from bot.errors import StoreFailed
from bot.http import Web
from bot.settings import BotSettings
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.served import config_of
from tests.house import served, until

FOLDER = Path("kept")
BOT, SOCKET = {"slack_bot_token": "xoxb-CANARY"}, {"slack_app_token": "xapp-CANARY"}
HTTP = {"slack_signing_secret": "signing-CANARY"}
MANY = {"slack_client_id": "1.2", "slack_client_secret": "client-CANARY"}
DISCORD = {"discord_token": "discord-CANARY"}
UNSET = dict.fromkeys((*BOT, *SOCKET, *HTTP, *MANY, *DISCORD, "panelist_url", "port"))


def settings(**given: object) -> BotSettings:
    """Settings as they are read, whatever the environment of the tests has."""
    return BotSettings(**UNSET | given)


def setup(**given: object) -> Setup:
    return setup_of(settings(**given), FOLDER)


# What is set up


def test_every_setting_of_a_platform_reaches_its_front_end():
    whole = BOT | SOCKET | HTTP | MANY | DISCORD | {"panelist_url": "https://bot.example.com/"}
    found = setup_of(settings(**whole), FOLDER, [("decision", "Decision")])
    assert found.slack == SlackConfig(
        "xoxb-CANARY",
        "xapp-CANARY",
        "signing-CANARY",
        "1.2",
        "client-CANARY",
        SLACK_API,
        FOLDER,
        "https://bot.example.com",
    )
    assert found.discord == DiscordConfig("discord-CANARY", folder=FOLDER, panels=(("decision", "Decision"),))


def test_what_is_not_set_is_empty():
    assert setup() == Setup(SlackConfig(folder=FOLDER), DiscordConfig(folder=FOLDER))


@pytest.mark.parametrize("given", ["http://127.0.0.1:8080/api", "http://127.0.0.1:8080/api/"])
def test_another_slack_is_an_address_that_methods_can_be_put_behind(given):
    assert setup(slack_api_url=given).slack.api == "http://127.0.0.1:8080/api/"


def test_no_secret_can_be_read_in_what_is_set_up():
    assert "CANARY" not in repr(setup(**BOT, **SOCKET, **HTTP, **MANY, **DISCORD))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"]),
        (BOT, ["SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"]),
        (SOCKET, ["SLACK_BOT_TOKEN", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"]),
        (HTTP, ["SLACK_BOT_TOKEN", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"]),
        ({"slack_client_id": "1.2"}, ["SLACK_BOT_TOKEN", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"]),
        (MANY, ["SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"]),
    ],
    ids=["nothing", "bot", "socket", "http", "half a client", "many"],
)
def test_a_platform_that_is_set_up_in_part_names_what_it_lacks(given, named):
    [sentence] = setup(**given, **DISCORD).missing
    assert sentence.startswith("Slack is not set up: set ")
    assert [name for name in named if name not in sentence] == []
    assert "CANARY" not in sentence


@pytest.mark.parametrize("given", [BOT | SOCKET, BOT | HTTP, MANY | SOCKET, MANY | HTTP])
def test_a_platform_that_is_set_up_lacks_nothing(given):
    assert setup(**given).slack.missing == ""
    assert setup(**given, **DISCORD).missing == ()


def test_each_platform_is_missed_by_itself_and_one_is_enough_to_serve():
    assert [sentence.split()[0] for sentence in setup().missing] == ["Slack", "Discord"]
    assert not setup().any
    assert not setup(**BOT).any
    assert setup(**BOT, **SOCKET).any
    assert setup(**DISCORD).any


@pytest.mark.parametrize(
    ("given", "port"),
    [
        (BOT | SOCKET, None),
        (DISCORD, None),
        (BOT | HTTP, 3_000),
        (MANY | SOCKET, 3_000),
        (BOT | SOCKET | {"port": 8_080}, 8_080),
        (BOT | HTTP | {"port": 8_080}, 8_080),
    ],
    ids=["socket", "no Slack", "http", "pages for installing", "socket, port set", "http, port set"],
)
def test_a_web_server_is_there_where_somebody_has_to_reach_it_or_wants_to_watch_the_process(given, port):
    bot = settings(**given)
    assert web_port(bot, setup_of(bot, FOLDER)) == port


# Whether the process is ready


async def test_a_process_is_not_ready_before_its_house_is_open():
    assert await Readiness().checks() == {"runs": Health(False, "starting")}


async def test_a_process_is_ready_once_its_run_database_answers():
    ready = Readiness()
    async with served() as (_, house, _):
        ready.opened(house)
        assert await ready.checks() == {"runs": Health(True)}


async def test_a_process_whose_run_database_refuses_is_not_ready_and_says_why():
    class Refusing:
        @property
        def store(self):
            return self

        async def claimed(self, key: str) -> None:
            raise StoreFailed("the disk is full")

    ready = Readiness()
    ready.opened(Refusing())  # type: ignore[arg-type]
    assert await ready.checks() == {"runs": Health(False, "the disk is full")}


async def test_the_health_of_a_process_is_that_of_each_front_end_under_its_name():
    front = MemoryFrontEnd()
    chats = Chat({"memory": front})
    assert chats.health() == {"memory": Health(False, "it is not served")}
    async with served(front=front):
        await until(lambda: chats.health() == {"memory": Health(True)})


# Connected


@pytest.fixture
async def slack():
    async with FakeSlack() as fake:
        yield fake


def on(slack: FakeSlack, transport: str, **more: object) -> Setup:
    """Slack alone, on the fake."""
    return Setup(config_of(slack, transport, **more), DiscordConfig())


async def test_front_ends_are_connected_until_the_block_ends(slack):
    async with chat(on(slack, "socket")) as chats:
        [front] = chats.fronts.values()
        assert list(chats.fronts) == [front.name] == ["slack"]
        assert chats.routes == ()
        assert [call.method for call in slack.calls] == ["auth.test"]
    async with asyncio.timeout(10):
        await front.serve(_taken)  # which returns, for it was closed
    assert not front.health().ready


@pytest.mark.parametrize(
    ("how", "paths"),
    [
        ({}, {"/slack/events"}),
        ({"client_id": "1.2", "client_secret": "s"}, {"/slack/events", "/slack/install", "/slack/oauth_redirect"}),
    ],
    ids=["one workspace", "several"],
)
async def test_front_ends_bring_the_routes_that_they_are_reached_by(slack, tmp_path, how, paths):
    async with chat(on(slack, "http", folder=tmp_path, **how)) as chats:
        assert {route.path for route in chats.routes} == paths
        async with (
            Web(chats.health, chats.routes, 0, host="127.0.0.1") as web,
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{web.port}/slack/events", data=b"{}") as answer,
        ):
            assert answer.status == 401, "it is there, and lets in nobody who does not sign"


async def test_a_front_end_that_cannot_be_connected_is_said_without_its_token(slack):
    with pytest.raises(FrontEndFailed, match="SLACK_BOT_TOKEN") as failed:
        async with chat(on(slack, "http", bot_token="xoxb-CANARY")):
            pytest.fail("it is not connected")
    assert "CANARY" not in str(failed.value)


async def test_a_platform_that_is_not_set_up_is_not_connected():
    async with chat(setup()) as chats:
        assert (dict(chats.fronts), chats.routes, chats.health()) == ({}, (), {})


async def _taken(_: object) -> None:
    return None
