"""A watched front end is the one inside it, and tells what is sent and taken in; a loop tells how much it lags."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from adapters.memory import Fault, MemoryFrontEnd
from adapters.port import (
    AskForm,
    Board,
    Capabilities,
    Doc,
    Gone,
    Invocation,
    MessageRef,
    NotDispatched,
    NotSafe,
    PermissionMissing,
    Place,
    RateLimited,
    Receipt,
    Rejected,
    SendError,
    ThreadRef,
    TooLarge,
    Unknown,
)
from bot.loop_lag import watching_the_loop
from bot.watched import OUTCOMES, SENDS, WatchedFrontEnd, outcome_of
from bot.watching import Happening, LoopLagged, SendEnded, TakenIn
from tests.adapters.contract import AdapterContract
from tests.adapters.test_memory import MemoryRig
from tests.house import until

ERRORS = (
    RateLimited(1.0),
    NotDispatched("no connection"),
    Unknown("no answer"),
    Rejected("too bold"),
    PermissionMissing("a right", "give it"),
    Gone("the thread"),
    TooLarge(10),
)
ASKED = Invocation(Place("memory", "tests", "general"), "ann", "/panel Open?", "run", "command")
THREAD = ThreadRef(ASKED.place, "thread-1")


@pytest.fixture
async def rig() -> AsyncIterator[MemoryRig]:
    memory = MemoryFrontEnd(capabilities=Capabilities(text_limit=200))
    rig = MemoryRig(memory)
    rig.front = WatchedFrontEnd(memory, lambda _: None)
    serving = asyncio.create_task(rig.front.serve(_taken))
    yield rig
    serving.cancel()


class TestWatchedContract(AdapterContract):
    """It keeps every rule that the one inside keeps."""


async def _taken(_: object) -> None:
    return None


def watched(memory: MemoryFrontEnd) -> tuple[WatchedFrontEnd, list[Happening]]:
    told: list[Happening] = []
    return WatchedFrontEnd(memory, told.append), told


async def send_all(front: WatchedFrontEnd) -> None:
    """Send one of everything."""
    await front.open_thread(ASKED, Doc("Open?"), key="run/root")
    await front.post(THREAD, Doc("An answer"), key="run/a")
    await front.board(THREAD, Board("Open?", ()), revision=1)
    await front.notify(ASKED, Doc("Noted"))
    await front.ask(ASKED, AskForm("", (), ""))
    await front.remove(MessageRef(THREAD, ("run/a/1",)))


async def test_every_send_is_told_once_under_its_name():
    front, told = watched(MemoryFrontEnd(capabilities=Capabilities(forms=True)))
    await send_all(front)
    assert [(one.surface, one.what, one.outcome) for one in told] == [("memory", what, "sent") for what in SENDS]
    assert all(one.seconds >= 0 for one in told)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_send_that_fails_is_told_with_what_it_met(error):
    memory = MemoryFrontEnd(capabilities=Capabilities(forms=True))
    front, told = watched(memory)
    operations = ("open_thread", "post", "board", "notify", "ask", "remove")
    await front.open_thread(ASKED, Doc("Open?"), key="run/root")
    told.clear()
    memory.script(*(Fault(error, operation=operation) for operation in operations))
    await send_all(front)
    assert [(one.what, one.outcome) for one in told] == [(what, OUTCOMES[type(error)]) for what in SENDS]


def test_every_error_of_a_send_has_a_word():
    assert set(OUTCOMES) == set(SendError.__args__) == {type(error) for error in ERRORS}
    assert outcome_of(Receipt("partial", parts=1)) == "partial"
    assert outcome_of(Receipt("partial", parts=1, error=RateLimited(1.0))) == "rate_limited"
    assert outcome_of(None) == outcome_of(THREAD) == outcome_of(Receipt("sent")) == "sent"


async def test_a_front_end_that_breaks_is_told_and_breaks_all_the_same():
    class Broken(MemoryFrontEnd):
        async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
            raise KeyError("a bug")

    front, told = watched(Broken())
    with pytest.raises(KeyError):
        await front.post(THREAD, Doc("An answer"), key="run/a")
    assert [one.outcome for one in told] == ["broke"]


async def test_a_send_that_is_cancelled_is_told_and_stays_cancelled():
    class Slow(MemoryFrontEnd):
        async def post(self, thread: ThreadRef, doc: Doc, *, key: str) -> Receipt:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    front, told = watched(Slow())
    sending = asyncio.create_task(front.post(THREAD, Doc("An answer"), key="run/a"))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [one.outcome for one in told] == ["cancelled"]


async def test_what_is_taken_in_is_told_once_it_is_safe_or_was_refused():
    memory = MemoryFrontEnd()
    front, told = watched(memory)
    refuse = False

    async def sink(_: object) -> None:
        if refuse:
            raise NotSafe("the disk is full")

    serving = asyncio.create_task(front.serve(sink))
    await memory.say("/panel Open?")
    refuse = True
    with pytest.raises(NotSafe):
        await memory.say("/panel Open?")
    assert [(type(one), one.surface, one.safe) for one in told] == [
        (TakenIn, "memory", True),
        (TakenIn, "memory", False),
    ]
    serving.cancel()


async def test_a_loop_that_is_held_up_is_told_for_as_long_as_it_was():
    told: list[LoopLagged] = []
    async with watching_the_loop(told.append, every=0.01):
        await until(lambda: told)
        time.sleep(0.2)  # noqa: ASYNC251 - that is what is looked for
        await until(lambda: max(one.seconds for one in told) > 0.15)
        assert all(one.seconds >= 0 for one in told)
    number = len(told)
    await asyncio.sleep(0.05)
    assert len(told) == number, "it ends with its block"


def test_a_send_is_told_without_a_word_of_what_was_sent():
    assert set(SendEnded.__slots__) == {"surface", "what", "outcome", "seconds"}
