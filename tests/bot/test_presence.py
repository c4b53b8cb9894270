"""Presence: what a process learns by its heartbeat of runs that are its own no longer."""

from types import SimpleNamespace

from bot.ownership import Beat
from bot.presence import Presence
from bot.receipts import Budgets, Ledger, Tariff
from bot.rounds import RoundId

HERE, BACK, ELSEWHERE = (RoundId(name, 1) for name in ("here", "back", "elsewhere"))


class Ownership:
    """Tells what `beat` is set to."""

    def __init__(self, beat: Beat) -> None:
        self.me, self.now = SimpleNamespace(worker="one"), beat

    async def beat(self, open_: float, today: float | None) -> Beat:
        return self.now


class Conductor:
    """Carries out `live`; `dropped` are those that it was told to say no more of."""

    def __init__(self, *live: RoundId) -> None:
        self.live, self.dropped = dict.fromkeys(live), list[RoundId]()

    def stop(self, round_id: RoundId) -> None:
        raise AssertionError("nobody asked for that")

    def drop(self, round_id: RoundId) -> None:
        self.dropped.append(round_id)


class Line:
    """Has begun `started`."""

    def __init__(self, *started: RoundId) -> None:
        self.started = set(started)

    def told(self, waiting: int, accepted: int) -> None:
        pass

    def over(self, round_id: RoundId) -> None:
        self.started.discard(round_id)


class NoLeases:
    def holds(self, lease: object) -> bool:
        return False


def heard(owned: set[RoundId], mine: set[RoundId]) -> Beat:
    return Beat((), frozenset(owned), frozenset(mine), 0, 0, (), 0.0, 0.0)


async def test_what_went_on_elsewhere_is_told_twice_and_then_takes_no_room_and_says_no_more():
    ownership, conductor, line = Ownership(heard({HERE}, {HERE, BACK})), Conductor(HERE, ELSEWHERE), Line(HERE, BACK)
    line.started.add(RoundId("begun before", 1))
    presence = Presence(ownership, NoLeases(), conductor, line, None, Ledger(Tariff(), Budgets()))

    await presence.beat()
    assert (conductor.dropped, len(line.started)) == ([], 3), "it may be over, or begun, at this very moment"
    await presence.beat()
    assert conductor.dropped == [ELSEWHERE]
    assert line.started == {HERE, BACK}, "what it had under way when it ended is its own until another has it"

    ownership.now = heard({HERE}, {HERE})
    await presence.beat()
    ownership.now = heard({HERE, BACK}, {HERE, BACK})
    await presence.beat()
    assert line.started == {HERE, BACK}
