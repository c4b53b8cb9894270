"""Slack and Discord in one process: one loop, one house, the same two models for both."""

import asyncio
import gc
from contextlib import suppress

import dspy
import pytest
from dspy.utils.callback import BaseCallback
from pydantic import SecretStr

from bot import chat
from bot.house import Plan
from bot.model_teams import ModelTeams
from bot.serve import serve
from bot.settings import BotSettings
from teams.catalog import load_catalog
from teams.lms import forget_lms, get_flash_lm, get_pro_lm, use_models
from teams.tiers import ModelChoice, Models
from tests.adapters.discord import fake_world as discord_world
from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.discord.served import addresses_kept
from tests.adapters.slack.fake_payloads import slash_command
from tests.adapters.slack.fake_reading import plain
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import GENERAL, HOME
from tests.model_server import model_server


class Witness(BaseCallback):
    """Sees every call of the models, which of them it is and on which loop it runs."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, asyncio.AbstractEventLoop]] = []

    def on_lm_start(self, call_id, instance, inputs):
        self.calls.append((id(instance), asyncio.get_running_loop()))


def models() -> set[int]:
    """The models that there are, by identity."""
    gc.collect()
    return {id(one) for one in gc.get_objects() if isinstance(one, dspy.LM)}


async def until(there) -> None:
    async with asyncio.timeout(30):
        while not there():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
async def _no_models():
    await forget_lms()
    yield
    await forget_lms()


async def test_panels_from_slack_and_discord_overlap_on_one_loop_with_the_same_two_models(tmp_path):
    before, loop, witness = models(), asyncio.get_running_loop(), Witness()
    slack, discord = FakeSlack(), FakeDiscord()
    await slack.start()
    await discord.start()
    async with model_server() as server:
        server.hold_until = 12  # nobody is answered before the experts of both panels are asked
        choice = ModelChoice("openai/mock", SecretStr("sk-own"), server.base, timeout=30.0)
        use_models(Models(choice, ModelChoice("openai/strong", SecretStr("sk-own"), server.base, timeout=30.0)))
        for lm in (get_flash_lm(), get_pro_lm()):
            lm.callbacks = [*lm.callbacks, witness]
        settings = BotSettings(
            slack_bot_token=HOME.token,
            slack_app_token=slack.app_token,
            slack_api_url=slack.url,
            discord_token=discord.token,
            discord_api_url=discord.api,
            discord_gateway_url=discord.gateway_url,
        )
        plan = Plan(tmp_path / "runs", ModelTeams(), load_catalog(None))
        with addresses_kept():
            async with chat.chat(chat.setup_of(settings, tmp_path)) as chats:
                assert set(chats.fronts) == {"slack", "discord"}
                serving = asyncio.create_task(serve(plan, chats.fronts, 5.0))
                await slack.connected()
                await discord.connected()
                await until(lambda: all(health.ready for health in chats.health().values()))
                await slack.send_envelope(slash_command(slack.gesture(), "Open on Sundays?"), type="slash_commands")
                await discord.slash(discord_world.ANN, discord_world.GENERAL, "panel", topic="Open on Mondays?")
                await until(lambda: "6 of 6" in said_in_slack(slack) and "from 6 of 6" in said_in_discord(discord))
                serving.cancel()
                with suppress(asyncio.CancelledError):
                    await serving
        assert server.most_in_flight >= 12
        assert server.calls["synthesis"] == 2
        assert sum(server.calls.values()) == 14
    assert "Open on Mondays?" not in said_in_slack(slack)
    assert "Open on Sundays?" not in said_in_discord(discord)
    assert len(witness.calls) == 14
    assert {lm for lm, _ in witness.calls} == models() - before
    assert len(models() - before) == 2
    assert {on for _, on in witness.calls} == {loop}
    await discord.stop()
    await slack.stop()
    assert discord.violations == []


def said_in_slack(slack: FakeSlack) -> str:
    return "\n".join(plain(message) for message in slack.messages(GENERAL.id))


def said_in_discord(discord: FakeDiscord) -> str:
    return "\n".join(text for place in [*discord.posted] for text in discord.shown(place))
