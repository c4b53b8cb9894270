"""The contract, passed by the real adapter with Slack's own SDK on a fake Slack that refuses what Slack refuses."""

import asyncio

import pytest

from adapters.port import Inbound, Invocation, ThreadRef
from adapters.slack.connect import Slack
from tests.adapters.contract import AdapterContract
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_reading import live_mentions, plain
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import ANN
from tests.adapters.slack.served import connected


class SlackRig:
    """Slack by its own SDK over a socket, and what stands there."""

    def __init__(self, fake: FakeSlack, connection: Slack) -> None:
        self._fake, self.front = fake, connection.front
        self._taken: list[Inbound] = []

    async def sink(self, inbound: Inbound) -> None:
        self._taken.append(inbound)

    async def ask(self, text: str) -> Invocation:
        word, _, rest = text.partition(" ")
        answer = await self._fake.send_envelope(
            payloads.slash_command(self._fake.gesture(), rest, word), type="slash_commands"
        )
        assert answer == {}
        invocation = self._taken[-1]
        assert isinstance(invocation, Invocation)
        return invocation

    async def shown(self, thread: ThreadRef) -> list[str]:
        return [plain(message) for message in self._fake.messages(thread.place.channel, thread.thread)]

    async def board(self, thread: ThreadRef) -> str:
        return (await self.shown(thread))[0]

    async def told(self, invocation: Invocation) -> str:
        assert all(one.user == invocation.author for one in self._fake.ephemerals)
        return "\n".join(plain(one.message) for one in self._fake.ephemerals)

    async def files(self, thread: ThreadRef) -> dict[str, str]:
        shared = [
            file["id"]
            for message in self._fake.messages(thread.place.channel, thread.thread)
            for file in message.get("files", ())
        ]
        stored = [self._fake.files[file_id] for file_id in shared]
        return {file.info["name"]: (file.content or b"").decode() for file in stored}

    async def pings(self) -> list[str]:
        messages = [message for channel in ("C0GENERAL",) for message in self._fake.messages(channel)]
        messages += [one.message for one in self._fake.ephemerals]
        return [found for message in messages for found in live_mentions(message) if found != f"<@{ANN.id}>"]


class TestSlack(AdapterContract):
    @pytest.fixture
    async def rig(self):
        async with FakeSlack() as fake, connected(fake) as (connection, _):
            rig = SlackRig(fake, connection)
            serving = asyncio.create_task(connection.front.serve(rig.sink))
            await fake.connected()
            yield rig
            await connection.front.close()
            await serving
