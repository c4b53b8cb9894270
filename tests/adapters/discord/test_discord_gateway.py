"""The gateway, watched: what Discord refuses for good ends the front end with one sentence, and so does silence."""

import asyncio

import pytest

from adapters.discord.client import Gateway
from adapters.discord.connect import discord_front
from adapters.port import FrontEndFailed, Inbound, Invocation
from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.discord.fake_faults import Cut
from tests.adapters.discord.fake_world import ANN, GENERAL, Thread
from tests.adapters.discord.served import addresses_kept, config_of, connected, serving


class Taken:
    """What was handed to the bot."""

    def __init__(self) -> None:
        self.inbound: list[Inbound] = []

    async def __call__(self, inbound: Inbound) -> None:
        self.inbound.append(inbound)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.inbound) < count:
                await asyncio.sleep(0.01)


class FakeShard:
    def __init__(self, closed: bool = False) -> None:
        self.closed = closed

    def is_closed(self) -> bool:
        return self.closed


class FakeClient:
    """A client whose shards go up and down as a test says."""

    def __init__(self, *shards: FakeShard, count: int = 1) -> None:
        self.shards = dict(enumerate(shards))
        self.greeted = set(self.shards)
        self.shard_count = count

    async def connect(self) -> None:
        await asyncio.Event().wait()


async def test_a_token_that_discord_refuses_ends_the_front_end_before_it_begins(tmp_path):
    async with FakeDiscord() as discord:
        with addresses_kept(), pytest.raises(FrontEndFailed, match="refuses DISCORD_TOKEN"):
            async with discord_front(config_of(discord, tmp_path, token="another")):
                pass


async def test_a_discord_that_is_not_reached_ends_the_front_end_before_it_begins(tmp_path):
    async with FakeDiscord() as discord:
        config = config_of(discord, tmp_path, api="http://127.0.0.1:9/api/v10")
    with addresses_kept(), pytest.raises(FrontEndFailed, match="cannot be reached"):
        async with discord_front(config):
            pass


@pytest.mark.parametrize(
    ("code", "sentence"),
    [(4004, "refuses DISCORD_TOKEN"), (4011, "DISCORD_SHARD_COUNT"), (4013, "intents"), (4014, "intents")],
)
async def test_a_gateway_that_discord_closes_for_good_ends_the_front_end_with_what_to_do(code, sentence):
    async with FakeDiscord() as discord, connected(discord) as front:
        ending = asyncio.create_task(front.serve(Taken()))
        await serving(discord, front)
        await discord.gateway.close(code)
        with pytest.raises(FrontEndFailed, match=sentence):
            await asyncio.wait_for(ending, 10)


async def test_a_gateway_that_stays_down_ends_the_front_end():
    shard, now = FakeShard(), [0.0]
    gateway = Gateway(FakeClient(shard), down_seconds=30, watch_seconds=0.001, clock=lambda: now[0])
    running = asyncio.create_task(gateway.run())
    await asyncio.sleep(0.02)
    assert gateway.trouble() == ""
    shard.closed = True
    await asyncio.sleep(0.02)
    now[0] = 20.0
    await asyncio.sleep(0.02)
    assert gateway.trouble() == "Discord's gateway has been down for 20 s"
    assert not running.done()
    now[0] = 31.0
    with pytest.raises(FrontEndFailed, match="down for 31 s; the process ends"):
        await asyncio.wait_for(running, 5)


async def test_a_gateway_that_begins_one_session_after_the_other_is_given_its_time():
    client, now = FakeClient(FakeShard(), count=3), [0.0]
    gateway = Gateway(client, down_seconds=30, watch_seconds=0.001, clock=lambda: now[0])
    running = asyncio.create_task(gateway.run())
    await asyncio.sleep(0.02)
    for number in (1, 2):
        now[0] += 20.0
        await asyncio.sleep(0.02)
        assert not running.done()
        client.shards[number] = FakeShard()
        client.greeted.add(number)
        await asyncio.sleep(0.02)
    assert gateway.trouble() == ""
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_gateway_that_is_set_up_counts_where_discord_says_how_many_shards_there_are(tmp_path):
    async with (
        FakeDiscord() as discord,
        FakeDiscord() as other,
        connected(discord, tmp_path, gateway=other.gateway_url) as front,
    ):
        ending = asyncio.create_task(front.serve(Taken()))
        await other.connected()
        await front.close()
        await ending


async def test_a_gateway_that_comes_back_in_time_goes_on():
    shard, now = FakeShard(closed=True), [0.0]
    gateway = Gateway(FakeClient(shard), down_seconds=30, watch_seconds=0.001, clock=lambda: now[0])
    running = asyncio.create_task(gateway.run())
    now[0] = 20.0
    shard.closed = False
    await asyncio.sleep(0.02)
    shard.closed, now[0] = True, 45.0
    await asyncio.sleep(0.02)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_one_shard_of_several_that_is_down_is_trouble():
    assert Gateway(FakeClient(FakeShard(), FakeShard(closed=True), count=2)).trouble()
    assert Gateway(FakeClient(FakeShard(), count=2)).trouble()
    assert not Gateway(FakeClient(FakeShard(), FakeShard(), count=2)).trouble()


def test_a_shard_that_is_open_and_has_no_session_yet_is_trouble():
    client = FakeClient(FakeShard())
    client.greeted = set()
    assert Gateway(client).trouble()


async def test_the_front_end_is_ready_once_the_gateway_is_open_and_says_what_is_wrong_before():
    async with FakeDiscord() as discord, connected(discord) as front:
        assert not front.health().ready
        task = asyncio.create_task(front.serve(Taken()))
        await serving(discord, front)
        assert front.health().ready
        await discord.gateway.cut()
        async with asyncio.timeout(5):
            while front.health().ready:
                await asyncio.sleep(0)
        assert "gateway has been down" in front.health().detail
        task.cancel()
        await asyncio.wait({task})


async def test_fault_12_a_resume_that_replays_an_interaction_is_one_gesture_by_its_key():
    taken = Taken()
    async with FakeDiscord() as discord, connected(discord) as front:
        task = asyncio.create_task(front.serve(taken))
        await serving(discord, front)
        gesture = await discord.slash(ANN, GENERAL, "panel", topic="Open on Sundays?")
        await taken.until(1)
        await discord.gateway.reconnect()
        await discord.connected()
        discord.deliver(gesture, gesture.payload)
        await taken.until(2)
        first, again = taken.inbound
        assert isinstance(first, Invocation)
        assert isinstance(again, Invocation)
        assert first.key == again.key
        task.cancel()
        await asyncio.wait({task})


async def test_commands_that_cannot_be_told_do_not_keep_the_front_end_from_starting(tmp_path):
    async with FakeDiscord() as discord:
        discord.script_always("bulk_set_application_commands", Cut())
        async with connected(discord, tmp_path) as front:
            assert front.name == "discord"


async def test_a_mention_in_a_thread_that_discord_did_not_tell_of_is_within_it_all_the_same():
    taken = Taken()
    async with FakeDiscord() as discord, connected(discord) as front:
        task = asyncio.create_task(front.serve(taken))
        await serving(discord, front)
        thread = Thread(discord.snowflake(), GENERAL.id, "Talk", ANN.id, discord.clock())
        discord.threads[thread.id] = thread
        discord.mention(ANN, thread, "panel Open on Sundays?")
        await taken.until(1)
        [asked] = taken.inbound
        assert isinstance(asked, Invocation)
        assert (asked.place.channel, asked.within) == (GENERAL.id, thread.id)
        task.cancel()
        await asyncio.wait({task})
