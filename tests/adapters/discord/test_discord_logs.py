"""What Discord's library logs: nothing of it, for it quotes addresses with tokens and what people wrote."""

import asyncio
import io
import logging

import pytest
import structlog

from adapters.port import Inbound
from bot.log import configure_logs
from tests.adapters.discord.fake_discord import FakeDiscord
from tests.adapters.discord.fake_faults import Limited
from tests.adapters.discord.fake_world import ANN, GENERAL
from tests.adapters.discord.served import connected, serving


@pytest.fixture(autouse=True)
def _as_before():
    loggers = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    before = [(each, each.level, each.propagate, each.handlers) for each in loggers]
    logging.getLogger("discord").setLevel(logging.NOTSET)
    yield
    structlog.reset_defaults()
    for logger, level, propagate, handlers in before:
        logger.level, logger.propagate, logger.handlers = level, propagate, handlers
    logging.getLogger("discord").setLevel(logging.NOTSET)


async def traffic() -> list[str]:
    """What must not be logged, after a gesture with text that is acknowledged late and a gateway that is cut."""
    taken: list[Inbound] = []

    async def sink(inbound: Inbound) -> None:
        taken.append(inbound)

    async with FakeDiscord() as discord, connected(discord) as front:
        task = asyncio.create_task(front.serve(sink))
        await serving(discord, front)
        discord.script("create_interaction_response", Limited(0.01))
        gesture = await discord.slash(ANN, GENERAL, "panel", topic="CANARY-topic")
        await gesture.acknowledged()
        discord.mention(ANN, GENERAL, "panel CANARY-mention")
        async with asyncio.timeout(5):
            while len(taken) < 2:
                await asyncio.sleep(0.01)
        await discord.gateway.cut()
        await discord.connected()
        task.cancel()
        await asyncio.wait({task})
        return [discord.token, gesture.token, "CANARY"]


@pytest.mark.parametrize("level", ["debug", "warning"])
async def test_fault_71_discords_library_logs_no_token_and_no_text(level, caplog):
    with caplog.at_level("DEBUG"):
        secrets = await traffic()
    logged = [caplog.handler.format(record) for record in caplog.records]
    # Unless it is silenced it does: else this would show nothing.
    assert any(secret in line for line in logged for secret in secrets)

    out = io.StringIO()
    configure_logs(level, out)
    secrets = await traffic()
    assert not [secret for secret in secrets if secret in out.getvalue()]
    assert "discord." not in "".join(line for line in out.getvalue().splitlines() if not line.startswith("{"))
