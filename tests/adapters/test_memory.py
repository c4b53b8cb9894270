import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.memory import Fault, MemoryFrontEnd, board_text
from adapters.port import (
    Board,
    BoardRow,
    Capabilities,
    Doc,
    FrontEnd,
    Gone,
    Invocation,
    Markdown,
    RateLimited,
    Rejected,
    ThreadRef,
    Unknown,
)
from tests.adapters.contract import AdapterContract, said


class MemoryRig:
    def __init__(self, front: MemoryFrontEnd) -> None:
        self.memory = front
        self.front: FrontEnd = front

    async def ask(self, text: str) -> Invocation:
        return await self.memory.say(text)

    async def shown(self, thread: ThreadRef) -> list[str]:
        return self.memory.shown(thread)

    async def board(self, thread: ThreadRef) -> str:
        return board_text(self.memory.shown_board(thread))

    async def told(self, invocation: Invocation) -> str:
        return "\n".join(self.memory.told(invocation.author))

    async def files(self, thread: ThreadRef) -> dict[str, str]:
        return {file.name: file.text for file in self.memory.files(thread)}

    async def pings(self) -> list[str]:
        return []


async def ignore(invocation: Invocation) -> None:
    pass


@pytest.fixture(params=[None, 2000], ids=["no limit", "2000 characters"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[MemoryRig]:
    front = MemoryFrontEnd(capabilities=Capabilities(text_limit=request.param))
    async with asyncio.TaskGroup() as group:
        group.create_task(front.serve(ignore))
        yield MemoryRig(front)
        await front.close()


class TestMemory(AdapterContract):
    pass


async def opened(rig: MemoryRig) -> ThreadRef:
    thread = await rig.front.open_thread(await rig.ask("/panel topic"), said("Root."), key="root")
    assert isinstance(thread, ThreadRef)
    return thread


async def test_what_is_asked_reaches_the_sink_and_is_recorded() -> None:
    front = MemoryFrontEnd()
    heard: list[Invocation] = []

    async def hear(invocation: Invocation) -> None:
        heard.append(invocation)

    async with asyncio.TaskGroup() as group:
        group.create_task(front.serve(hear))
        asked = await front.say("/panel x", author="bob", key="again")
        await front.say("/panel x", author="bob", key="again")
        await front.close()
    assert heard == front.asked == [asked, asked]
    assert asked.author == "bob"


@pytest.mark.parametrize(("parts", "shown"), [(0, 0), (None, 1)], ids=["not shown", "shown"])
async def test_an_unknown_outcome_is_settled_by_sending_the_key_again(
    rig: MemoryRig, parts: int | None, shown: int
) -> None:
    thread = await opened(rig)
    rig.memory.script(Fault(Unknown("no answer in 10 s"), parts=parts))
    receipt = await rig.front.post(thread, said("An answer."), key="1")
    assert (receipt.outcome, receipt.error) == ("unknown", Unknown("no answer in 10 s"))
    assert len(rig.memory.shown(thread)) == 1 + shown
    assert (await rig.front.post(thread, said("An answer."), key="1")).outcome == "sent"
    assert len(rig.memory.shown(thread)) == 2


@pytest.mark.parametrize("error", [RateLimited(3.0), Gone("deleted"), Rejected("bad blocks")])
async def test_a_scripted_fault_is_used_once_and_shows_nothing(
    rig: MemoryRig, error: RateLimited | Gone | Rejected
) -> None:
    thread = await opened(rig)
    rig.memory.script(Fault(error))
    receipt = await rig.front.post(thread, said("An answer."), key="1")
    assert (receipt.outcome, receipt.ref, receipt.error) == ("failed", None, error)
    assert rig.memory.keys(thread) == ["root"]
    assert (await rig.front.post(thread, said("An answer."), key="1")).outcome == "sent"
    assert rig.memory.keys(thread) == ["root", "1"]


async def test_a_partial_post_is_completed_by_the_same_key() -> None:
    front = MemoryFrontEnd(capabilities=Capabilities(text_limit=200))
    async with asyncio.TaskGroup() as group:
        group.create_task(front.serve(ignore))
        rig = MemoryRig(front)
        thread = await opened(rig)
        doc = Doc("Long", (Markdown("Many words. " * 50),))
        front.script(Fault(RateLimited(1.0), parts=2))
        partial = await front.post(thread, doc, key="1")
        assert (partial.outcome, partial.parts) == ("partial", 2)
        assert front.keys(thread) == ["root"]
        whole = await front.post(thread, doc, key="1")
        assert whole.outcome == "sent"
        assert whole.parts == len(front.shown(thread)) - 1 > 2
        await front.close()


async def test_faults_hit_the_operation_they_are_for(rig: MemoryRig) -> None:
    rig.memory.script(Fault(RateLimited(2.0), operation="open_thread"), Fault(Gone("x"), operation="board"))
    invocation = await rig.ask("/panel x")
    assert await rig.front.open_thread(invocation, said("Root."), key="root") == RateLimited(2.0)
    assert rig.memory.threads() == ()
    thread = await opened(rig)
    board = Board("Panel", (BoardRow("Critic", "running"),))
    assert (await rig.front.board(thread, board, revision=1)).error == Gone("x")
    assert rig.memory.shown_board(thread) is None
    assert [call.operation for call in rig.memory.calls] == ["open_thread", "open_thread", "board"]


async def test_a_lost_thread_is_gone(rig: MemoryRig) -> None:
    thread = await opened(rig)
    rig.memory.lose(thread)
    receipt = await rig.front.post(thread, said("Late."), key="1")
    assert receipt.error == Gone("the thread was deleted")
