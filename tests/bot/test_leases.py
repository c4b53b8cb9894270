"""Leases: one process has a name at a time, and knows when it may have lost it."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from bot.errors import StoreUnusable
from bot.leases import Lease, Leases
from bot.runs_at import InPostgres
from bot.spaces import WORKERS
from tests.cutting_proxy import proxied

ONE, TWO = Lease(7, "one"), Lease(7, "two")


@pytest.fixture
def url(postgres) -> SecretStr:
    return postgres.fresh().url


class Told:
    """What a process was told of its leases, in order."""

    def __init__(self) -> None:
        self.of: list[tuple[str, str]] = []

    def __call__(self, lease: Lease, change: str) -> None:
        self.of.append((lease.name, change))

    async def until(self, *changes: tuple[str, str]) -> None:
        async with asyncio.timeout(30):
            while self.of != list(changes):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def behind_a_proxy(postgres, url: SecretStr):
    name = conninfo_to_dict(url.get_secret_value())["dbname"]
    async with proxied(postgres.folder / ".s.PGSQL.5432") as proxy:
        yield proxy, SecretStr(f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}")


async def test_scale_a_lease_is_held_by_one_and_free_when_that_lets_go_or_ends(url):
    async with Leases(url) as mine:
        assert await mine.try_lock(ONE)
        assert await mine.try_lock(ONE), "held already"
        async with Leases(url) as other:
            assert not await other.try_lock(ONE)
            assert not other.holds(ONE)
            assert await other.try_lock(TWO)
            assert await other.try_lock(Lease(8, "one")), "another space"
            await mine.unlock(ONE)
            assert await other.try_lock(ONE)
            assert not await mine.try_lock(ONE)
        assert await mine.try_lock(TWO)


async def test_scale_leases_taken_by_several_tasks_at_once_are_taken_once(url):
    async with Leases(url) as mine, Leases(url) as other:
        assert all(await asyncio.gather(*(mine.try_lock(ONE) for _ in range(10))))
        await mine.unlock(ONE)
        assert await other.try_lock(ONE)


async def test_scale_a_lost_session_is_told_and_its_leases_are_taken_again_first(postgres, url):
    told = Told()
    async with behind_a_proxy(postgres, url) as (proxy, through), Leases(through, told) as mine:
        assert await mine.try_lock(ONE)
        assert await mine.try_lock(TWO)
        proxy.cut_all()
        await told.until(("one", "unsure"), ("two", "unsure"), ("one", "held"), ("two", "held"))
        assert mine.holds(ONE)
        async with Leases(url) as other:
            assert not await other.try_lock(ONE)


async def test_scale_a_lease_that_another_took_meanwhile_is_ours_no_more(postgres, url):
    told = Told()
    async with behind_a_proxy(postgres, url) as (proxy, through), Leases(through, told) as mine:
        assert await mine.try_lock(ONE)
        assert await mine.try_lock(TWO)
        proxy.down = True
        proxy.cut_all()
        await told.until(("one", "unsure"), ("two", "unsure"))
        assert not mine.holds(ONE)
        with pytest.raises(StoreUnusable, match="is lost; it is being made again"):
            await mine.try_lock(Lease(7, "three"))
        async with Leases(url) as other:
            async with asyncio.timeout(10):
                while not await other.try_lock(ONE):
                    await asyncio.sleep(0.05)
            proxy.down = False
            await told.until(("one", "unsure"), ("two", "unsure"), ("one", "taken"), ("two", "held"))
            assert not mine.holds(ONE)
            assert mine.holds(TWO)
        assert await mine.try_lock(ONE)


async def test_scale_a_session_that_is_half_open_gives_way_to_the_one_after_it(postgres, url):
    """The server still has our old session, and with it our lease: no other machine's, but our own."""
    told = Told()
    async with behind_a_proxy(postgres, url) as (proxy, through), Leases(through, told) as mine:
        assert await mine.try_lock(ONE)
        proxy.cut_near()
        await told.until(("one", "unsure"), ("one", "held"))
        assert proxy.made == 2


async def test_scale_what_was_let_go_while_the_session_was_lost_is_not_taken_again(postgres, url):
    told = Told()
    async with behind_a_proxy(postgres, url) as (proxy, through), Leases(through, told) as mine:
        assert await mine.try_lock(ONE)
        assert await mine.try_lock(TWO)
        proxy.cut_all()
        await told.until(("one", "unsure"), ("two", "unsure"))
        with pytest.raises(StoreUnusable):
            await mine.unlock(ONE)
        await told.until(("one", "unsure"), ("two", "unsure"), ("two", "held"))
        async with Leases(url) as other:
            assert await other.try_lock(ONE)


async def test_scale_a_second_process_of_the_same_name_is_refused_and_one_of_another_is_not(url):
    at = InPostgres(url)
    async with at.sole("worker-0"):
        assert at.in_use()
        async with at.sole("worker-1"):
            pass
        with pytest.raises(StoreUnusable, match="another process serves with this DATABASE_URL as worker-0"):
            async with at.sole("worker-0"):
                pytest.fail("two processes have one name")
    assert not at.in_use()


async def test_scale_a_process_whose_name_another_took_ends(postgres, url):
    async with behind_a_proxy(postgres, url) as (proxy, through):
        with pytest.raises(StoreUnusable, match="another process took the place of worker-0"):
            async with InPostgres(through).sole("worker-0"):
                proxy.down = True
                proxy.cut_all()
                async with Leases(url) as other:
                    async with asyncio.timeout(10):
                        while not await other.try_lock(Lease(WORKERS, "worker-0")):
                            await asyncio.sleep(0.05)
                    proxy.down = False
                    await asyncio.sleep(30)
                    pytest.fail("it was not ended")
    assert asyncio.current_task().cancelling() == 0
