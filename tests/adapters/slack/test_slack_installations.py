"""Several workspaces: tokens are kept sealed, found by tenant, and had only by whoever began the installation."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import sqlalchemy as sa
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from slack_bolt.authorization.async_authorize import AsyncInstallationStoreAuthorize
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.web.async_client import AsyncWebClient
from structlog.testing import capture_logs

from adapters.slack.installations import Installations, States, oauth_flow, routes
from adapters.slack.names import parts_of, tenant_of
from adapters.slack.workspaces import TokensUnread
from bot.http import Web

CLIENT, SECRET = "1234567890.1234567890123", "client-secret-CANARY"
BACK = "/slack/oauth_redirect"
CANARY = "xoxb-CANARY-11111-22222"
IDS = st.text(st.characters(codec="ascii", categories=["Lu", "Nd"]), min_size=1, max_size=12)


def installation(enterprise: str | None, team: str | None, token: str | None = CANARY, **more: Any) -> Installation:
    return Installation(
        app_id="A1",
        enterprise_id=enterprise,
        team_id=team,
        bot_token=token,
        bot_id="B1",
        bot_user_id=f"U-{enterprise}-{team}",
        bot_scopes=["chat:write"],
        user_id="U1",
        is_enterprise_install=team is None,
        **more,
    )


def opened(folder: Path, secret: str = SECRET, **more: float) -> Installations:
    url = sa.URL.create("sqlite", database=str(folder / "installations.sqlite"))
    return Installations(sa.create_engine(url, hide_parameters=True), secret, **more)


@pytest.fixture
def store(tmp_path) -> Iterator[Installations]:
    made = opened(tmp_path)
    yield made
    made.engine.dispose()


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# Tenants


@given(st.none() | IDS, IDS)
def test_slack_a_tenants_name_has_its_enterprise_and_comes_apart_again(enterprise, team):
    assert tenant_of(enterprise, team) == (f"{enterprise}/{team}" if enterprise else team)
    assert parts_of(tenant_of(enterprise, team)) == (enterprise, team)


async def test_slack_a_workspaces_token_is_found_by_its_tenant_and_by_no_other(store):
    await store.async_save(installation(None, "T1", "xoxb-1"))
    await store.async_save(installation("E1", "T2", "xoxb-2"))
    assert [await store.token_of(tenant) for tenant in ("T1", "E1/T2")] == ["xoxb-1", "xoxb-2"]
    assert [await store.token_of(tenant) for tenant in ("T2", "E1/T1", "E2/T2", "E1/", "", "T3")] == [None] * 6
    assert await store.bot_user_of("E1/T2") == "U-E1-T2"
    assert await store.bot_user_of("T3") == ""
    assert await store.tenants() == ("E1/T2", "T1")


async def test_slack_an_organisations_token_serves_its_teams_but_a_teams_own_goes_first(store):
    await store.async_save(installation("E1", None, "xoxb-org"))
    await store.async_save(installation("E1", "T1", "xoxb-own"))
    found = [await store.token_of(tenant) for tenant in ("E1/T1", "E1/T2", "E1/", "E2/T2", "T2")]
    assert found == ["xoxb-own", "xoxb-org", "xoxb-org", None, None]
    assert await store.tenants() == ("E1/", "E1/T1")


async def test_slack_the_newest_installation_counts(store):
    await store.async_save(installation(None, "T1", "xoxb-old", installed_at=1_700_000_000.0))
    assert await store.token_of("T1") == "xoxb-old"
    await store.async_save(installation(None, "T1", "xoxb-new", installed_at=1_700_000_001.0))
    assert await store.token_of("T1") == "xoxb-new"
    assert await store.tenants() == ("T1",)


async def test_slack_a_removed_workspace_leaves_no_token_and_takes_no_other_along(store, tmp_path):
    for enterprise, team in ((None, "T1"), ("E1", "T1"), ("E1", None), ("E1", "T2")):
        await store.async_save(installation(enterprise, team, f"xoxb-{enterprise}-{team}"))
    assert await store.token_of("E1/T1") == "xoxb-E1-T1"
    await store.remove("E1/T1")
    assert await store.token_of("E1/T1") == "xoxb-E1-None"
    assert await store.tenants() == ("E1/", "E1/T2", "T1")
    assert await store.async_find_installation(enterprise_id="E1", team_id="T1") is None


async def test_slack_a_removed_organisation_leaves_no_token_of_any_of_its_workspaces(store, tmp_path):
    for enterprise, team in (("E1", None), ("E1", "T1"), ("E1", "T2"), ("E11", None), ("E2", "T1"), (None, "T1")):
        await store.async_save(installation(enterprise, team, f"xoxb-{enterprise}-{team}"))
    assert await store.token_of("E1/T2") == "xoxb-E1-T2"
    await store.remove("E1/")
    assert [await store.token_of(tenant) for tenant in ("E1/", "E1/T1", "E1/T2", "E1/T3")] == [None] * 4
    assert await store.tenants() == ("E11/", "E2/T1", "T1")
    for team in (None, "T1", "T2"):
        assert await store.async_find_installation(enterprise_id="E1", team_id=team) is None


@pytest.mark.parametrize(("at", "left"), [(100.0, True), (200.0, True), (200.5, True), (202.0, False), (None, False)])
async def test_slack_a_removal_takes_what_was_installed_before_it_and_says_whether_anything_is_left(store, at, left):
    for enterprise, team in (("E1", "T1"), ("E1", None)):
        await store.async_save(installation(enterprise, team, "xoxb-old", installed_at=100.5))
        await store.async_save(installation(enterprise, team, "xoxb-new", installed_at=201.0))
    token = await store.token_of("E1/T1")
    assert await store.remove("E1/T1", at) is not left
    assert (await store.token_of("E1/T1"), await store.tenants()) == (token, ("E1/", "E1/T1") if left else ("E1/",))
    assert await store.remove("E1/", at) is not left
    assert await store.tenants() == (("E1/", "E1/T1") if left else ())


async def test_slack_a_workspace_that_installed_the_app_since_does_not_hold_its_organisation(store):
    await store.async_save(installation("E1", None, "xoxb-org", installed_at=100.0))
    await store.async_save(installation("E1", "T1", "xoxb-own", installed_at=300.0))
    assert await store.remove("E1/", 200.0)
    assert await store.tenants() == ("E1/T1",)


async def test_slack_a_token_that_is_looked_up_while_it_is_removed_is_not_kept(store):
    await store.async_save(installation(None, "T1"))
    for _ in range(5):
        await asyncio.gather(store.token_of("T1"), store.remove("T1"))
        assert await store.token_of("T1") is None
        await store.async_save(installation(None, "T1"))


async def test_slack_a_token_that_is_known_is_believed_on_while_its_database_does_not_answer(tmp_path):
    store = opened(tmp_path, known_seconds=0.0)
    await store.async_save(installation(None, "T1", "xoxb-1"))
    await store.async_save(installation(None, "T2", "xoxb-2"))
    assert await store.token_of("T1") == "xoxb-1"
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE slack_bots RENAME TO away")
    assert await store.token_of("T1") == "xoxb-1"
    with pytest.raises(TokensUnread, match="does not answer"):
        await store.token_of("T2")
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO slack_bots")
    assert await store.token_of("T2") == "xoxb-2"
    store.engine.dispose()


async def test_slack_installations_outlive_the_process(tmp_path):
    first = opened(tmp_path)
    await first.async_save(installation("E1", "T1"))
    first.engine.dispose()
    second = opened(tmp_path)
    assert await second.token_of("E1/T1") == CANARY
    second.engine.dispose()


async def test_slack_bolt_finds_the_bot_in_these_installations(store):
    """Bolt's own lookup, with everything that slack_sdk reads back."""
    await store.async_save(installation("E1", None, "xoxb-org"))
    bot = await store.async_find_bot(enterprise_id="E1", team_id="T9", is_enterprise_install=True)
    whole = await store.async_find_installation(enterprise_id="E1", team_id=None, user_id="U1")
    assert (bot.bot_token, bot.bot_scopes, whole.bot_token, whole.user_id) == (
        "xoxb-org",
        ["chat:write"],
        "xoxb-org",
        "U1",
    )
    assert AsyncInstallationStoreAuthorize(logger=store.logger, installation_store=store, bot_only=True)


# At rest


async def test_fault_71_slack_no_token_can_be_read_in_the_database_nor_in_what_is_shown(store, tmp_path):
    secrets = {
        "token": "xoxb-CANARY-bot",
        "bot_refresh_token": "xoxe-CANARY-refresh",
        "user_token": "xoxp-CANARY-user",
        "user_refresh_token": "xoxe-CANARY-user-refresh",
        "incoming_webhook_url": "https://hooks.slack.com/CANARY",
        "incoming_webhook_configuration_url": "https://slack.com/CANARY",
    }
    with capture_logs() as logs:
        await store.async_save(installation("E1", "T1", **secrets))
        assert await store.token_of("E1/T1") == "xoxb-CANARY-bot"
        found = await store.async_find_installation(enterprise_id="E1", team_id="T1")
    assert {name: getattr(found, name) for name in secrets if name != "token"} == {
        name: value for name, value in secrets.items() if name != "token"
    }
    kept = bytes_of(tmp_path)
    assert b"E1" in kept
    assert b"CANARY" not in kept
    assert "CANARY" not in json.dumps(logs)
    assert "CANARY" not in repr(store) + repr(vars(store)) + str(store.engine)


async def test_slack_another_secret_reads_no_token_and_says_what_to_do_once(store, tmp_path):
    await store.async_save(installation(None, "T1"))
    other = opened(tmp_path, "another secret")
    with capture_logs() as logs:
        assert [await other.token_of("T1") for _ in range(3)] == [None] * 3
        assert await other.bot_user_of("T1") == ""
        assert (await other.async_find_installation(enterprise_id=None, team_id="T1")).bot_token is None
    other.engine.dispose()
    (entry,) = logs
    assert entry["event"] == "slack.token_unreadable"
    assert "SLACK_CLIENT_SECRET" in entry["why"]
    assert "/slack/install" in entry["why"]
    assert await store.token_of("T1") == CANARY


async def test_slack_two_secrets_on_one_engine_are_not_mixed_up(store):
    other = Installations(store.engine, "another secret")
    await store.async_save(installation(None, "T1", "xoxb-1"))
    await other.async_save(installation(None, "T2", "xoxb-2"))
    assert [await store.token_of("T1"), await other.token_of("T2")] == ["xoxb-1", "xoxb-2"]
    assert [await other.token_of("T1"), await store.token_of("T2")] == [None, None]


# Installing


@dataclass
class Slack:
    """As much of Slack as an installation needs. It gives each code's token once."""

    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    fault: str = ""

    async def access(self, request: web.Request) -> web.Response:
        said = dict(await request.post())
        if "Authorization" in request.headers:
            login = aiohttp.BasicAuth.decode(request.headers["Authorization"])
            said |= {"client_id": login.login, "client_secret": login.password}
        self.asked.append(said)
        if self.fault == "cuts the connection" and request.transport is not None:
            request.transport.close()
        if self.fault:
            return web.Response(status=503, text="CANARY", content_type="text/html")
        found = self.codes.pop(said["code"], None)
        if found is None:
            return web.json_response({"ok": False, "error": "invalid_code"})
        return web.json_response(
            {"ok": True, "app_id": "A1", "authed_user": {"id": "U1"}, "token_type": "bot", **found}
        )

    async def test(self, request: web.Request) -> web.Response:
        return web.json_response({"ok": True, "bot_id": "B1", "url": "https://org.enterprise.slack.com/"})


TEAM = {
    "access_token": CANARY,
    "scope": "chat:write,commands",
    "bot_user_id": "U9",
    "team": {"id": "T1", "name": "One"},
    "enterprise": None,
    "is_enterprise_install": False,
}
ORGANISATION = TEAM | {"team": None, "enterprise": {"id": "E1", "name": "Org"}, "is_enterprise_install": True}


class Browser:
    """Keeps its cookies to itself; `Secure` ones too, for the loopback stands in for HTTPS here."""

    def __init__(self, session: aiohttp.ClientSession, origin: str) -> None:
        self._session = session
        self._origin = origin
        self.cookies: dict[str, str] = {}
        self.set_cookie = ""

    async def get(self, path: str, **query: str) -> tuple[int, str]:
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        async with self._session.get(f"{self._origin}{path}", params=query, headers=sent) as response:
            assert response.headers["Cache-Control"] == "no-store"
            for name, morsel in response.cookies.items():
                self.set_cookie = response.headers["Set-Cookie"]
                self.cookies[name] = morsel.value
            return response.status, await response.text()

    async def begin(self) -> str:
        """Open the install page; its link's state."""
        status, page = await self.get("/slack/install")
        assert status == 200
        link = page.partition('href="https://slack.com/oauth/v2/authorize')[2].partition('"')[0].replace("&amp;", "&")
        return parse_qs(urlsplit(link).query)["state"][0]


@dataclass
class Rig:
    slack: Slack
    store: Installations
    browsers: list[Browser]
    origin: str
    session: aiohttp.ClientSession

    async def kept(self) -> tuple[str, ...]:
        return await self.store.tenants()


@pytest.fixture
async def rig(store) -> AsyncIterator[Rig]:
    slack = Slack()
    there = [web.post("/api/oauth.v2.access", slack.access), web.post("/api/auth.test", slack.test)]
    async with running(there) as api:
        client = AsyncWebClient(base_url=f"{api}/api/", retry_handlers=[])
        flow = oauth_flow(store, CLIENT, SECRET, ["chat:write", "commands"], client, f"https://x.example{BACK}")
        async with (
            running(routes(flow)) as origin,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        ):
            yield Rig(slack, store, [Browser(session, origin), Browser(session, origin)], origin, session)


@asynccontextmanager
async def running(given_routes: list[web.RouteDef]) -> AsyncIterator[str]:
    async with Web(dict, given_routes, 0, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}"


async def test_slack_a_workspace_installs_the_app_and_its_token_is_kept(rig):
    rig.slack.codes["code-CANARY"] = TEAM
    (browser, _) = rig.browsers
    with capture_logs() as logs:
        state = await browser.begin()
        status, page = await browser.get(BACK, code="code-CANARY", state=state)
    assert status == 200
    assert "Thank you" in page
    assert await rig.store.token_of("T1") == CANARY
    assert await rig.store.bot_user_of("T1") == "U9"
    (asked,) = rig.slack.asked
    assert (asked["client_id"], asked["client_secret"]) == (CLIENT, SECRET)
    assert asked["redirect_uri"] == f"https://x.example{BACK}"
    (entry,) = logs
    assert (entry["event"], entry["tenant"]) == ("slack.installed", "T1")
    assert "files:read" in entry["missing"]
    assert "CANARY" not in json.dumps(logs)


async def test_slack_an_organisation_installs_the_app_for_all_its_teams(rig):
    rig.slack.codes["code"] = ORGANISATION
    (browser, _) = rig.browsers
    assert (await browser.get(BACK, code="code", state=await browser.begin()))[0] == 200
    assert await rig.store.token_of("E1/T7") == CANARY
    assert await rig.kept() == ("E1/",)


async def test_slack_the_cookie_is_for_this_browser_over_https_and_for_no_script(rig):
    (browser, _) = rig.browsers
    await browser.begin()
    assert all(part in browser.set_cookie for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"))


@pytest.mark.parametrize("case", ["missing", "empty", "invented", "another browser", "no cookie"])
async def test_fault_15_slack_without_its_state_from_its_browser_nothing_is_installed(rig, case):
    rig.slack.codes["code-CANARY"] = TEAM
    attacker, victim = rig.browsers
    state = await attacker.begin()
    query = {"code": "code-CANARY", "state": state}
    browser = attacker
    match case:
        case "missing":
            del query["state"]
        case "empty":
            query["state"] = ""
        case "invented":
            query["state"] = attacker.cookies["slack-app-oauth-state"] = "invented"
        case "another browser":
            await victim.begin()
            browser = victim
        case "no cookie":
            browser = victim
    with capture_logs() as logs:
        status, page = await browser.get(BACK, **query)
    assert status in (400, 401)
    assert "CANARY" not in page + json.dumps(logs)
    assert [entry["event"] for entry in logs] == ["slack.install_refused"]
    assert rig.slack.asked == []
    assert await rig.kept() == ()


async def test_fault_15_slack_a_state_is_good_once(rig):
    rig.slack.codes |= {"first": TEAM, "second": TEAM | {"team": {"id": "T2", "name": "Two"}}}
    (browser, _) = rig.browsers
    state = await browser.begin()
    cookies = dict(browser.cookies)
    assert (await browser.get(BACK, code="first", state=state))[0] == 200
    browser.cookies = cookies
    assert (await browser.get(BACK, code="second", state=state))[0] == 401
    assert len(rig.slack.asked) == 1
    assert await rig.kept() == ("T1",)


async def test_fault_15_slack_of_twenty_that_use_a_state_at_once_one_goes_through(rig):
    rig.slack.codes |= {f"code {number}": TEAM for number in range(20)}
    (browser, _) = rig.browsers
    state = await browser.begin()
    copies = [Browser(rig.session, rig.origin) for _ in range(20)]
    for copy in copies:
        copy.cookies = dict(browser.cookies)
    done = await asyncio.gather(
        *(copy.get(BACK, code=f"code {number}", state=state) for number, copy in enumerate(copies))
    )
    assert sorted(status for status, _ in done) == [200] + [401] * 19
    assert len(rig.slack.asked) == 1


async def test_fault_15_slack_a_failed_exchange_uses_the_state_up_too(rig):
    (browser, _) = rig.browsers
    state = await browser.begin()
    cookies = dict(browser.cookies)
    assert (await browser.get(BACK, code="wrong", state=state))[0] == 401
    rig.slack.codes["right"] = TEAM
    browser.cookies = cookies
    assert (await browser.get(BACK, code="right", state=state))[0] == 401
    assert await rig.kept() == ()


async def test_fault_15_slack_whoever_only_looks_uses_no_state_up(rig):
    rig.slack.codes["code"] = TEAM
    (browser, _) = rig.browsers
    state = await browser.begin()
    async with rig.session.head(f"{rig.origin}{BACK}", params={"code": "code", "state": state}) as response:
        assert response.status == 405
    assert (await browser.get(BACK, code="code", state=state))[0] == 200


async def test_fault_15_slack_a_state_that_is_too_old_or_used_is_none(store):
    old, fresh = States(store.engine, seconds=0), States(store.engine)
    assert not await old.async_consume(await old.async_issue())
    state = await fresh.async_issue()
    assert [await fresh.async_consume(state) for _ in range(2)] == [True, False]
    await old.async_issue()
    await fresh.async_consume("none")
    with store.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM slack_oauth_states")).scalar() == 0


async def test_slack_an_installer_who_changes_their_mind_is_told_so_without_their_words(rig):
    (browser, _) = rig.browsers
    await browser.begin()
    with capture_logs() as logs:
        status, page = await browser.get(BACK, error="access_denied")
        assert (status, "You cancelled; nothing was installed." in page, "/slack/install" in page) == (200, True, True)
        status, page = await browser.get(BACK, error="<script>alert(1)</script>")
    assert status == 200
    assert "<script>" not in page
    assert [entry["reason"] for entry in logs] == ["access_denied", "other"]
    assert await rig.kept() == ()


@pytest.mark.parametrize("fault", ["is broken", "cuts the connection"])
async def test_slack_a_slack_that_does_not_answer_is_said_and_nothing_is_kept(rig, fault, caplog):
    rig.slack.fault = fault
    (browser, _) = rig.browsers
    state = await browser.begin()
    with capture_logs() as logs, caplog.at_level("DEBUG"):
        status, page = await browser.get(BACK, code="code-CANARY", state=state)
    assert status == (401 if fault == "is broken" else 502)
    assert len(logs) == 1
    bolt = [record.getMessage() for record in caplog.records if not record.name.startswith("slack_sdk")]
    assert "CANARY" not in page + json.dumps(logs) + "".join(bolt)
    assert state not in json.dumps(logs) + "".join(bolt)
    assert await rig.kept() == ()
