"""Runs on Postgres: what several processes do at the same moment is done once, what the server refuses is said in a
sentence, and a connection that breaks costs nothing that was committed."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
import structlog
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from adapters.port import Invocation, MessageRef, ThreadRef
from bot.commands import Rate
from bot.errors import StoreFailed, StoreUnusable
from bot.feedback import note_feedback, read_feedback
from bot.migrations import migrate
from bot.migrations.steps import take_steps
from bot.place_settings import set_in_place, settings_of
from bot.record import listing, named, recent
from bot.rounds import RoundId
from bot.runs_at import InPostgres
from bot.schema import metadata
from bot.store import Store, read_runs
from bot.stored import Accepted, Duplicate, Ending, OverQuota, Quotas
from tests.cutting_proxy import proxied
from tests.stores import BRIEF, FREE, NOTHING, PLACE, Clock, accepted, altered, asked, locked, over, store_in

TECHNICAL = re.compile("INSERT|SELECT|psycopg|sqlalche|Error|CANARY|SQLSTATE")
OTHER = replace(PLACE, channel="random")


@pytest.fixture
def there(postgres) -> InPostgres:
    return postgres.fresh()


@asynccontextmanager
async def stores(there: InPostgres, number: int):
    """As many stores as there are processes: each has connections and a thread of its own."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(store_in(there)) for _ in range(number)]


@asynccontextmanager
async def behind_a_proxy(postgres, there: InPostgres):
    """A store whose connections can be cut."""
    given = conninfo_to_dict(there.url.get_secret_value())
    async with proxied(postgres.folder / ".s.PGSQL.5432") as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{given['dbname']}"
        # Each statement has a thread to wait in, for the proxy is on this loop.
        store = Store(InPostgres(SecretStr(url)).engine(), Clock())
        try:
            yield proxy, store
        finally:
            proxy.down = False
            await store.close()


# Several processes


async def test_scale_one_gesture_in_three_processes_is_accepted_once(there):
    async with stores(there, 3) as three:
        for key in "abcdefghij":
            came_of = await asyncio.gather(*(store.accept(asked(key), BRIEF, FREE) for store in three))
            assert sorted(map(str, came_of)) == sorted(map(str, (Accepted(), Duplicate(key), Duplicate(key))))
        assert [each.run for each in await three[0].next_accepted()] == list("abcdefghij")


@pytest.mark.parametrize("quotas", [Quotas(person=7), Quotas(channel=7), Quotas(workspace=7)])
async def test_scale_processes_that_accept_at_once_do_not_both_take_the_last_of_a_quota(there, quotas):
    async with stores(there, 3) as three:
        keys = [f"{n}" for n in range(30)]
        came_of = await asyncio.gather(
            *(store.accept(asked(f"{at}-{key}"), BRIEF, quotas) for key in keys for at, store in enumerate(three))
        )
        assert sum(isinstance(one, Accepted) for one in came_of) == 7
        assert sum(isinstance(one, OverQuota) for one in came_of) == 83


async def test_scale_each_run_has_a_place_in_line_of_its_own_whoever_accepts_it(there):
    async with stores(there, 3) as three:
        await asyncio.gather(
            *(store.accept(asked(f"{at}-{n}"), BRIEF, FREE) for n in range(20) for at, store in enumerate(three))
        )
    with there.reader().connect() as raw:
        turns = list(raw.exec_driver_sql("SELECT turn FROM runs ORDER BY turn").scalars())
    assert turns == list(range(1, 61))


async def test_scale_presses_of_retry_in_several_processes_begin_one_round(there):
    async with stores(there, 3) as three:
        await accepted(three[0], "one")
        await over(three[0], "one")
        came_of = await asyncio.gather(
            *(store.retry("one", f"press-{n}-{at}") for n in range(8) for at, store in enumerate(three))
        )
        assert [one for one in came_of if one is not None] == [RoundId("one", 2)]
        again = await asyncio.gather(*(store.retry("one", "the same press") for store in three))
        assert set(again) == {None}
        await over(three[1], "one", round_=2)
        pressed = await asyncio.gather(*(store.retry("one", "twice") for store in three))
        assert sorted(map(str, pressed)) == sorted(map(str, (RoundId("one", 3), *[Duplicate("one")] * 2)))


async def test_scale_a_post_is_announced_by_one_of_the_processes_that_want_to_send_it(there):
    async with stores(there, 3) as three:
        for n in range(20):
            came_of = await asyncio.gather(*(store.claim(f"run/{n}", "run") for store in three))
            assert came_of.count(None) == 1
            assert {each.state for each in came_of if each is not None} == {"sending"}


async def test_scale_what_two_processes_write_over_each_other_is_one_row(there):
    async with stores(there, 3) as three:
        ref = MessageRef(ThreadRef(PLACE, "thread"), ("m",))
        await asyncio.gather(*(store.stands("run/board", "run", ref) for store in three for _ in range(10)))
        rate = Rate("up", "board")
        await asyncio.gather(
            *(
                note_feedback(store, replace(asked(f"rate-{n}-{at}"), run="run"), "run", rate)
                for n in range(10)
                for at, store in enumerate(three)
            )
        )
        assert [(each.part, each.verdict) for each in read_feedback(there.reader(), "run")] == [("board", "up")]
        await asyncio.gather(
            *(
                set_in_place(store, asked(f"set-{n}-{at}"), "profile", "a bakery")
                for n in range(10)
                for at, store in enumerate(three)
            )
        )
        assert (await settings_of(three[0], PLACE)).profile == "a bakery"


async def test_scale_processes_that_start_together_bring_an_empty_database_up_to_date_once(postgres):
    empty = postgres.empty()

    def start(_: int) -> None:
        engine = empty.engine()
        try:
            migrate(engine)
        finally:
            engine.dispose()

    with ThreadPoolExecutor(6) as starting:
        list(starting.map(start, range(6)))
    async with store_in(empty) as store:
        await accepted(store, "one")


@pytest.mark.parametrize("way", ["step by step", "at once"])
def test_the_tables_in_code_are_those_that_migrations_make_on_postgres(postgres, way):
    engine = postgres.empty().engine()
    if way == "at once":
        migrate(engine)
    else:
        with engine.begin() as connection:
            take_steps(connection, None)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        # Comments are for readers of the code; SQLite has none.
        changes = [each for each in compare_metadata(context, metadata) if each[0] != "add_table_comment"]
        assert changes == []
    engine.dispose()


async def test_fault_22_a_newer_schema_on_postgres_is_refused_and_left_as_it_is(there):
    altered(there, "UPDATE alembic_version SET version_num = '9999'")
    engine = there.engine()
    with pytest.raises(StoreUnusable, match=r"newer version of panelist \(schema 9999\).* or DATABASE_URL"):
        migrate(engine)
    engine.dispose()


# Connections that break


@pytest.mark.parametrize("cut", ["before the commit", "after the commit"])
async def test_scale_a_connection_that_breaks_around_a_commit_neither_loses_nor_doubles_what_was_asked(
    postgres, there, cut
):
    async with behind_a_proxy(postgres, there) as (proxy, store):
        await accepted(store, "before")
        proxy.cut = cut
        assert await store.accept(asked("one"), BRIEF, FREE) == Accepted()
        assert proxy.cut is None, "nothing was cut: the test shows nothing"
        proxy.cut = cut
        assert await store.retry("one", "press") is None
        await store.begin(RoundId("one", 1))
        proxy.cut = cut
        await store.end(RoundId("one", 1), Ending("finished", {}, [], replace(NOTHING, calls=7, charged=0.5)))
        assert (await store.get("one")).receipt.calls == 7
        assert await store.charged_since(0) == 0.5
        proxy.cut = cut
        assert await store.claim("one/root", "one") is None
        assert [each.run for each in await store.next_accepted()] == ["before"]


async def test_scale_connections_that_died_while_nobody_used_them_are_made_anew_without_a_word(postgres, there):
    async with behind_a_proxy(postgres, there) as (proxy, store):
        await accepted(store, "before")
        proxy.cut_all()
        await accepted(store, "one")
        postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'panelist'")
        await accepted(store, "two")
        assert proxy.made == 3


async def test_scale_while_the_server_is_away_intake_is_told_at_once_and_a_run_under_way_waits(postgres, there):
    async with behind_a_proxy(postgres, there) as (proxy, store):
        await accepted(store, "one")
        proxy.down = True
        proxy.cut_all()
        beginning = asyncio.create_task(store.begin(RoundId("one", 1)))
        async with asyncio.timeout(3):
            with pytest.raises(StoreFailed) as caught:
                await store.accept(asked("CANARY"), BRIEF, FREE)
        assert not TECHNICAL.search(str(caught.value)), str(caught.value)
        assert "the connection broke; look whether the server is there" in str(caught.value)
        assert not beginning.done()
        proxy.down = False
        async with asyncio.timeout(10):
            assert (await beginning).boots == 1


async def test_scale_one_that_fails_spoils_nothing_of_those_that_wait_with_it(there):
    async with stores(there, 1) as (store,):
        await accepted(store, "good")

        def broken(connection: sa.Connection) -> None:
            connection.exec_driver_sql("SELECT no_such_column FROM runs")

        came_of = await asyncio.gather(
            *(store.accept(asked(f"{n}"), BRIEF, FREE) for n in range(10)),
            store.do(broken, 0.0),
            *(store.accept(asked(f"1{n}"), BRIEF, FREE) for n in range(10)),
            return_exceptions=True,
        )
        assert came_of.count(Accepted()) == 20
        assert sum(isinstance(one, StoreFailed) for one in came_of) == 1


async def test_scale_transactions_that_wait_for_each_other_are_both_carried_out(there):
    async with stores(there, 2) as (one, other):
        await accepted(one, "a", "b")
        meet = {name: asyncio.Event() for name in "ab"}
        loop = asyncio.get_running_loop()

        def both(first: str, second: str):
            def work(connection: sa.Connection) -> None:
                set_ = sa.text("UPDATE runs SET boots = boots + 1 WHERE id = :id")
                connection.execute(set_, {"id": first})
                loop.call_soon_threadsafe(meet[first].set)
                asyncio.run_coroutine_threadsafe(meet[second].wait(), loop).result(10)
                connection.execute(set_, {"id": second})

            return work

        async with asyncio.timeout(20):
            await asyncio.gather(one.do(both("a", "b")), other.do(both("b", "a")))
        assert [(await one.get(name)).boots for name in "ab"] == [2, 2]


# Refusals


async def refused(store) -> str:
    async with asyncio.timeout(5):
        with pytest.raises(StoreFailed) as caught:
            await store.accept(asked("CANARY"), BRIEF, FREE)
    sentence = str(caught.value)
    assert not TECHNICAL.search(sentence), sentence
    assert "\n" not in sentence
    return sentence


async def test_fault_19_a_table_that_another_holds_refuses_within_the_time_that_chat_platforms_give(there):
    async with stores(there, 1) as (store,):
        with locked(there):
            assert "another transaction holds what was to be changed; end it, or wait" in await refused(store)
        await accepted(store, "CANARY")


async def test_fault_19_a_server_that_may_not_be_written_refuses_until_it_may(postgres, there):
    async with stores(there, 1) as (store,):
        name = conninfo_to_dict(there.url.get_secret_value())["dbname"]
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        postgres.execute(end)
        assert "it is read-only, as a standby is; set DATABASE_URL to the primary" in await refused(store)
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        postgres.execute(end)
        await accepted(store, "CANARY")


@contextmanager
def a_user_who_may_do_nothing(postgres):
    postgres.execute("CREATE ROLE guest LOGIN")
    yield
    postgres.execute("DROP ROLE guest")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://CANARY@/nowhere?host={folder}", "did not accept the user or the password; correct DATABASE_URL"),
        ("postgresql://postgres:CANARY@/nowhere?host={folder}", "no database of that name; create it"),
        ("postgresql://postgres:CANARY@/x?host=/no/such/folder", "no server answers there; start it"),
        ("postgresql://postgres:CANARY@127.0.0.1:1/x", "no server answers there; start it"),
        ("postgresql://postgres:CANARY@no-such-host.invalid/x", "its host is not known; correct DATABASE_URL"),
        ("postgresql://postgres:CANARY@127.0.0.1:1/x?password=CANARY", "no server answers there; start it"),
        ("postgresql://postgres:CANARY@/database?host=/no/role/for/a/password", "no server answers there; start it"),
    ],
)
async def test_fault_19_what_keeps_a_connection_from_coming_about_is_said_without_the_password(postgres, url, why):
    at = InPostgres(SecretStr(url.format(folder=postgres.folder)))
    for ask in (lambda: migrate(at.engine()), at.steps_engine, at.in_use, lambda: read_runs(at.reader())):
        with pytest.raises(StoreFailed) as caught:
            ask()
        assert why in str(caught.value)
        assert "CANARY" not in str(caught.value)
    assert "CANARY" not in repr(at)
    assert "CANARY" not in repr(at.engine())
    with pytest.raises(StoreUnusable, match=re.escape(why)):
        async with at.sole("worker-0"):
            pytest.fail("there is no server")
    problems: list[str] = []
    assert recent([at], 5, problems.append) == []
    assert why in problems[0]


def test_fault_19_a_user_who_may_not_make_tables_is_told_so(postgres):
    empty = postgres.empty()
    url = empty.url.get_secret_value().replace("postgres@", "guest@")
    with (
        a_user_who_may_do_nothing(postgres),
        pytest.raises(StoreUnusable, match="let it create tables in its schema and a schema in the database"),
    ):
        engine = InPostgres(SecretStr(url)).engine()
        try:
            migrate(engine)
        finally:
            engine.dispose()


async def test_fault_19_a_server_without_room_for_another_connection_says_so(postgres, there):
    with a_user_who_may_do_nothing(postgres):
        postgres.execute("ALTER ROLE guest CONNECTION LIMIT 0")
        url = there.url.get_secret_value().replace("postgres@", "guest@")
        with pytest.raises(StoreFailed, match="it takes no more connections; raise max_connections"):
            read_runs(InPostgres(SecretStr(url)).reader())


async def test_the_log_of_a_refusal_does_not_quote_what_was_to_be_written(there):
    async with stores(there, 1) as (store,):
        await accepted(store, "CANARY")
        altered(there, "DELETE FROM claims")
        with structlog.testing.capture_logs() as logged, pytest.raises(StoreFailed) as caught:
            await store.accept(asked("CANARY"), BRIEF, FREE)
        assert [each["event"] for each in logged] == ["store.refused"]
        assert "CANARY" not in str(logged)
        assert "SQLSTATE 23505" in str(logged)
        assert "CANARY" not in str(caught.value)


# Text


async def test_text_of_any_kind_is_kept_and_nul_which_postgres_has_not_is_shown_for_what_it_is(there):
    async with stores(there, 1) as (store,):
        text = "ünï – 日本語 👩‍🚀 \x01 '; DROP TABLE runs; -- % %s \\ \0."
        said = Invocation(PLACE, "ann", f"/panel settings profile {text}", "set", "command")
        await set_in_place(store, said, "profile", text)
        assert (await settings_of(store, PLACE)).profile == text.replace("\0", "\ufffd")
        assert await store.accept(replace(asked("one"), text=text), replace(BRIEF, topic=text), FREE) == Accepted()
        stored = await store.get("one")
        assert (stored.invocation.text, stored.brief.topic) == (text, text)


async def test_places_that_differ_in_their_case_alone_share_no_quota(there):
    async with stores(there, 1) as (store,):
        upper, lower = replace(PLACE, channel="C1/ann"), replace(PLACE, channel="c1/ann")
        assert await store.accept(asked("one", place=upper), BRIEF, Quotas(channel=1)) == Accepted()
        assert await store.accept(asked("two", place=lower), BRIEF, Quotas(channel=1)) == Accepted()


# Reading


async def test_a_server_that_nobody_has_served_from_has_no_runs_yet(postgres):
    empty = postgres.empty()
    assert listing(recent([empty], 5)) == "no runs yet\n"
    assert not empty.in_use()
    assert empty.steps_reader() is None


async def test_what_is_not_over_is_interrupted_where_no_process_has_its_lease(there):
    async with stores(there, 1) as (store,):
        await accepted(store, "run-1")
        await store.begin(RoundId("run-1", 1))
    assert [found.state for found in named([there], "run")] == ["interrupted"]
    async with there.sole("worker-0"):
        assert [found.state for found in named([there], "run")] == ["running"]
    assert [found.state for found in named([there], "run")] == ["interrupted"]
