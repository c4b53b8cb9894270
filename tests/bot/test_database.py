"""Databases that refuse: each fault is one sentence with what to do, at once, and nothing that was accepted is lost."""

import asyncio
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from adapters.port import ThreadRef
from bot.database import in_use, sole_process, sqlite_engine, sqlite_reader
from bot.errors import StoreFailed, StoreUnusable
from bot.feedback import read_feedback
from bot.migrations import HEAD, migrate
from bot.migrations.steps import take_steps
from bot.migrations.versions import v0001_runs
from bot.place_settings import PlaceSettings, settings_of
from bot.rounds import RoundId
from bot.rows import new_run
from bot.schema import metadata
from bot.store import read_runs
from bot.stored import Accepted
from teams.model import Source
from teams.wire import dump
from tests.stores import BRIEF, FREE, NOON, PLACE, accepted, asked, store_at

ROOT = Path(__file__).parent.parent.parent
TECHNICAL = re.compile(r"INSERT|SELECT|BEGIN|PRAGMA|sqlite|sqlalche|Error|CANARY")
CANARY = asked("CANARY-key", "CANARY-author")
LONG = replace(BRIEF, sources=(Source("long.md", "CANARY " * 100_000),))


@pytest.fixture
def path(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "runs.sqlite"


async def refused(store, brief=BRIEF, *, within: float = 3.0) -> str:
    """The sentence with which a store refuses a run now: at once, and without a word of what was to be written."""
    async with asyncio.timeout(within):
        with pytest.raises(StoreFailed) as caught:
            await store.accept(CANARY, brief, FREE)
    sentence = str(caught.value)
    assert not TECHNICAL.search(sentence), sentence
    assert "\n" not in sentence
    return sentence


async def is_well(store, *before: str) -> None:
    """The store takes a run again, also the one that it refused, and has all that it accepted before."""
    assert isinstance(await store.accept(CANARY, BRIEF, FREE), Accepted)
    assert [each.run for each in await store.next_accepted()] == [*before, CANARY.key]


def engine_of(path: Path) -> sa.Engine:
    engine = sqlite_engine(path, lock_seconds=0.2)
    migrate(engine)
    return engine


@contextmanager
def locked(path: Path):
    """Another program is in a long write."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        raw.execute("ROLLBACK")
        raw.close()


# Refusals


async def test_fault_19_a_locked_database_refuses_within_the_time_that_chat_platforms_give(path):
    async with store_at(path) as store:
        await accepted(store, "before")
        with locked(path):
            assert "another program holds the database; end it, or wait" in await refused(store, within=3.0)
        await is_well(store, "before")


async def test_fault_19_a_locked_database_refuses_everybody_who_asks_meanwhile_at_once(path):
    async with store_at(path, lock_seconds=0.3) as store:
        with locked(path):
            loop = asyncio.get_running_loop()
            began = loop.time()
            asking = [store.accept(asked(str(n)), BRIEF, FREE) for n in range(12)]
            came_of = await asyncio.gather(*asking, return_exceptions=True)
            took = loop.time() - began
        assert {type(one) for one in came_of} == {StoreFailed}
        assert took < 2.0, "each waits for the lock after the other; with 2 s for the lock, the last is told after 26 s"


async def test_fault_19_a_write_of_a_run_under_way_outlasts_a_short_lock(path):
    async with store_at(path, lock_seconds=0.05) as store:
        await accepted(store, "one")
        with locked(path):
            beginning = asyncio.create_task(store.begin(RoundId("one", 1)))
            for _ in range(3):
                await refused(store)
            assert not beginning.done()
        async with asyncio.timeout(5):
            assert (await beginning).boots == 1


async def test_fault_19_a_full_disk_refuses_until_there_is_room(path):
    engine = engine_of(path)
    pages = {"most": 1_000_000}

    @sa.event.listens_for(engine, "connect")
    def limit(connection, _):
        connection.execute(f"PRAGMA max_page_count={pages['most']}")

    async with store_at(path, engine=engine) as store:
        await accepted(store, "before")
        engine.dispose()
        pages["most"] = path.stat().st_size // 4096 + 2
        assert "no space is left on the disk; make room" in await refused(store, LONG)
        engine.dispose()
        pages["most"] = 1_000_000
        assert isinstance(await store.accept(asked("long"), LONG, FREE), Accepted)
        await is_well(store, "before", "long")


async def test_fault_19_a_read_only_database_refuses_until_it_can_be_written(path):
    engine = engine_of(path)
    query_only = {"on": 0}

    @sa.event.listens_for(engine, "connect")
    def protect(connection, _):
        connection.execute(f"PRAGMA query_only={query_only['on']}")

    async with store_at(path, engine=engine) as store:
        await accepted(store, "before")
        engine.dispose()
        query_only["on"] = 1
        assert "read-only; let the user that runs this write to its file and folder" in await refused(store)
        engine.dispose()
        query_only["on"] = 0
        await is_well(store, "before")


async def test_fault_19_a_file_that_may_only_be_read_refuses_and_can_still_be_read(path):
    async with store_at(path) as store:
        await accepted(store, "before")
    async with store_at(path, engine=sqlite_reader(path)) as store:
        assert "read-only" in await refused(store)
        assert [each.run for each in await store.next_accepted()] == ["before"]
    async with store_at(path) as store:
        await is_well(store, "before")


async def test_fault_19_a_folder_that_went_away_refuses_until_it_is_back(path, tmp_path):
    engine = engine_of(path)
    async with store_at(path, engine=engine) as store:
        await accepted(store, "before")
        engine.dispose()
        path.parent.rename(tmp_path / "away")
        assert "the file cannot be opened; let the user" in await refused(store)
        (tmp_path / "away").rename(path.parent)
        await is_well(store, "before")


def rubbish(size: int) -> bytes:
    return random.Random(19).randbytes(size)


def all_of(path: Path) -> bytes:
    """The file with all that was committed: the store keeps a connection, so some of it may be beside the file."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


DAMAGES = {
    "random bytes": lambda whole: rubbish(len(whole)),
    "random bytes behind the first page": lambda whole: whole[:4096] + rubbish(len(whole) - 4096),
    "cut in half": lambda whole: whole[: len(whole) // 2],
    "cut inside the first page": lambda whole: whole[:1000],
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_fault_19_a_damaged_file_refuses_until_it_is_replaced_by_a_whole_one(path, damage):
    engine = engine_of(path)
    async with store_at(path, engine=engine) as store:
        await accepted(store, "before")
        engine.dispose()
        whole = all_of(path)
        path.write_bytes(DAMAGES[damage](whole))
        assert "the file is damaged; put it aside and restore a backup, or begin with a new one" in await refused(store)
        engine.dispose()
        for leftover in path.parent.iterdir():
            leftover.unlink()
        path.write_bytes(whole)
        await is_well(store, "before")


async def test_fault_19_a_damaged_file_is_said_at_the_start(path):
    path.write_bytes(rubbish(20_000))
    with pytest.raises(StoreUnusable, match="the file is damaged; put it aside"):
        migrate(sqlite_engine(path))
    assert path.read_bytes() == rubbish(20_000)


async def test_fault_19_rubbish_in_place_of_a_log_that_was_folded_in_loses_nothing(path):
    async with store_at(path) as store:
        await accepted(store, "before", "before too")
    log = path.with_name("runs.sqlite-wal")
    assert not log.exists()
    log.write_bytes(rubbish(50_000))
    async with store_at(path) as store:
        await is_well(store, "before", "before too")


@pytest.mark.parametrize("tear", [lambda log: log + rubbish(10_000), lambda log: log + log[32:4000]])
async def test_fault_19_the_log_of_a_killed_process_with_a_torn_end_keeps_all_that_was_accepted(path, tmp_path, tear):
    killed = tmp_path / "killed" / "runs.sqlite"
    killed.parent.mkdir()
    async with store_at(path) as store:
        await accepted(store, *"abcdef")
        shutil.copy(path, killed)  # as a kill would leave it, now
        log = path.with_name("runs.sqlite-wal").read_bytes()
    assert log, "nothing was in the log: the test shows nothing"
    killed.with_name("runs.sqlite-wal").write_bytes(tear(log))
    async with store_at(killed) as store:
        await is_well(store, *"abcdef")


# The schema


def dumped(path: Path) -> list[str]:
    with sqlite3.connect(path) as raw:
        return list(raw.iterdump())


async def test_migrating_again_changes_nothing(path):
    async with store_at(path) as store:
        await accepted(store, "before")
    before = dumped(path)
    migrate(sqlite_engine(path))
    assert dumped(path) == before


async def test_fault_22_a_schema_of_a_newer_version_is_refused_and_left_as_it_is(path):
    async with store_at(path) as store:
        await accepted(store, "before")
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    before = dumped(path)
    with pytest.raises(StoreUnusable, match=r"newer version of panelist \(schema 9999\); install that version again"):
        migrate(sqlite_engine(path))
    assert dumped(path) == before


def test_a_migration_that_fails_half_way_leaves_nothing(path):
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE outbox (of_somebody_else TEXT)")
    before = dumped(path)
    with pytest.raises(StoreUnusable):
        migrate(sqlite_engine(path))
    assert dumped(path) == before


def test_a_locked_database_is_said_at_the_start(path):
    engine_of(path).dispose()
    with (
        locked(path),
        pytest.raises(StoreUnusable, match=re.escape(f"{path} cannot be used: another program holds the database")),
    ):
        migrate(sqlite_engine(path, lock_seconds=0.2))


def first_schema(path: Path, *rows: dict[str, object]) -> None:
    """A database as the first version of the schema left it, with these runs in it."""
    engine = sqlite_engine(path)
    with engine.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            v0001_runs.upgrade()
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0001')")
        table = sa.Table("runs", sa.MetaData(), autoload_with=connection)
        for row in rows:
            connection.execute(sa.insert(table), row)
    engine.dispose()


def first_row(key: str, turn: int, **columns) -> dict[str, object]:
    """A row as that version wrote it: without what the values have got since."""
    invocation = dump(asked(key))
    for name in ("within", "options"):
        del invocation[name]
    return {**new_run(asked(key), BRIEF, NOON + turn), "invocation": json.dumps(invocation), "turn": turn, **columns}


async def test_runs_of_the_first_schema_are_kept_and_found_by_their_thread(path):
    thread = ThreadRef(PLACE, "thread-1")
    opened = {"status": "running", "thread": json.dumps({"place": dump(PLACE), "thread": "thread-1"})}
    first_schema(path, first_row("one", 1, **opened), first_row("two", 2))
    assert [run.id for run in read_runs(sqlite_reader(path))] == ["two", "one"], "readable also before it is migrated"
    assert read_feedback(sqlite_reader(path), "one") == ()
    async with store_at(path) as store:
        assert (await store.latest(PLACE, "thread-1")).thread == thread
        assert (await store.latest(PLACE)).id == "two"
        assert await store.latest(PLACE, "thread-2") is None
        assert await store.under_way() == [RoundId("one", 1)]
        await is_well(store, "two")
        assert await settings_of(store, PLACE) == PlaceSettings()


@pytest.mark.parametrize("way", ["step by step", "at once"])
def test_the_tables_in_code_are_those_that_migrations_make(path, way):
    engine = sqlite_engine(path)
    if way == "at once":
        migrate(engine)
    else:
        with engine.begin() as connection:
            take_steps(connection, None)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD
    migrate(engine)


def test_a_database_that_is_new_or_up_to_date_needs_no_alembic(path):
    script = (
        "import sys; from pathlib import Path; from bot.database import sqlite_engine;"
        "from bot.migrations import migrate; path = Path(sys.argv[1]);"
        "migrate(sqlite_engine(path)); migrate(sqlite_engine(path)); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 0


@pytest.mark.parametrize("name", ["with space", "50%", "50%20", "a#1", "why?"])
async def test_a_folder_of_any_name_holds_a_database_that_can_be_written_and_read(tmp_path, name):
    path = tmp_path / name / "runs.sqlite"
    path.parent.mkdir()
    async with store_at(path) as store:
        await accepted(store, "one")
    assert path.is_file()
    assert [run.id for run in read_runs(sqlite_reader(path))] == ["one"]


def test_what_cannot_be_read_is_said_with_the_file(path):
    with pytest.raises(StoreFailed, match=re.escape(f"{path}")) as caught:
        read_runs(sqlite_reader(path))
    assert "the file cannot be opened" in str(caught.value)
    assert not path.exists(), "whoever only looks makes no file"


# One process


@contextmanager
def another_process_in(folder: Path):
    """Another process holds the folder; it is killed with SIGKILL when the block ends."""
    program = (
        "import sys, pathlib, bot.database as d\n"
        "with d.sole_process(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process.pid
        finally:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            assert process.wait(10) == -signal.SIGKILL


def test_a_second_process_is_refused_with_the_first_ones_number_until_that_is_killed(tmp_path):
    folder = tmp_path / "runs"
    with another_process_in(folder) as pid:
        second = pytest.raises(StoreUnusable, match=f"is in use by process {pid}; stop that one first")
        with second, sole_process(folder):
            pytest.fail("two processes hold one folder")
        assert in_use(folder)
    assert not in_use(folder)
    with sole_process(folder):
        second = pytest.raises(StoreUnusable, match=f"process {os.getpid()};")
        with second, sole_process(folder):
            pytest.fail("one folder is held twice")


def test_a_folder_is_free_again_after_the_block_also_when_that_broke(tmp_path):
    with pytest.raises(KeyError), sole_process(tmp_path):
        assert in_use(tmp_path)
        raise KeyError
    with sole_process(tmp_path), pytest.raises(StoreUnusable, match=f"process {os.getpid()};"), sole_process(tmp_path):
        pytest.fail("one folder is held twice")
    assert not in_use(tmp_path)


def test_whoever_looks_whether_a_folder_is_in_use_keeps_no_process_from_starting(tmp_path):
    (tmp_path / "lock").touch()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.0005):
            in_use(tmp_path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(300):
            with sole_process(tmp_path):
                pass
    finally:
        over.set()
        looking.join()


def test_whoever_looks_into_a_folder_that_nobody_has_used_leaves_nothing_there(tmp_path):
    assert not in_use(tmp_path)
    assert not in_use(tmp_path / "no such folder")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said_with_the_setting_that_names_another(tmp_path):
    (tmp_path / "file").write_text("")
    unusable = pytest.raises(StoreUnusable, match="set PANELIST_HOME to a folder you may write to")
    with unusable, sole_process(tmp_path / "file" / "runs"):
        pytest.fail("a folder inside a file")
