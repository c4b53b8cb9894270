"""Real processes that serve from Postgres and are killed: nothing is lost, nothing is said or paid twice."""

import asyncio
import signal
import sys

import pytest
from psycopg.conninfo import conninfo_to_dict

from teams.scripted import chat_text, expert_reply
from tests.cutting_proxy import proxied
from tests.desk import SEATS, WHOLE, Desk, serving, told, until
from tests.model_server import completion, hang, model_server


@pytest.fixture
async def desk(tmp_path, postgres):
    async with model_server(0.1) as server:
        desk = Desk(tmp_path, server)
        desk.server, desk.at = server, postgres.fresh()
        desk.environment["DATABASE_URL"] = desk.at.url.get_secret_value()
        yield desk


async def test_scale_a_run_on_postgres_goes_on_where_a_killed_process_left_it(desk):
    desk.server.faults = dict.fromkeys(SEATS[3:], hang)
    desk.ask("one")
    process = await desk.serve()
    await until(lambda: sum(part.startswith("expert/") for part in desk.posts("one")) == 3)
    assert "running" in desk.run("runs")
    process.kill()
    await process.wait()
    desk.server.faults.clear()
    assert "interrupted" in desk.run("runs")
    assert desk.run("runs", "export", "one", "--format", "md").count("speaks") >= 3

    async with desk.served():
        await desk.whole("one")
        await until(lambda: desk.board("one")["finished"])

    assert [desk.server.calls[seat] for seat in SEATS] == [1, 1, 1, 2, 2, 2]
    assert max(desk.posts("one").values()) == 1
    assert desk.posts("one")["resumed/2"] == 1
    assert "from 6 of 6" in desk.text("one")
    assert "finished" in desk.run("runs")
    assert "from 6 of 6" in desk.run("runs", "show", "one")
    assert not list(desk.home.rglob("*.sqlite")), "runs are in Postgres, and nowhere else"


@pytest.mark.parametrize("nth", [1, 8])
@pytest.mark.parametrize("point", ["before_row", "after_row", "accepted", "before_mark", "after_mark"])
async def test_scale_a_kill_at_this_point_of_a_send_neither_loses_nor_doubles_a_post(desk, point, nth):
    desk.ask("one")
    dead = await desk.serve("--die", f"{point}:{nth}")
    async with asyncio.timeout(30):
        assert await dead.wait() == -signal.SIGKILL
    async with desk.served(end=signal.SIGKILL):
        await desk.whole("one")
        await until(lambda: desk.board("one")["finished"])
    posts = desk.posts("one")
    assert {part for part, count in posts.items() if count > 1} == set()
    assert set(posts) <= WHOLE | {"resumed/2"}


async def test_scale_a_second_process_on_the_same_database_is_refused(desk, tmp_path):
    other = Desk(tmp_path / "other", desk.server)
    other.environment["DATABASE_URL"] = desk.environment["DATABASE_URL"]
    async with desk.served():
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.cli", "serve", "--front-end", f"folder:{other.folder}"),
            env=other.environment,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            _, err = await second.communicate()
        assert second.returncode == 2
        assert "another process serves with this DATABASE_URL as worker-0; stop that one first" in err.decode()
        assert "Traceback" not in err.decode()


async def test_scale_runs_outlast_a_database_that_goes_away_and_comes_back(desk, postgres):
    gate = asyncio.Event()

    async def late(_: object):
        await gate.wait()
        return completion(chat_text(expert_reply("late")))

    desk.server.faults = dict.fromkeys(SEATS[3:], late)
    database = conninfo_to_dict(desk.environment["DATABASE_URL"])["dbname"]
    async with proxied(postgres.folder / ".s.PGSQL.5432") as proxy:
        desk.environment["DATABASE_URL"] = f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}"
        async with serving(desk, "bot.cli", "serve", "--front-end", f"folder:{desk.folder}") as process:
            desk.ask("one")
            await until(lambda: sum("expert/" in part for part in desk.posts("one")) == 3)
            proxy.down = True
            proxy.cut_all()
            desk.ask("two")
            await until(lambda: "the connection broke; look whether the server is there" in told(desk))
            # The other answers cannot be recorded: the run waits, and is not ended.
            gate.set()
            await until(lambda: desk.server.in_flight == 0)
            proxy.down = False
            await desk.whole("one", "two")
            await until(lambda: not list((desk.folder / "in").iterdir()))
    assert "Traceback" not in "".join(process.said)
    assert [desk.server.calls[seat] for seat in SEATS] == [2] * 6, "nothing was paid twice"
    assert max(desk.posts("one").values()) == max(desk.posts("two").values()) == 1
