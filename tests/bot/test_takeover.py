"""Takeover: who looks after dead workers, and that somebody always does."""

from math import inf

import pytest

from bot.leases import Leases
from bot.ownership import Other
from bot.spaces import worker_lease
from bot.takeover import FROZEN_SECONDS, SILENT_SECONDS, Takeover


class NothingLeft:
    """Workers that left nothing; `asked` has those that were looked at."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def left_by(self, worker: str) -> list:
        self.asked.append(worker)
        return []

    async def disown(self, left) -> None:
        assert list(left) == []


class NoRuns:
    async def standing(self, rounds):
        return {}

    async def take_over(self, rounds) -> None:
        assert list(rounds) == []

    async def plans_of(self, rounds):
        return {}


def at_once(work, name) -> None:
    raise AssertionError(f"nothing is left for {name}")


async def nobody(round_id, *, strange: bool = False) -> None:
    raise AssertionError("nothing is left to abandon")


@pytest.fixture
def url(postgres):
    return postgres.fresh().url


async def test_scale_one_that_took_over_once_and_is_frozen_then_keeps_nobody_from_taking_over(url):
    async with Leases(url) as first, Leases(url) as second:
        one, other = NothingLeft(), NothingLeft()
        await Takeover(one, first, NoRuns(), nobody, at_once).look([Other("gone", inf)])
        assert one.asked == ["gone"]
        assert await first.try_lock(worker_lease("one"))
        await Takeover(other, second, NoRuns(), nobody, at_once).look([Other("one", FROZEN_SECONDS)])
        assert other.asked == ["one"]
        assert first.holds(worker_lease("one"))


async def test_scale_one_that_holds_its_lock_is_left_alone_until_it_is_silent_for_long_and_one_that_speaks_always(url):
    async with Leases(url) as theirs, Leases(url) as mine:
        assert await theirs.try_lock(worker_lease("slow"))
        seen = NothingLeft()
        takeover = Takeover(seen, mine, NoRuns(), nobody, at_once)
        await takeover.look([Other("slow", FROZEN_SECONDS - 1), Other("lives", SILENT_SECONDS / 2)])
        assert seen.asked == []
        assert not mine.holds(worker_lease("lives"))
        await takeover.look([Other("dead", SILENT_SECONDS)])
        assert seen.asked == ["dead"]
        assert not mine.holds(worker_lease("dead")), "it may come back under its name"
