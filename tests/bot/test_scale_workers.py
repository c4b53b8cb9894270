"""Workers that share a Postgres: they are killed, frozen and cut off, and nothing is lost, said twice or paid twice."""

import asyncio
import signal
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from bot.takeover import FROZEN_SECONDS
from tests.desk import WHOLE
from tests.scale_house import SLACK_SECONDS, probed, scale_house, until

TAKEOVER_SECONDS, FINISH_SECONDS = 3.0, 10.0
"""From a kill until the first of its runs goes on elsewhere, and until all are over beside the time that they take."""

PACE_SECONDS = 6.0
"""What Slack's pace makes a run take at the least: nine posts in a channel of its own, three of them at once."""

OUTAGE_SECONDS, STALL_SECONDS = 5.0, 0.2
"""How long the database is away, and how long a loop may stand still."""


@pytest.fixture
async def house(tmp_path, postgres):
    async with scale_house(tmp_path, postgres.fresh().url.get_secret_value()) as house:
        yield house


async def test_scale_of_two_workers_that_share_forty_runs_one_is_killed_and_the_other_finishes_them_all(house):
    house.model.delay, house.environment["PANELIST_RUNS_IN_FLIGHT"] = 2.0, "20"
    await house.started("gateway", "worker-0", "worker-1")
    sites = await house.install(workspaces=4, channels=10)
    runs = await asyncio.gather(*(house.ask(f"run{number:02d}", site) for number, site in enumerate(sites)))
    assert None not in runs
    await until(lambda: len(house.owned_by("worker-0")) == len(house.owned_by("worker-1")) == 20)
    await until(lambda: sum(house.posts(one).total() for one in house.owned_by("worker-0")) > 60)

    killed, clock = await house.processes["worker-0"].kill(), time.time() - time.monotonic()
    before, since, left = house.recorded(), len(house.model.calls), house.owned_by("worker-0")
    await house.whole(*runs)

    over = max(max(house.shown_at(one).values()) for one in runs) - clock - killed
    first = min(house.shown_at(one)["resumed/2"] for one in left) - clock - killed
    assert first <= TAKEOVER_SECONDS
    assert over <= FINISH_SECONDS + 2 * house.model.delay + PACE_SECONDS
    assert house.doubled() == []
    assert all(set(house.posts(one)) == WHOLE | ({"resumed/2"} if one in left else set()) for one in runs)
    assert house.repeated(before, since) == []
    assert {call.worker for call in house.model.calls[since:]} == {"worker-1"}
    asked = [(call.topic, call.seat) for call in house.model.made(worker="worker-1")]
    assert len(asked) == len(set(asked)), "the one that lived asked for something twice"
    assert house.statuses() == {"finished": 40}
    assert house.rows("SELECT count(*) FROM takeovers WHERE worker = 'worker-0' AND by = 'worker-1'") == [(len(left),)]


@pytest.mark.long
async def test_scale_a_worker_that_was_frozen_and_wakes_up_posts_nothing_and_goes_on_with_other_runs(house):
    house.environment["PANELIST_RUNS_IN_FLIGHT"] = "2"
    await house.started("gateway", "worker-0", "worker-1")
    sites = await house.install(workspaces=2, channels=3)
    runs = [await house.ask(f"run{number}", site) for number, site in enumerate(sites[:4])]
    await until(lambda: len(house.owned_by("worker-0")) == 2)
    # Answers wait for their turn in the channel, and boards for theirs in the workspace.
    await until(lambda: all(house.posts(one).total() >= 4 for one in runs))
    frozen, left = await frozen_between_sends(house, "worker-0"), house.owned_by("worker-0")
    before, calls, said = house.recorded(), len(house.model.calls), len(house.slack.calls)

    await house.whole(*runs)
    assert house.rows("SELECT count(*) FROM takeovers WHERE worker = 'worker-0' AND by = 'worker-1'") == [(2,)]
    assert len(left) == 2
    assert house.slack.made_by("worker-0", said) == []
    frozen.signal(signal.SIGCONT)
    await until(lambda: "run.disowned" in frozen.log() or "run.put_off" in frozen.log())
    await house.processes["worker-1"].end()
    runs.append(await house.ask("run4", sites[4]))
    await house.whole(*runs)

    places = {one.site.channel.id for one in left}
    late = [call for call in house.slack.made_by("worker-0", said) if call.body.get("channel") in places]
    assert late == []
    assert house.doubled() == []
    assert all(house.settled(one) for one in runs)
    assert house.repeated(before, calls) == []
    assert {call.worker for call in house.model.made(topics=["run4"])} == {"worker-0"}
    assert "Traceback" not in frozen.log()
    assert house.statuses() == {"finished": 5}


async def frozen_between_sends(house, name: str):
    """Stop a process where no send of its has begun: one that has may arrive when it wakes up."""
    served, sending = house.processes[name], "SELECT 1 FROM outbox JOIN runs ON runs.id = run WHERE state = 'sending'"
    while True:
        served.signal(signal.SIGSTOP)
        await asyncio.sleep(0.1)  # what it had asked the server for is done
        if not house.rows(f"{sending} AND owner LIKE %s", f"{name}/%"):
            return served
        served.signal(signal.SIGCONT)
        await asyncio.sleep(0.05)


async def test_scale_while_postgres_is_stopped_for_five_seconds_no_loop_stalls_and_all_runs_finish(house, postgres):
    house.environment["PANELIST_RUNS_IN_FLIGHT"] = "6"
    await house.started("gateway", "worker-0", "worker-1")
    sites = await house.install(workspaces=2, channels=6)
    house.model.let.clear()
    runs = await asyncio.gather(*(house.ask(f"run{number:02d}", site) for number, site in enumerate(sites)))
    await until(lambda: len(house.model.calls) == 72)
    async with probed(house) as stalls:
        await asyncio.to_thread(postgres.stop)
        house.model.let.set()  # what was paid for comes while nobody can note it
        stopped = time.monotonic()
        await asyncio.sleep(OUTAGE_SECONDS - (time.monotonic() - stopped))
        await asyncio.to_thread(postgres.start)
        await house.whole(*runs)

    assert all(loop["answers"] > 100 for loop in stalls.values())
    assert {name: loop["longest"] for name, loop in stalls.items() if loop["longest"] > STALL_SECONDS} == {}
    assert house.doubled() == []
    asked = Counter((call.topic, call.seat) for call in house.model.calls)
    assert {call: times for call, times in asked.items() if times > 1} == {}
    assert house.statuses() == {"finished": 12}
    assert house.rows("SELECT count(*) FROM takeovers") == [(0,)]
    assert all("Traceback" not in served.log() for served in house.processes.values())


@pytest.mark.long
async def test_scale_three_workers_restarted_one_after_the_other_under_load_lose_and_double_nothing(house):
    house.model.delay, house.environment["PANELIST_RUNS_IN_FLIGHT"] = 0.5, "12"
    await house.started("gateway", "worker-0", "worker-1", "worker-2")
    sites = await house.install(workspaces=4, channels=12)
    rolled = asyncio.Event()

    async def load() -> None:
        for number, site in enumerate(sites):
            if rolled.is_set():
                return
            assert await house.ask(f"run{number:02d}", site) is not None
            await asyncio.sleep(0.4)

    loading = asyncio.create_task(load())
    await until(lambda: house.statuses()["finished"] > 0)
    for name in ("worker-0", "worker-1", "worker-2"):
        old = house.processes[name]
        assert await old.end() == 0
        assert "Traceback" not in old.log()
        await house.started(name)
    rolled.set()
    await loading
    await house.whole(*house.asked.values())

    assert len(house.asked) >= 10
    assert house.doubled() == []
    assert house.statuses() == {"finished": len(house.asked)}
    assert max(one.took for one in house.asked.values()) < SLACK_SECONDS
    asked = Counter((call.topic, call.seat) for call in house.model.calls)
    assert {call: times for call, times in asked.items() if times > 1} == {}, "calls under way had time to end"


@pytest.mark.long
async def test_scale_a_run_of_another_plan_is_told_when_its_worker_is_gone_and_the_one_beside_it_goes_on(house):
    house.environment["PANELIST_RUNS_IN_FLIGHT"] = "2"
    await house.started("gateway", "worker-0")
    sites = await house.install(workspaces=1, channels=2)
    house.model.let.clear()
    runs = [await house.ask(name, site) for name, site in zip(("older", "beside"), sites, strict=True)]
    await until(lambda: len(house.model.calls) == 12)
    await house.started("worker-1")
    await house.processes["worker-0"].kill()
    house.rows("UPDATE dbos.workflow_status SET application_version = '0' WHERE workflow_uuid = %s", runs[0].run)
    house.rows("UPDATE workers SET plan = '0' WHERE id = 'worker-0'")
    house.model.let.set()

    await house.whole(runs[1])
    await until(lambda: "Another version of the bot began" in house.said(runs[0]))
    await until(lambda: house.statuses() == {"finished": 1, "broken": 1})
    assert house.posts(runs[0]) == {"root": 1, "another_version": 1}
    assert [call.worker for call in house.model.made(topics=["older"])] == ["worker-0"] * 6
    assert house.doubled() == []


async def test_scale_a_disk_that_hangs_makes_no_worker_look_frozen_to_another(house, postgres):
    house.environment["PANELIST_RUNS_IN_FLIGHT"] = "2"
    name = house.rows("SELECT current_database()")[0][0]
    house.rows(f"ALTER DATABASE {name} SET synchronous_commit = 'on'")
    await house.started("gateway", "worker-0", "worker-1")
    sites = await house.install(workspaces=1, channels=4)
    house.model.let.clear()
    runs = await asyncio.gather(*(house.ask(f"run{number}", site) for number, site in enumerate(sites)))
    await until(lambda: len(house.model.calls) == 24)
    with hung_commits(postgres):
        await asyncio.sleep(FROZEN_SECONDS + 1.0)
    house.model.let.set()

    await house.whole(*runs)
    assert house.rows("SELECT count(*) FROM takeovers") == [(0,)]
    assert house.doubled() == []
    assert len(house.model.calls) == 28
    assert all("run.disowned" not in served.log() for served in house.processes.values())


@contextmanager
def hung_commits(postgres):
    """Have every commit wait, as for a disk; all else is answered. They wait for a standby that is not there."""
    try:
        postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        postgres.execute("SELECT pg_reload_conf()")
        yield
    finally:
        postgres.execute("ALTER SYSTEM RESET synchronous_standby_names")
        postgres.execute("SELECT pg_reload_conf()")
