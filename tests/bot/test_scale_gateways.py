"""Gateways beside workers: what one acknowledged outlives it, what two are delivered is carried out once, and what is
pressed at one reaches the run wherever that is."""

import asyncio
import time
from collections import Counter

import pytest

from tests.adapters.discord import fake_world as discord_world
from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_limits import POSTING, Limits
from tests.desk import SEATS
from tests.model_server import error
from tests.scale_house import SLACK_SECONDS, scale_house, until

TAKEOVER_SECONDS = 3.0
"""From the end of a process until another has its session with Discord."""


@pytest.fixture
async def house(tmp_path, postgres):
    async with scale_house(tmp_path, postgres.fresh().url.get_secret_value()) as house:
        yield house


async def test_scale_a_gateway_that_is_killed_and_started_again_loses_no_run_that_it_acknowledged(house):
    await house.started("gateway", "worker-0")
    sites = await house.install(workspaces=2, channels=8)
    asking = [asyncio.create_task(house.ask(f"run{number:02d}", site)) for number, site in enumerate(sites)]
    await until(lambda: len(house.asked) >= 6)
    await house.processes["gateway"].kill()
    acknowledged = [one for one in await asyncio.gather(*asking) if one is not None]
    await house.started("gateway")
    later = await house.ask("later", sites[0])

    await house.whole(*acknowledged, later)
    assert house.doubled() == []
    assert all(one.took < SLACK_SECONDS for one in house.asked.values())
    # What was committed and not acknowledged any more is carried out as well: nobody knows which of the two it was.
    await until(lambda: house.statuses().keys() == {"finished"})
    assert house.rows("SELECT count(*) FROM runs WHERE blamed > 0") == [(0,)]


async def test_scale_what_slack_delivers_to_two_gateways_is_one_run_and_the_last_of_a_quota_is_taken_once(house):
    house.environment["PANELIST_RUNS_PER_DAY_CHANNEL"] = "3"
    await house.started("gateway-0", "gateway-1")
    (site, other) = await house.install(workspaces=1, channels=2)
    same = house.command(other, "same")
    said = house.slack.say(site.person.id, site.channel.id, f"<@{site.team.bot_user_id}> panel mentioned")
    mention = payloads.app_mention(house.slack.gesture(site.person, site.channel, site.team), said)

    both = [house.deliver(same, name) for name in ("gateway-0", "gateway-1") for _ in range(3)]
    both += [house.deliver(mention, name, "event") for name in ("gateway-0", "gateway-1")]
    assert None not in await asyncio.gather(*both)
    assert house.rows("SELECT channel FROM runs ORDER BY channel") == [(site.channel.id,), (other.channel.id,)]

    rush = [house.deliver(house.command(site, f"rush{n}"), f"gateway-{n % 2}") for n in range(12)]
    assert None not in await asyncio.gather(*rush)
    assert house.rows("SELECT count(*) FROM runs WHERE channel = %s", site.channel.id) == [(3,)]
    await until(lambda: house.rows("SELECT count(*) FROM runs WHERE owner IS NULL AND thread IS NOT NULL") == [(4,)])
    roots = [call for call in house.slack.asked("chat.postMessage") if not call.body.get("thread_ts")]
    assert len(roots) == 4
    told = house.slack.ephemerals
    await until(lambda: sum("which is the limit" in house.slack.plain(one.message) for one in told) == 10)


async def test_scale_stop_retry_and_delete_at_the_gateway_reach_a_run_on_a_worker(house):
    await house.started("gateway", "worker-0")
    (site, other) = await house.install(workspaces=1, channels=2)
    house.model.let.clear()
    stopped = await house.ask("stopped", site)
    await until(lambda: len(house.model.made(topics=["stopped"])) == 6)
    before = time.monotonic()
    await house.deliver(house.command(site, "stop"))
    await until(lambda: "stopped" in house.said(stopped))
    assert time.monotonic() - before < 5.0, "a heartbeat, and what Slack takes"
    await until(lambda: house.statuses() == {"stopped": 1})
    house.model.let.set()

    house.model.faults["cost_examiner"] = error(400)
    again = await house.ask("again", other)
    await house.whole(again, without=("expert/cost_examiner",))
    house.model.faults.clear()
    await house.deliver(house.command(other, "retry"))
    await until(lambda: "expert/cost_examiner" in "".join(house.posts(again)))
    await until(lambda: house.statuses() == {"stopped": 1, "finished": 1})
    asked = [call.seat for call in house.model.made(topics=["again"])]
    twice = {"cost_examiner", "synthesis"}
    assert Counter(asked) == dict.fromkeys(SEATS, 1) | dict.fromkeys(twice, 2)

    house.model.let.clear()
    deleted = await house.ask("deleted", site)
    await until(lambda: len(house.model.made(topics=["deleted"])) == 6)
    await house.deliver(house.command(site, "delete"))
    await until(lambda: house.rows("SELECT count(*) FROM runs WHERE id = %s", deleted.run) == [(0,)])
    assert house.posts(deleted).total() == 0
    assert house.rows("SELECT count(*) FROM dbos.workflow_status WHERE workflow_uuid = %s", deleted.run) == [(0,)]


async def test_scale_one_channel_has_one_pace_whichever_of_two_workers_sends_to_it(house):
    house.slack.limits = Limits({"chat.postMessage": POSTING})
    house.environment["PANELIST_RUNS_IN_FLIGHT"] = "2"
    await house.started("gateway", "worker-0", "worker-1")
    (site,) = await house.install(workspaces=1, channels=1)
    runs = [await house.ask(f"run{number}", site) for number in range(4)]
    await until(lambda: sum(house.posts(one).total() for one in runs) >= 18)

    calls = house.slack.asked("chat.postMessage")
    span = calls[-1].at - calls[0].at
    assert [call for call in calls if call.answered != {"ok": True} and not (call.answered or {}).get("ok")] == []
    assert len(calls) / (POSTING.burst + span * POSTING.per_minute / 60) >= 0.75, "of what Slack allows"
    assert all(house.slack.made_by(f"worker-{number}") for number in range(2))


@pytest.mark.parametrize("role", ["gateway", "worker"])
async def test_scale_a_gateway_and_a_worker_refuse_to_serve_sqlite_in_one_sentence(house, role):
    served = await house.start(f"{role}-0", DATABASE_URL="")
    async with asyncio.timeout(30):
        assert await served.process.wait() == 2
    (line,) = served.log().splitlines()
    assert "set DATABASE_URL; SQLite serves one process alone" in line


async def test_scale_of_two_processes_one_has_discords_session_and_the_other_takes_over_when_it_dies(house):
    async with FakeDiscord() as discord:
        for name in ("gateway-0", "gateway-1"):
            await house.start(
                name,
                DISCORD_TOKEN=discord.token,
                DISCORD_API_URL=discord.api,
                DISCORD_GATEWAY_URL=discord.gateway_url,
            )
            await house.ready(name)
            await discord.connected(1, timeout=30.0)
        first = next(
            name for name in ("gateway-0", "gateway-1") if "discord.session_held" in house.processes[name].log()
        )
        (second,) = {"gateway-0", "gateway-1"} - {first}
        assert "discord.session_held" not in house.processes[second].log()
        killed = await house.processes[first].kill()
        taken = await until(lambda: "discord.session_held" in house.processes[second].log())
        await discord.connected(1, timeout=30.0)
        assert taken - killed < TAKEOVER_SECONDS
        asked = await discord.slash(discord_world.ANN, discord_world.GENERAL, "panel", topic="Open?")
        assert await asked.acknowledged() != ""
        await until(lambda: house.rows("SELECT surface FROM runs") == [("discord",)])
