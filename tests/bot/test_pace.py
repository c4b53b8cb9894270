"""The way to a place: never faster than its pace, the most urgent first, and nobody who leaves stands in the way."""

import asyncio
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.port import Pace
from bot.pace import ANSWER, BOARD, URGENT, Bucket, Lane

EACH = 0.05
"""Seconds in which the lanes here get another token."""

PER_MINUTE = 60 / EACH
LATE = 0.04
"""Seconds that a busy machine may take to note the time."""

A_BIT = 1e-6
"""Seconds that floats lose."""


# The bucket


@st.composite
def full_buckets(draw: st.DrawFn) -> Bucket:
    burst = draw(st.integers(1, 8))
    return Bucket(burst, draw(st.floats(0.01, 10.0)), draw(st.integers(0, burst - 1)))


SENDERS = st.lists(st.tuples(st.floats(0.0, 20.0), st.booleans(), st.none() | st.floats(0.0, 30.0)), max_size=40)
"""Each comes so long after the one before had its turn; whether it is urgent; how long the place then says to wait."""


def let_through(bucket: Bucket, senders) -> list[tuple[float, Bucket]]:
    """When each goes that comes to a bucket, and the bucket after it."""
    went, now = [], 100.0
    for gap, urgent, refused in senders:
        now = max(now + gap, bucket.opens(urgent=urgent))
        bucket = bucket.taken(now)
        if refused is not None:
            bucket = bucket.held(now + refused)
        went.append((now, bucket))
    return went


@given(full_buckets(), SENDERS)
def test_in_no_time_are_there_more_sends_than_a_burst_and_what_the_rate_gives(bucket, senders):
    times = [at for at, _ in let_through(bucket, senders)]
    for first, last in itertools.combinations(range(len(times)), 2):
        assert last - first + 1 <= bucket.burst + (times[last] - times[first] + A_BIT) / bucket.each


@given(full_buckets(), SENDERS)
def test_whoever_is_not_urgent_leaves_what_is_reserved(bucket, senders):
    for (at, after), (_, urgent, refused) in zip(let_through(bucket, senders), senders, strict=True):
        if not urgent and refused is None:
            for _ in range(bucket.reserved):
                assert after.opens(urgent=True) <= at + A_BIT
                after = after.taken(at)


@given(full_buckets(), SENDERS.filter(bool), st.booleans())
def test_nobody_who_is_first_waits_for_more_than_one_token_and_what_is_reserved(bucket, senders, urgent):
    at, after = let_through(bucket, [(gap, how, None) for gap, how, _ in senders])[-1]
    tokens = 1 if urgent else 1 + bucket.reserved
    assert after.opens(urgent=urgent) <= at + tokens * bucket.each + A_BIT


@given(full_buckets(), st.integers(1, 30), st.booleans())
def test_whatever_is_reserved_the_whole_rate_is_used(bucket, more, urgent):
    at_once = bucket.burst - (0 if urgent else bucket.reserved)
    times = [at for at, _ in let_through(bucket, [(0.0, urgent, None)] * (at_once + more))]
    assert times[at_once - 1] == pytest.approx(times[0])
    assert times[-1] == pytest.approx(times[0] + more * bucket.each)


@given(full_buckets(), SENDERS, st.floats(0.0, 30.0))
def test_after_a_refusal_there_is_nothing_for_so_long_and_then_no_burst(bucket, senders, wait):
    now, bucket = let_through(bucket, [*senders, (0.0, True, None)])[-1]
    held = bucket.held(now + wait)
    assert held.opens(urgent=True) >= now + wait - A_BIT
    assert held.held(now) == held, "an earlier end does not let anybody go sooner"
    again = held.opens(urgent=True)
    assert held.taken(again).opens(urgent=True) >= again + held.each - A_BIT


# The lane


class Sends:
    """Sends through one lane, with the time at which each had its turn."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.went: list[tuple[float, str]] = []
        self.began = asyncio.get_running_loop().time()

    async def send(self, name: str, urgency: int) -> None:
        await self.lane.turn(lambda: urgency)
        self.went.append((asyncio.get_running_loop().time() - self.began, name))

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.went]

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.went]


async def all_of(sends) -> None:
    async with asyncio.timeout(10):
        await asyncio.gather(*sends)


@pytest.fixture
async def free():
    return Sends(Lane(None))


async def test_a_place_without_a_pace_is_sent_to_at_once(free):
    await all_of(free.send(str(n), BOARD) for n in range(50))
    assert free.times[-1] < 0.1
    assert not free.lane.paced


@pytest.mark.parametrize(("burst", "reserved"), [(1, 0), (3, 0), (5, 2), (4, 3)])
async def test_a_lane_keeps_the_pace_whoever_comes_when(burst, reserved):
    draw = random.Random(f"{burst} {reserved}")
    sends = Sends(Lane(Pace(burst, PER_MINUTE, reserved)))

    async def come(name: str) -> None:
        await asyncio.sleep(draw.choice([0.0, 0.0, draw.random() * 2 * EACH]))
        await sends.send(name, draw.choice([URGENT, ANSWER, BOARD]))

    count = burst + 5
    await all_of(come(str(n)) for n in range(count))
    times = sends.times
    assert len(times) == count
    for first, last in itertools.combinations(range(count), 2):
        assert last - first + 1 <= burst + (times[last] - times[first] + LATE) / EACH


async def test_a_pace_is_used_up_and_not_only_kept():
    sends = Sends(Lane(Pace(4, PER_MINUTE)))
    await all_of(sends.send(str(n), ANSWER) for n in range(12))
    assert len([at for at in sends.times if at < EACH]) == 4
    assert sends.times[-1] < 8 * EACH + 5 * LATE


@pytest.mark.parametrize("urgency", [ANSWER, BOARD])
async def test_what_is_reserved_is_there_at_once_for_what_is_urgent(urgency):
    sends = Sends(Lane(Pace(6, 60, 2)))
    waiting = [asyncio.create_task(sends.send("other", urgency)) for _ in range(6)]
    await asyncio.sleep(0.02)
    assert sends.names == ["other"] * 4
    await all_of(sends.send("urgent", URGENT) for _ in range(2))
    assert sends.names[4:] == ["urgent"] * 2
    assert sends.times[-1] < 0.5
    for task in waiting:
        task.cancel()


async def test_a_lane_is_in_use_until_its_bucket_is_full():
    sends = Sends(Lane(Pace(2, PER_MINUTE)))
    assert not sends.lane.in_use
    await sends.send("one", ANSWER)
    assert sends.lane.in_use
    await asyncio.sleep(EACH + 0.001)
    assert not sends.lane.in_use


async def test_a_long_line_does_not_wake_all_who_wait_for_each_that_goes():
    lane, how_many, asked = Lane(Pace(1, per_minute=60 / 0.002)), 60, 0

    def urgency() -> int:
        nonlocal asked
        asked += 1
        return BOARD

    await all_of(lane.turn(urgency) for _ in range(how_many))
    assert asked < 5 * how_many**2, "each may look over the line a few times, not once for each that goes"


@pytest.mark.parametrize("seed", range(5))
async def test_of_those_who_wait_the_most_urgent_goes_first_and_among_equals_the_first_to_come(seed):
    draw = random.Random(seed)
    sends = Sends(Lane(Pace(100, 60 / 0.001)))
    await sends.lane.block(0.05)
    came = [(draw.choice([URGENT, ANSWER, BOARD]), number) for number in range(12)]
    await all_of(sends.send(f"{urgency} {number}", urgency) for urgency, number in came)
    assert sends.names == [f"{urgency} {number}" for urgency, number in sorted(came)]


@pytest.mark.parametrize("said", [True, False])
async def test_one_who_becomes_urgent_overtakes_whether_or_not_anybody_says_so(free, said):
    await free.lane.block(0.1)
    urgency = {"board": BOARD}

    async def board() -> None:
        await free.lane.turn(lambda: urgency["board"])
        free.went.append((0.0, "board"))

    waiting = [asyncio.create_task(free.send("answer", ANSWER)), asyncio.create_task(board())]
    await asyncio.sleep(0)
    urgency["board"] = URGENT
    if said:
        free.lane.stir()
    await all_of(waiting)
    assert free.names == ["board", "answer"]


async def test_one_who_becomes_urgent_goes_at_once_where_only_the_reserve_is_left():
    sends = Sends(Lane(Pace(2, 1, 1)))
    await sends.send("answer", ANSWER)
    urgency = {"it": ANSWER}
    waiting = asyncio.create_task(sends.lane.turn(lambda: urgency["it"]))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    urgency["it"] = URGENT
    sends.lane.stir()
    await all_of([waiting])


async def test_a_block_holds_everybody_and_a_shorter_one_does_not_end_it(free):
    await free.lane.block(0.2)
    await free.lane.block(0.05)
    await all_of(free.send(str(n), URGENT) for n in range(3))
    assert free.times[0] > 0.2 - LATE


async def test_a_block_also_holds_those_who_wait_already():
    sends = Sends(Lane(Pace(1, 60 / 0.1)))
    await sends.send("first", URGENT)
    waiting = asyncio.create_task(sends.send("second", URGENT))
    await asyncio.sleep(0.01)
    await sends.lane.block(0.3)
    await all_of([waiting])
    assert sends.times[1] > 0.3 - LATE


@pytest.mark.parametrize("how_many", [1, 3])
async def test_one_who_leaves_the_line_stands_in_nobodys_way(how_many):
    sends = Sends(Lane(Pace(1, 60 / 0.1)))
    await sends.send("first", URGENT)
    leaving = [asyncio.create_task(sends.send("leaves", URGENT)) for _ in range(how_many)]
    staying = [asyncio.create_task(sends.send("stays", ANSWER)) for _ in range(2)]
    await asyncio.sleep(0.01)
    for task in leaving:
        task.cancel()
    await all_of(staying)
    assert sends.names == ["first", "stays", "stays"]
    assert sends.times[-1] < 0.2 + 5 * LATE


async def test_one_who_leaves_just_as_it_may_go_passes_its_turn_on(free):
    await free.lane.block(0.02)
    leaving = asyncio.create_task(free.send("leaves", URGENT))
    staying = asyncio.create_task(free.send("stays", BOARD))
    await asyncio.sleep(0)
    await free.lane.block(0.0)
    free.lane.stir()
    leaving.cancel()
    await all_of([staying])
    assert free.names == ["stays"]
