"""Installing, from the first page to the last post: the whole house over HTTP, in workspaces that come and go."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient
from structlog.testing import capture_logs

from adapters.port import Place
from adapters.slack.connect import EVENTS_PATH, slack_front
from adapters.slack.installations import INSTALL_PATH, REDIRECT_PATH, STATE_SECONDS
from adapters.slack.manifest import SCOPES
from bot.chat import Readiness
from bot.http import Web
from bot.place_settings import settings_of
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_slack import Delivered, FakeSlack
from tests.adapters.slack.fake_world import ANN, GENERAL, HOME, Channel, User, Workspace
from tests.adapters.slack.served import AT_ONCE, Office, config_of, office
from tests.adapters.slack.test_slack_installations import Browser, bytes_of
from tests.house import Held, good, served

PUBLIC = "https://bot.example.com"


@dataclass(frozen=True, slots=True)
class Site:
    """A workspace, one of its channels, and who asks there."""

    team: Workspace
    channel: Channel
    person: User

    @property
    def place(self) -> Place:
        return Place("slack", self.team.team_id, self.channel.id)


# What the install page asks for is granted, and nothing else.
HERE = Site(replace(HOME, token="xoxb-CANARY-home", scopes=tuple(SCOPES)), GENERAL, ANN)
AWAY = Site(
    Workspace("T0AWAY", "Away", "xoxb-CANARY-away", "U0AWAYBOT", "B0AWAY", scopes=tuple(SCOPES)),
    Channel("C0AWAY", "away", team_id="T0AWAY"),
    User("U0CAT", "cat", team_id="T0AWAY"),
)
AWAY_AGAIN = replace(AWAY, team=replace(AWAY.team, token="xoxb-CANARY-again"))


@dataclass(frozen=True, slots=True)
class Whole(Office):
    """The bot for many workspaces, with browsers that reach it."""

    session: Any = None

    @property
    def origin(self) -> str:
        return self.url.removesuffix(EVENTS_PATH)

    def browser(self) -> Browser:
        return Browser(self.session, self.origin)

    async def begin(self, browser: Browser) -> dict[str, str]:
        """Open the install page; what its link asks of Slack."""
        status, page = await browser.get(INSTALL_PATH)
        assert status == 200
        link = page.partition('href="https://slack.com/oauth/v2/authorize')[2].partition('"')[0].replace("&amp;", "&")
        return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}

    def consent(self, site: Site) -> str:
        """Somebody agrees on Slack's page; the code that Slack sends them back with."""
        self.slack.add(site.team, site.channel, site.person)
        code = f"code-CANARY-{self.slack.number()}"
        self.slack.codes[code] = site.team.team_id
        return code

    async def install(self, site: Site) -> None:
        browser = self.browser()
        asked = await self.begin(browser)
        status, page = await browser.get(REDIRECT_PATH, code=self.consent(site), state=asked["state"])
        assert (status, "Thank you" in page) == (200, True)

    async def command(self, site: Site, text: str) -> Delivered:
        gesture = self.slack.gesture(site.person, site.channel, site.team)
        return await self.send(payloads.slash_command(gesture, text), "command")

    async def runs(self, site: Site, text: str) -> None:
        """Ask a panel, and wait for the last word."""
        before = len(self.slack.messages(site.channel.id))
        assert (await self.command(site, text)).status == 200
        async with asyncio.timeout(10):
            while "from 6 of 6" not in self.said(site, before):
                await asyncio.sleep(0.01)

    def said(self, site: Site, since: int = 0) -> str:
        return "\n".join(map(self.slack.plain, self.slack.messages(site.channel.id)[since:]))

    def answered(self) -> str:
        """What commands were answered with, to their askers alone."""
        return "\n".join(post.body["text"] for post in self.slack.responses)

    def tokens(self, site: Site, since: int = 0) -> set[str]:
        """Which tokens spoke in a channel."""
        return {call.token for call in self.slack.calls[since:] if call.body.get("channel") == site.channel.id}


@asynccontextmanager
async def whole(slack: FakeSlack, folder: Path, script: Any = good) -> AsyncIterator[Whole]:
    """The bot as it is set up for several workspaces, until the block ends."""
    many = {"client_id": slack.client_id, "client_secret": slack.client_secret, "public_url": PUBLIC}
    config = config_of(slack, "http", bot_token="", folder=folder, **many)
    ready = Readiness()
    async with (
        slack_front(config, paces=AT_ONCE) as connection,
        Web(
            lambda: {"slack": connection.front.health()},
            connection.routes,
            0,
            host="127.0.0.1",
            checks=ready.checks,
        ) as web,
        served(script, front=connection.front, folder=folder) as (front, house, teams),
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        ready.opened(house)
        at = Whole(slack, front, house, teams, f"http://127.0.0.1:{web.port}{EVENTS_PATH}", session)
        while (await session.get(f"{at.origin}/readyz")).status != 200:
            await asyncio.sleep(0.01)
        yield at


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as fake:
        fake.add(HERE.team, AWAY.team, AWAY.channel, AWAY.person)
        yield fake


def installed(folder: Path) -> list[set[str]]:
    """The workspaces that tokens are kept of, in each of the two tables."""
    with closing(sqlite3.connect(folder / "installations.sqlite")) as database:
        tables = ("slack_bots", "slack_installations")
        return [{team for (team,) in database.execute(f"SELECT team_id FROM {table}").fetchall()} for table in tables]


def age(folder: Path) -> None:
    """Let the time of all states go by."""
    with closing(sqlite3.connect(folder / "installations.sqlite")) as database, database:
        by = f"-{STATE_SECONDS} seconds"
        assert database.execute("UPDATE slack_oauth_states SET expire_at = datetime(expire_at, ?)", (by,)).rowcount


async def test_slack_a_codes_answer_has_the_keys_of_slacks_page_on_the_method(slack):
    """Those of the example on "oauth.v2.access", where a bot alone is installed."""
    slack.codes["code"] = HERE.team.team_id
    client = AsyncWebClient(base_url=slack.url, retry_handlers=[])
    told = await client.oauth_v2_access(client_id=slack.client_id, client_secret=slack.client_secret, code="code")
    of_the_bot = {"scope", "token_type", "access_token", "bot_user_id"}
    around = {"ok", "app_id", "authed_user", "team", "enterprise", "is_enterprise_install"}
    assert set(told.data) == of_the_bot | around
    assert set(told["team"]) == {"id", "name"}


async def test_slack_each_workspace_installs_and_is_answered_with_its_own_token_also_after_a_restart(slack, tmp_path):
    with capture_logs() as logs:
        async with whole(slack, tmp_path) as at:
            asked = await at.begin(at.browser())
            assert asked["client_id"] == slack.client_id
            assert asked["redirect_uri"] == f"{PUBLIC}{REDIRECT_PATH}"
            assert set(asked["scope"].split(",")) == set(SCOPES)
            await at.install(HERE)
            await at.runs(HERE, "Should we open on Sundays?")
            assert at.tokens(HERE) == {HERE.team.token}
            await at.install(AWAY)
            await at.runs(AWAY, "Should we move?")
            assert at.tokens(AWAY) == {AWAY.team.token}
            await at.runs(HERE, "Should we open on Mondays too?")
            assert at.tokens(HERE) == {HERE.team.token}
            assert "move" not in at.said(HERE)
            assert "open" not in at.said(AWAY)
            assert [call.body["redirect_uri"] for call in slack.asked("oauth.v2.access")] == [asked["redirect_uri"]] * 2
        async with whole(slack, tmp_path) as at:
            await at.runs(AWAY, "Should we stay after all?")
            assert at.tokens(AWAY) == {AWAY.team.token}
    assert installed(tmp_path) == [{"T0HOME", "T0AWAY"}] * 2
    kept = bytes_of(tmp_path)
    assert b"Should we stay after all?" in kept
    assert b"CANARY" not in kept
    assert slack.client_secret.encode() not in kept
    assert "CANARY" not in json.dumps(logs, default=str)


@pytest.mark.parametrize("first", ["tokens_revoked", "app_uninstalled"])
async def test_slack_a_workspace_that_removes_the_app_is_forgotten_told_how_it_stands_and_may_come_back(
    slack, tmp_path, first
):
    held = Held()
    async with whole(slack, tmp_path, held) as at:
        for site in (HERE, AWAY):
            await at.install(site)
            await at.command(site, f"settings profile {site.team.name} bakes.")
            assert (await at.command(site, "Should we open on Sundays?")).status == 200
        async with asyncio.timeout(10):
            while len(held.waiting) < 12 or not all("running" in at.said(site) for site in (HERE, AWAY)):
                await asyncio.sleep(0.01)
        gone = await at.house.store.latest(AWAY.place)

        slack.revoke(AWAY.team.team_id)
        events = [
            payloads.tokens_revoked(AWAY.team, slack.ts(), bot=[AWAY.team.bot_user_id]),
            payloads.app_uninstalled(AWAY.team, slack.ts()),
        ]
        for event in events if first == "tokens_revoked" else reversed(events):
            assert (await at.send(event, "event")).status == 200
        last, before = len(slack.calls), at.said(AWAY)
        async with asyncio.timeout(10):
            while await at.house.store.get(gone.id) or (await settings_of(at.house.store, AWAY.place)).profile:
                await asyncio.sleep(0.01)
        assert installed(tmp_path) == [{"T0HOME"}] * 2

        assert (await at.command(AWAY, "Is anybody there?")).status == 200
        assert f"Install it again: {PUBLIC}{INSTALL_PATH}" in at.answered()
        mention = slack.say(AWAY.person.id, AWAY.channel.id, f"<@{AWAY.team.bot_user_id}> panel Anybody?")
        gesture = slack.gesture(AWAY.person, AWAY.channel, AWAY.team)
        assert (await at.send(payloads.app_mention(gesture, mention), "event")).status == 200
        assert await at.house.store.latest(AWAY.place) is None

        held.go.set()
        await at.until("from 6 of 6", HERE.channel.id)
        await at.house.intake.settled()
        assert (await settings_of(at.house.store, HERE.place)).profile == "Home bakes."
        assert at.tokens(HERE) == {HERE.team.token}
        assert at.tokens(AWAY, last) == set()
        assert at.said(AWAY) == f"{before}\n{slack.plain(mention)}"

        await at.install(AWAY_AGAIN)
        last = len(slack.calls)
        await at.runs(AWAY_AGAIN, "Should we open again?")
        assert at.tokens(AWAY_AGAIN, last) == {AWAY_AGAIN.team.token}
        assert (await settings_of(at.house.store, AWAY.place)).profile == ""


@pytest.mark.parametrize("late", ["tokens_revoked", "app_uninstalled"])
async def test_slack_a_removal_that_is_told_after_a_new_installation_takes_nothing_of_it(slack, tmp_path, late):
    async with whole(slack, tmp_path) as at:
        await at.install(AWAY)
        await at.command(AWAY, "settings profile A mill.")
        await at.runs(AWAY, "Should we open?")
        before = str(float(slack.ts()) - 60)
        event = {
            "tokens_revoked": payloads.tokens_revoked(AWAY.team, before, bot=[AWAY.team.bot_user_id]),
            "app_uninstalled": payloads.app_uninstalled(AWAY.team, before),
        }[late]
        assert (await at.send(event, "event")).status == 200
        await at.house.intake.settled()
        assert installed(tmp_path) == [{"T0AWAY"}] * 2
        assert await at.house.store.latest(AWAY.place) is not None
        assert (await settings_of(at.house.store, AWAY.place)).profile == "A mill."
        await at.runs(AWAY, "Should we close?")


async def test_slack_the_first_command_after_an_installation_that_brought_a_new_token_is_answered_with_it(
    slack, tmp_path
):
    async with whole(slack, tmp_path) as at:
        await at.install(AWAY)
        await at.runs(AWAY, "Should we open?")
        await at.install(AWAY_AGAIN)
        last = len(slack.calls)
        await at.runs(AWAY_AGAIN, "Should we close?")
        assert at.tokens(AWAY_AGAIN, last) == {AWAY_AGAIN.team.token}


async def test_slack_where_no_install_page_is_known_an_admin_is_asked_for(slack):
    slack.add(HOME)
    async with office("http", slack=slack) as at:
        await at.send(payloads.slash_command(slack.gesture(AWAY.person, AWAY.channel, AWAY.team), "Open?"), "command")
    (told,) = (post.body["text"] for post in slack.responses)
    assert told == "Panelist is not installed in this workspace. Ask an admin to install the app again."


REFUSED = {
    "another state": (400, "invalid_browser"),
    "expired state": (401, "invalid_state"),
    "consent denied": (200, "You cancelled; nothing was installed."),
}
"""Status and words of the page that says no, which leads back to the first one."""


@pytest.mark.parametrize("case", REFUSED)
async def test_fault_15_slack_an_installation_that_is_not_as_begun_leaves_nothing_and_can_be_begun_anew(
    slack, tmp_path, case
):
    async with whole(slack, tmp_path) as at:
        browser = at.browser()
        query = {"code": at.consent(HERE), "state": (await at.begin(browser))["state"]}
        match case:
            case "another state":
                query["state"] = (await at.begin(at.browser()))["state"]
            case "expired state":
                age(tmp_path)
            case "consent denied":
                query = {"error": "access_denied", "state": query["state"]}
        status, page = await browser.get(REDIRECT_PATH, **query)
        assert (status, REFUSED[case][1] in page, f'href="{INSTALL_PATH}"' in page) == (REFUSED[case][0], True, True)
        assert slack.asked("oauth.v2.access") == []
        assert (await at.command(HERE, "Should we open?")).status == 200
        assert f"{PUBLIC}{INSTALL_PATH}" in at.answered()
        assert slack.messages(HERE.channel.id) == []
        await at.install(HERE)
        await at.runs(HERE, "Should we open?")
