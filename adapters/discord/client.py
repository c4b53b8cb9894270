"""discord.py's client with the bot's events, and the watch over its gateway.

The library reconnects by itself, for ever; a process that looks healthy and hears nothing is worse than one that ends
and is started again.
"""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import aiohttp
import discord
import structlog

from adapters.discord.commands import command_tree, sync_if_changed
from adapters.discord.config import DiscordConfig
from adapters.discord.controls import CONTROL_ID
from adapters.discord.errors import CALL_ERRORS
from adapters.discord.inbound import names
from adapters.discord.incoming import Incoming, seen_to
from adapters.discord.rest import NETWORK_ERRORS, REFUSED
from adapters.port import FrontEndFailed

log = structlog.get_logger()

DOWN_SECONDS = 120.0
"""How long the gateway may be down before the process gives up."""

WATCH_SECONDS = 1.0

RATE_LIMIT_SECONDS = 30.0
"""How long the library waits out a rate limit by itself: the least that it can be told. What is longer is told on."""

_CLOSED = {
    4004: REFUSED,
    4010: "Discord refuses the shard; correct or unset DISCORD_SHARD_COUNT",
    4011: "Discord wants more shards; unset DISCORD_SHARD_COUNT or raise it",
    4012: "Discord no longer takes this version of its gateway; update discord.py",
    4013: "Discord refuses the intents; update discord.py",
    4014: "Discord refuses the intents; the bot asks for no privileged one: update discord.py",
}


def intents() -> discord.Intents:
    """What the bot hears of: its servers, and messages. What people say to others comes without its text, for the
    privileged intent for that is not asked for."""
    asked = discord.Intents.none()
    asked.guilds = asked.guild_messages = asked.dm_messages = True
    return asked


class ControlButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=CONTROL_ID):
    """A button of the bot's own under any message, also of an earlier process: all it is about stands in its id."""

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> "ControlButton":
        """The button that was pressed."""
        assert isinstance(item, discord.ui.Button)  # the library hands out the pressed item
        return cls(item)

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Hand the press on."""
        client = interaction.client
        assert isinstance(client, PanelistClient)  # the only one that knows this class
        await seen_to(client.incoming.pressed(interaction), interaction)


class PanelistClient(discord.AutoShardedClient):
    """Hears what people do, and alerts nobody by itself. `incoming` is told where that goes."""

    def __init__(self, config: DiscordConfig, trace: aiohttp.TraceConfig = discord.utils.MISSING) -> None:
        super().__init__(
            intents=intents(),
            shard_count=config.shard_count,
            allowed_mentions=discord.AllowedMentions.none(),
            max_ratelimit_timeout=RATE_LIMIT_SECONDS,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
            http_trace=trace,
        )
        self._config, self.incoming = config, Incoming()
        self.greeted: set[int] = set()
        self.tree = command_tree(self, self.incoming, config.panels)

    async def setup_hook(self) -> None:
        """Know the buttons of earlier processes, and tell Discord the commands if they changed."""
        if self._config.listens:
            self.add_dynamic_items(ControlButton)
            await sync_if_changed(self.tree, self._config.folder)

    async def launch_shards(self) -> None:
        """Connect. The library asks Discord for the gateway's address where it has to ask how many shards there are;
        where another one is set up, that counts."""
        if self._config.gateway and self.shard_count is None:
            self.shard_count, _, _ = await self.http.get_bot_gateway()
        await super().launch_shards()

    async def on_shard_connect(self, shard_id: int) -> None:
        """Discord began a session: from now on a connection that breaks off loses nothing."""
        self.greeted.add(shard_id)

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Whatever is no command and no button of now."""
        if interaction.type in (discord.InteractionType.modal_submit, discord.InteractionType.component):
            await seen_to(self.incoming.other(interaction), interaction)

    async def on_message(self, message: discord.Message) -> None:
        """A message in a channel, a thread or a direct message."""
        if self.user is not None:
            await seen_to(self._heard(message, self.user.id))

    async def _heard(self, message: discord.Message, bot: int) -> None:
        """Hand a message on. One in a thread that Discord did not tell of comes without the channel of the thread."""
        unknown = message.guild is not None and isinstance(message.channel, discord.PartialMessageable)
        if unknown and names(message, bot):
            try:
                message.channel = await self.fetch_channel(message.channel.id)  # type: ignore[assignment]
            except CALL_ERRORS as error:
                log.warning("discord.unknown_channel", channel=message.channel.id, error=type(error).__name__)
        await self.incoming.message(message, bot)

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """A message that is gone."""
        await seen_to(self.incoming.deleted(payload.channel_id, payload.message_id))

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """A server that the bot is in no more; not one that is merely out of order."""
        await seen_to(self.incoming.left(guild.id))

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """A bug in a listener."""
        log.exception("discord.listener_broke", listener=event_method)


Session = Callable[[], AbstractAsyncContextManager[None]]
"""Waits until this process may have the gateway's sessions, and keeps them as long as its block. Raises
`FrontEndFailed` in the block when another process has them."""


STANDBY_SECONDS = 2.0
"""How long a process waits for the session until it is plain that another has it: it looks once a second."""


class Gateway:
    """The client's connection to Discord, watched."""

    def __init__(
        self,
        client: PanelistClient,
        *,
        down_seconds: float = DOWN_SECONDS,
        watch_seconds: float = WATCH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        session: Session = nullcontext,
    ) -> None:
        self._client, self._down_seconds, self._watch_seconds, self._clock = client, down_seconds, watch_seconds, clock
        self._session, self._waits, self._waits_since = session, True, clock()
        self._down_since: float | None = clock()

    def trouble(self) -> str:
        """What is wrong, as a sentence; empty while connected, and while another process is: whoever replaces processes
        one by one ends none before the next is ready."""
        if self._up or (self._waits and self._clock() - self._waits_since > STANDBY_SECONDS):
            return ""
        if self._waits:
            return "it is looked whether another process has the session with Discord's gateway"
        down = self._clock() - (self._clock() if self._down_since is None else self._down_since)
        return f"Discord's gateway has been down for {down:.0f} s"

    @property
    def _up(self) -> bool:
        """Whether every shard has a session and is open; the library closes one whose heartbeats are not answered."""
        shards, greeted = self._client.shards, self._client.greeted
        if len(greeted) < (self._client.shard_count or 1):
            return False
        return greeted <= shards.keys() and not any(each.is_closed() for each in shards.values())

    async def run(self) -> None:
        """Take events in until cancelled, once the session is this process'. Raises `FrontEndFailed` where Discord
        refuses the bot, or when the gateway was down for too long."""
        self._waits_since = self._clock()
        async with self._session():
            self._waits, self._down_since = False, self._clock()
            await self._connected()

    async def _connected(self) -> None:
        connecting = asyncio.ensure_future(self._client.connect())
        watching = asyncio.ensure_future(self._watched())
        try:
            done, _ = await asyncio.wait({connecting, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (discord.ConnectionClosed, discord.PrivilegedIntentsRequired) as error:
            code = error.code if isinstance(error, discord.ConnectionClosed) else 4014
            raise FrontEndFailed(_CLOSED.get(code or 0, f"Discord closed the gateway for good ({code})")) from error
        except NETWORK_ERRORS as error:
            raise FrontEndFailed(f"Discord's gateway cannot be reached ({type(error).__name__})") from error
        finally:
            await _ended(connecting, watching)

    async def _watched(self) -> None:
        greeted = 0
        while True:
            if len(self._client.greeted) > greeted and self._down_since is not None:
                # Discord begins one session in five seconds or so: many shards take longer than one may be down.
                self._down_since = self._clock()
            greeted = len(self._client.greeted)
            if self._up:
                if self._down_since is not None:
                    log.info("discord.connected", shards=len(self._client.shards))
                self._down_since = None
            elif self._down_since is None:
                self._down_since = self._clock()
                log.warning("discord.disconnected")
            elif self._clock() - self._down_since > self._down_seconds:
                raise FrontEndFailed(f"{self.trouble()}; the process ends so that it is started again")
            await asyncio.sleep(self._watch_seconds)


async def _ended(*tasks: asyncio.Future[None]) -> None:
    """Cancel tasks until they are over: the library takes a cancellation while it reconnects for something else."""
    while left := {task for task in tasks if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.1)
