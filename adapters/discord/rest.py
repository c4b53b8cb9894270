"""Discord's REST alone: addresses, and logging in without a gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters.discord.config import DiscordConfig
from adapters.discord.errors import CALL_ERRORS
from adapters.port import FrontEndFailed

REFUSED = "Discord refuses DISCORD_TOKEN; copy it from the Bot page of the Developer Portal, or reset it there"

NETWORK_ERRORS = (*CALL_ERRORS, discord.GatewayNotFound)
"""All that logging in and connecting can end with because of Discord or the network."""


def use_addresses(config: DiscordConfig) -> None:
    """Where Discord is. Attributes of two classes are the only place that the library has for it; they are set where
    they differ from what is set there, and hold for the whole process."""
    if config.api and config.api.rstrip("/") != Route.BASE:
        Route.BASE = config.api.rstrip("/")
    if config.gateway and yarl.URL(config.gateway) != DiscordWebSocket.DEFAULT_GATEWAY:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(config.gateway)


async def log_in(client: discord.Client, token: str) -> None:
    """Make the client known to Discord. Raises `FrontEndFailed`."""
    try:
        await client.login(token)
    except discord.LoginFailure as error:
        raise FrontEndFailed(REFUSED) from error
    except NETWORK_ERRORS as error:
        raise unreachable(error) from error


def unreachable(error: Exception) -> FrontEndFailed:
    """What is told where Discord gave no useful answer."""
    why = f"it answered {error.status}" if isinstance(error, discord.HTTPException) else type(error).__name__
    return FrontEndFailed(f"Discord cannot be reached ({why}); check the network and DISCORD_API_URL")


@asynccontextmanager
async def rest(config: DiscordConfig) -> AsyncIterator[discord.Client]:
    """A client that was logged in and hears nothing. Raises `FrontEndFailed`."""
    use_addresses(config)
    async with discord.Client(intents=discord.Intents.none(), max_ratelimit_timeout=30.0) as client:
        await log_in(client, config.token)
        yield client
