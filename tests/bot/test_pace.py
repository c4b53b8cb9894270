"""The way to a place: never faster than its pace, the most urgent first, and nobody who leaves stands in the way."""

import asyncio
import random

import pytest

from adapters.port import Pace
from bot.pace import ANSWER, BOARD, URGENT, Lane

WINDOW = 0.12
LATE = 0.04
"""Seconds that a busy machine may take to note the time."""


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
    assert free.times[-1] < WINDOW


@pytest.mark.parametrize(("most", "reserved"), [(1, 0), (3, 0), (5, 2), (4, 3), (2, 5)])
@pytest.mark.parametrize("seed", range(2))
async def test_no_window_has_more_sends_than_the_pace_allows(most, reserved, seed):
    draw = random.Random(f"{most} {reserved} {seed}")
    sends = Sends(Lane(Pace(most, reserved, WINDOW)))

    async def come(name: str) -> None:
        await asyncio.sleep(draw.choice([0.0, 0.0, draw.random() * WINDOW]))
        await sends.send(name, draw.choice([URGENT, URGENT, ANSWER, BOARD] if reserved < most else [URGENT]))

    count = min(4 * most, 6)
    await all_of(come(str(n)) for n in range(count))

    times = sends.times
    assert len(times) == count
    assert all(late - early > WINDOW - LATE for early, late in zip(times, times[most:], strict=False))


async def test_a_pace_is_used_up_and_not_only_kept():
    sends = Sends(Lane(Pace(4, 0, WINDOW)))
    await all_of(sends.send(str(n), ANSWER) for n in range(12))
    assert len([at for at in sends.times if at < WINDOW]) == 4
    assert sends.times[-1] < 2 * WINDOW + 5 * LATE


async def test_what_is_reserved_is_kept_for_what_is_urgent():
    sends = Sends(Lane(Pace(6, 2, WINDOW)))
    sends.lane.block(0.01)
    waiting = [asyncio.create_task(sends.send("board", BOARD)) for _ in range(3)]
    waiting += [asyncio.create_task(sends.send("answer", ANSWER)) for _ in range(6)]
    await asyncio.sleep(WINDOW / 4)
    assert sends.names == ["answer"] * 4
    await all_of(sends.send("urgent", URGENT) for _ in range(2))
    assert sends.names[4:] == ["urgent"] * 2
    assert sends.times[-1] < WINDOW
    await all_of(waiting)
    assert sends.names[6:] == ["answer"] * 2 + ["board"] * 3


async def test_a_board_leaves_twice_what_is_reserved():
    sends = Sends(Lane(Pace(6, 2, WINDOW)))
    boards = [asyncio.create_task(sends.send("board", BOARD)) for _ in range(4)]
    await asyncio.sleep(WINDOW / 4)
    assert sends.names == ["board"] * 2
    await sends.send("answer", ANSWER)
    assert sends.times[-1] < WINDOW
    await all_of(boards)


@pytest.mark.parametrize("seed", range(5))
async def test_of_those_who_wait_the_most_urgent_goes_first_and_among_equals_the_first_to_come(seed):
    draw = random.Random(seed)
    sends = Sends(Lane(Pace(100, 0, WINDOW)))
    sends.lane.block(0.05)
    came = [(draw.choice([URGENT, ANSWER, BOARD]), number) for number in range(12)]
    await all_of(sends.send(f"{urgency} {number}", urgency) for urgency, number in came)
    assert sends.names == [f"{urgency} {number}" for urgency, number in sorted(came)]


async def test_one_who_becomes_urgent_overtakes(free):
    free.lane.block(0.1)
    urgency = {"board": BOARD}

    async def board() -> None:
        await free.lane.turn(lambda: urgency["board"])
        free.went.append((0.0, "board"))

    waiting = [asyncio.create_task(board()), asyncio.create_task(free.send("answer", ANSWER))]
    await asyncio.sleep(0)
    urgency["board"] = URGENT
    free.lane.stir()
    await all_of(waiting)
    assert free.names == ["board", "answer"]


async def test_one_who_becomes_urgent_goes_at_once_where_only_the_reserve_is_left():
    sends = Sends(Lane(Pace(2, 1, 60.0)))
    await sends.send("answer", ANSWER)
    urgency = {"it": ANSWER}
    waiting = asyncio.create_task(sends.lane.turn(lambda: urgency["it"]))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    urgency["it"] = URGENT
    sends.lane.stir()
    await all_of([waiting])


async def test_a_block_holds_everybody_and_a_shorter_one_does_not_end_it(free):
    free.lane.block(0.2)
    free.lane.block(0.05)
    await all_of(free.send(str(n), URGENT) for n in range(3))
    assert free.times[0] > 0.2 - LATE


async def test_a_block_also_holds_those_who_wait_already():
    sends = Sends(Lane(Pace(1, 0, 0.1)))
    await sends.send("first", URGENT)
    waiting = asyncio.create_task(sends.send("second", URGENT))
    await asyncio.sleep(0.01)
    sends.lane.block(0.3)
    await all_of([waiting])
    assert sends.times[1] > 0.3 - LATE


@pytest.mark.parametrize("how_many", [1, 3])
async def test_one_who_leaves_the_line_stands_in_nobodys_way(how_many):
    sends = Sends(Lane(Pace(1, 0, 0.1)))
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
    free.lane.block(0.02)
    leaving = asyncio.create_task(free.send("leaves", URGENT))
    staying = asyncio.create_task(free.send("stays", BOARD))
    await asyncio.sleep(0)
    free.lane.block(0.0)
    free.lane.stir()
    leaving.cancel()
    await all_of([staying])
    assert free.names == ["stays"]
