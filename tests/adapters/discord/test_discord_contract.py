"""The contract, passed by the real adapter with discord.py on a fake Discord that refuses what Discord refuses."""

import asyncio

import pytest

from adapters.discord.frontend import DiscordFrontEnd
from adapters.port import Inbound, Invocation, ThreadRef
from tests.adapters.contract import AdapterContract
from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.discord.fake_reading import plain
from tests.adapters.discord.fake_world import ANN, GENERAL
from tests.adapters.discord.served import connected, serving


class DiscordRig:
    """Discord by its own library, and what stands there."""

    def __init__(self, fake: FakeDiscord, front: DiscordFrontEnd) -> None:
        self._fake, self.front = fake, front
        self._taken: asyncio.Queue[Inbound] = asyncio.Queue()

    async def sink(self, inbound: Inbound) -> None:
        self._taken.put_nowait(inbound)

    async def ask(self, text: str) -> Invocation:
        word, _, topic = text.partition(" ")
        await self._fake.slash(ANN, GENERAL, word.removeprefix("/"), **({"topic": topic} if topic else {}))
        async with asyncio.timeout(3):
            invocation = await self._taken.get()
        assert isinstance(invocation, Invocation)
        return invocation

    async def shown(self, thread: ThreadRef) -> list[str]:
        return self._fake.shown(thread.thread)

    async def board(self, thread: ThreadRef) -> str:
        root = self._fake.held(GENERAL.id, thread.root)
        return plain(root) if root else ""

    async def told(self, invocation: Invocation) -> str:
        assert invocation.author == ANN.id
        return "\n".join(self._fake.told_alone(ANN))

    async def files(self, thread: ThreadRef) -> dict[str, str]:
        return self._fake.files_in(thread.thread)

    async def pings(self) -> list[str]:
        return [who for who in self._fake.pings() if who != ANN.id]


class TestDiscord(AdapterContract):
    @pytest.fixture
    async def rig(self):
        async with FakeDiscord() as fake, connected(fake) as front:
            rig = DiscordRig(fake, front)
            task = asyncio.create_task(front.serve(rig.sink))
            await serving(fake, front)
            yield rig
            await front.close()
            await task
        assert fake.violations == []
