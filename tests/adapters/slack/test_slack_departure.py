"""An organisation that removes the app, from Slack's event to the last row: all of its workspaces and no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa

from adapters.port import Place
from adapters.slack.installations import Installations
from adapters.slack.names import tenant_of
from adapters.slack.workspaces import Identity, OneToken, Workspaces
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import ANN, Channel, Workspace
from tests.adapters.slack.served import Office, connected
from tests.adapters.slack.test_slack_installations import installation
from tests.house import Held, served

SECRET = "client-secret"
ORGANISED = [Workspace(f"T{n}", f"Org {n}", f"xoxb-{n}", f"UBOT{n}", f"B{n}", enterprise_id="E1") for n in (1, 2)]
ALONE = Workspace("T3", "Alone", "xoxb-3", "UBOT3", "B3")


def channel_of(team: Workspace) -> Channel:
    return Channel(f"C{team.team_id}", "general", team_id=team.team_id)


@asynccontextmanager
async def installed(folder: Path) -> AsyncIterator[Installations]:
    """The organisation's own installation, one that a workspace of it had before, and one of somebody else."""
    url = sa.URL.create("sqlite", database=str(folder / "installations.sqlite"))
    store = Installations(sa.create_engine(url, hide_parameters=True), SECRET)
    for enterprise, team, token in (("E1", None, "xoxb-2"), ("E1", "T1", "xoxb-1"), (None, "T3", "xoxb-3")):
        await store.async_save(installation(enterprise, team, token))
    yield store
    store.engine.dispose()


@pytest.mark.parametrize("named", [None, "T2", "E1"], ids=["no workspace", "one of them", "the organisation itself"])
async def test_slack_an_organisation_that_removes_the_app_leaves_nothing_of_any_of_its_workspaces(tmp_path, named):
    held = Held()
    many = {"bot_token": "", "client_id": "1.2", "client_secret": SECRET, "folder": tmp_path}
    async with (
        FakeSlack() as slack,
        installed(tmp_path) as store,
        connected(slack, "http", **many) as (connection, url),
        served(held, front=connection.front, folder=tmp_path) as (front, house, teams),
    ):
        at = Office(slack, front, house, teams, url)
        places = {}
        for team in (*ORGANISED, ALONE):
            slack.add(team, channel_of(team))
            places[team.team_id] = Place("slack", tenant_of(team.enterprise_id, team.team_id), channel_of(team).id)
            gesture = slack.gesture(ANN, channel_of(team), team)
            assert at.acknowledged(await at.send(payloads.slash_command(gesture, "One?"), "command"))
            await at.until("running", channel_of(team).id)
        for team in ORGANISED:
            slack.revoke(team.team_id)
        calls = len(slack.calls)
        gone = payloads.of_an_organisation(payloads.app_uninstalled(ORGANISED[1], slack.ts()), named)
        assert at.acknowledged(await at.send(gone, "event"))
        async with asyncio.timeout(10):
            while [team for team in ORGANISED if await house.store.latest(places[team.team_id]) is not None]:
                await asyncio.sleep(0.01)
        assert await store.tenants() == ("T3",)
        held.go.set()
        await at.until("from 6 of 6", channel_of(ALONE).id)
        await house.intake.settled()
        assert {call.token for call in slack.calls[calls:]} == {ALONE.token}


async def test_slack_no_client_of_an_organisation_that_departed_is_left():
    class Known:
        """Tokens of whoever asks; `gone` are those that were forgotten."""

        def __init__(self) -> None:
            self.gone: list[str] = []

        async def token_of(self, tenant: str) -> str | None:
            return None if self.gone and tenant.startswith("E1/") else f"xoxb-{tenant}"

        async def bot_user_of(self, tenant: str) -> str:
            return ""

        async def remove(self, tenant: str, at: float | None = None) -> bool:
            self.gone.append(tenant)
            return True

    known = Known()
    async with aiohttp.ClientSession() as session:
        workspaces = Workspaces(known, session)
        before = {tenant: await workspaces.client(tenant) for tenant in ("E1/T1", "E1/T2", "E11/T1", "T1")}
        await workspaces.remove("E1/")
        after = {tenant: await workspaces.client(tenant) for tenant in before}
    assert known.gone == ["E1/"]
    assert after == before | {"E1/T1": None, "E1/T2": None}


class Slow:
    """Tokens that are read slowly: `go` ends the first look-up, with what stood there when it began."""

    def __init__(self) -> None:
        self.token: str | None = "xoxb-old"
        self.reading, self.go = asyncio.Event(), asyncio.Event()

    async def token_of(self, tenant: str) -> str | None:
        token = self.token
        self.reading.set()
        await self.go.wait()
        return token

    async def bot_user_of(self, tenant: str) -> str:
        return ""

    async def remove(self, tenant: str, at: float | None = None) -> bool:
        self.token = None
        return True


@pytest.mark.parametrize("now", [None, "xoxb-new"])
async def test_slack_a_token_that_was_read_before_it_went_speaks_no_second_time(now):
    tokens = Slow()
    async with aiohttp.ClientSession() as session:
        workspaces = Workspaces(tokens, session)
        first = asyncio.ensure_future(workspaces.client("T1"))
        await tokens.reading.wait()
        await workspaces.remove("T1")
        tokens.token = now
        tokens.go.set()
        await first
        client = await workspaces.client("T1")
    assert (None if client is None else client.token) == now


async def test_slack_a_token_that_was_set_by_hand_stays_in_the_settings():
    token = OneToken(Identity("E1/T1", "U1", "B1"), "xoxb-1")
    assert await token.remove("E1/")
    assert await token.token_of("E1/T1") == "xoxb-1"
