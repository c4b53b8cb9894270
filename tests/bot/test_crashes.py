"""Real processes that are killed, ended and starved: nothing is lost, nothing is said twice, nothing is paid twice."""

import asyncio
import json
import signal
import sys

import pytest

from teams.scripted import chat_text, expert_reply
from tests.desk import ROOT, SEATS, WHOLE, Desk, serving, told, until
from tests.model_server import completion, hang, model_server


@pytest.fixture
async def desk(tmp_path):
    async with model_server(0.1) as server:
        desk = Desk(tmp_path, server)
        desk.server = server
        yield desk


@pytest.mark.parametrize("nth", [1, 4, 8])
@pytest.mark.parametrize("point", ["before_row", "after_row", "accepted", "before_mark", "after_mark"])
async def test_fault_16_and_17_a_kill_at_this_point_of_a_send_neither_loses_nor_doubles_a_post(desk, point, nth):
    desk.ask("one")
    dead = await desk.serve("--die", f"{point}:{nth}")
    async with asyncio.timeout(30):
        assert await dead.wait() == -signal.SIGKILL
    asked = desk.server.calls.copy()

    async with desk.served(end=signal.SIGKILL):
        await desk.whole("one")
        await until(lambda: desk.board("one")["finished"])

    posts = desk.posts("one")
    assert {part for part, count in posts.items() if count > 1} == set()
    assert set(posts) <= WHOLE | {"resumed/2"}
    # An answer whose post was under way was recorded before: it was not paid for again.
    posted_before = {part.removeprefix("expert/") for part in posts if part.startswith("expert/")} if nth > 7 else set()
    assert all(desk.server.calls[seat] == asked[seat] for seat in posted_before)


async def test_a_kill_between_safe_and_acknowledged_is_one_run(desk):
    desk.ask("one")
    dead = await desk.serve("--die", "safe:1")
    await dead.wait()
    assert list((desk.folder / "in").iterdir()), "it was acknowledged before it was killed"

    async with desk.served():
        await desk.whole("one")
        await until(lambda: not list((desk.folder / "in").iterdir()))

    assert max(desk.posts("one").values()) == 1
    assert desk.run("runs").count("Open on Sundays?") == 1


async def test_fault_16_an_expert_that_had_answered_is_not_asked_again(desk):
    desk.server.faults = dict.fromkeys(SEATS[3:], hang)
    desk.ask("one")
    process = await desk.serve()
    await until(lambda: sum(part.startswith("expert/") for part in desk.posts("one")) == 3)
    process.kill()
    await process.wait()
    desk.server.faults.clear()

    async with desk.served():
        await desk.whole("one")

    assert [desk.server.calls[seat] for seat in SEATS] == [1, 1, 1, 2, 2, 2]
    assert "Resumed" in desk.text("one")
    assert "from 6 of 6" in desk.text("one")
    assert desk.posts("one")["resumed/2"] == 1


async def test_fault_18_sigterm_with_ten_running_panels_ends_in_good_order_and_all_go_on(desk):
    names = [f"run{number}" for number in range(10)]
    desk.server.faults = dict.fromkeys(SEATS[4:], hang)
    for name in names:
        desk.ask(name)
    process = await desk.serve()
    await until(lambda: all(sum("expert/" in part for part in desk.posts(name)) == 4 for name in names))
    loop = asyncio.get_running_loop()
    began = loop.time()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        _, err = await process.communicate()
    took = loop.time() - began

    assert process.returncode == 0
    assert took < 6.0
    assert b"Traceback" not in err
    assert all("Paused, will resume" in desk.text(name) for name in names)
    assert all("paused" in desk.board(name)["note"] for name in names)

    desk.server.faults.clear()
    async with desk.served():
        await desk.whole(*names)
    for name in names:
        assert {part for part, count in desk.posts(name).items() if count > 1} == set()
        assert desk.posts(name)["resumed/2"] == 1
        assert "from 6 of 6" in desk.text(name)
    assert [desk.server.calls[seat] for seat in SEATS] == [10, 10, 10, 10, 20, 20]


async def test_fault_18_calls_under_way_may_end_within_the_grace_and_no_new_one_begins(desk):
    desk.server.delay = 1.5
    desk.environment["PANELIST_GRACE"] = "15"
    desk.ask("one")
    process = await desk.serve()
    await until(lambda: desk.server.in_flight == 6)
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 0
    assert sum(part.startswith("expert/") for part in desk.posts("one")) == 6
    assert desk.server.calls["synthesis"] == 0

    desk.server.delay = 0.0
    async with desk.served():
        await desk.whole("one")
    assert [desk.server.calls[seat] for seat in SEATS] == [1] * 6


async def test_fault_18_a_second_sigterm_ends_at_once(desk):
    desk.server.faults = dict.fromkeys(SEATS, hang)
    desk.environment["PANELIST_GRACE"] = "60"
    desk.ask("one")
    process = await desk.serve()
    await until(lambda: desk.server.in_flight == 6)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await process.stderr.readuntil(b"ending")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await process.wait() == 128 + signal.SIGTERM


async def test_fault_23_a_run_that_ends_its_process_three_times_is_given_up_and_the_one_beside_it_is_not(desk):
    desk.server.faults = dict.fromkeys(SEATS, hang)
    desk.ask("bystander")
    process = await desk.serve("--poison", "poison")
    await until(lambda: desk.server.in_flight == 6)
    desk.ask("bad", "/panel poison")
    assert await process.wait() == -signal.SIGKILL
    for _ in range(2):
        process = await desk.serve("--poison", "poison")
        async with asyncio.timeout(30):
            assert await process.wait() == -signal.SIGKILL
    desk.server.faults.clear()

    async with desk.served("--poison", "poison"):
        await desk.whole("bystander")
        await until(lambda: "Given up" in desk.text("bad"))
        await until(lambda: desk.board("bad")["finished"])

    assert "crashed 3 times" in desk.text("bad")
    assert "quarantined" in desk.run("runs")
    assert "from 6 of 6" in desk.text("bystander")


async def test_fault_22_a_run_of_another_plan_ends_and_its_thread_is_told(desk):
    import sqlite3

    desk.server.faults = dict.fromkeys(SEATS, hang)
    desk.ask("old")
    process = await desk.serve()
    await until(lambda: desk.server.in_flight == 6)
    process.kill()
    await process.communicate()
    database = sqlite3.connect(desk.home / "runs" / "serve" / "steps.sqlite")
    database.execute("UPDATE workflow_status SET application_version = '0' WHERE workflow_uuid = 'old'")
    database.commit()
    database.close()
    desk.server.faults.clear()

    process = await desk.serve()
    desk.ask("new")
    await desk.whole("new")
    await until(lambda: "Another version of the bot began run old" in desk.text("old"))
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()

    assert b"run.of_another_version" in err
    assert desk.server.calls["synthesis"] == 1, "nothing more is asked for it"
    assert "broken" in desk.run("runs")


async def test_two_that_serve_cannot_share_a_run_database(desk):
    async with desk.served() as first:
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.cli", "serve", "--front-end", f"folder:{desk.folder}"),
            env=desk.environment,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            _, err = await second.communicate()
        assert second.returncode == 2
        assert f"in use by process {first.pid}" in err.decode()
        assert desk.run("runs") == "no runs yet\n"


async def test_the_kill_loop_keeps_every_promise():
    """Twenty kills, in two houses side by side, for half of a loop is waiting."""
    loops = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "bench" / "kill_loop.py"), "--kills", "10", "--runs", "10"),
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    async with asyncio.timeout(600):
        ends = await asyncio.gather(*(loop.communicate() for loop in loops))
    for loop, (out, _) in zip(loops, ends, strict=True):
        counts = json.loads(out.splitlines()[-1])
        assert loop.returncode == 0, counts
        assert (counts["kills"], counts["runs"]) == (10, 10)
        assert counts["posts"] >= 10 * len(WHOLE)


# Storage


async def test_fault_19_while_the_disk_is_full_nothing_is_taken_in_and_nothing_that_was_is_lost(desk):
    gate = asyncio.Event()

    async def late(_: object):
        await gate.wait()
        return completion(chat_text(expert_reply("late")))

    desk.server.faults = dict.fromkeys(SEATS[3:], late)
    async with serving(desk, "tests.starved_serve", str(desk.folder)) as process:
        desk.ask("one")
        await until(lambda: sum("expert/" in part for part in desk.posts("one")) == 3)
        process.send_signal(signal.SIGUSR1)
        desk.ask("two")
        await until(lambda: any("invocation.not_safe" in line for line in process.said))
        # The other answers cannot be recorded: the run is put off, not ended.
        gate.set()
        await until(lambda: any("run.put_off" in line for line in process.said))
        process.send_signal(signal.SIGUSR2)
        await desk.whole("one", "two")
        await until(lambda: not list((desk.folder / "in").iterdir()))

    why = next(line for line in process.said if "invocation.not_safe" in line)
    assert "look at the disk" in why or "make room" in why
    assert "Traceback" not in "".join(process.said)
    assert max(desk.posts("one").values()) == max(desk.posts("two").values()) == 1


async def test_fault_19_while_another_program_holds_the_database_the_asker_is_told_at_once(desk):
    import sqlite3

    async with serving(desk, "bot.cli", "serve", "--front-end", f"folder:{desk.folder}") as process:
        desk.ask("one")
        await desk.whole("one")
        holder = sqlite3.connect(desk.home / "runs" / "serve" / "runs.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        desk.ask("two")
        await until(lambda: "another program holds the database" in told(desk))
        assert (desk.folder / "in" / "two.json").exists()
        holder.execute("ROLLBACK")
        holder.close()
        await desk.whole("two")
    assert told(desk).count("Not taken in") == 1
    assert "Traceback" not in "".join(process.said)


@pytest.mark.parametrize("name", ["runs.sqlite", "steps.sqlite"])
async def test_fault_19_a_damaged_database_is_named_and_left_as_it_is(desk, name):
    async with serving(desk, "bot.cli", "serve", "--front-end", f"folder:{desk.folder}"):
        desk.ask("one")
        await desk.whole("one")
    path = desk.home / "runs" / "serve" / name
    for beside in path.parent.glob(f"{name}-*"):
        beside.unlink()
    path.write_bytes(b"not a database at all" * 1000)
    damaged = path.read_bytes()
    desk.ask("two")

    async with serving(desk, "bot.cli", "serve", "--front-end", f"folder:{desk.folder}") as process:
        async with asyncio.timeout(30):
            assert await process.wait() == 2

    said = "".join(process.said)
    assert "damaged" in said
    assert name in said
    assert "Traceback" not in said
    assert path.read_bytes() == damaged
    assert (desk.folder / "in" / "two.json").exists()
