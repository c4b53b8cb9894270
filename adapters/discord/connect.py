"""Discord put together: from what is set up to a front end that is connected."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from adapters.discord.client import DOWN_SECONDS, Gateway, PanelistClient, Session
from adapters.discord.commands import command_tree, sync
from adapters.discord.config import DiscordConfig
from adapters.discord.files import Files
from adapters.discord.frontend import DiscordFrontEnd
from adapters.discord.incoming import Incoming
from adapters.discord.native import Native
from adapters.discord.refusals import Refusals
from adapters.discord.rest import NETWORK_ERRORS, log_in, rest, unreachable, use_addresses


@asynccontextmanager
async def discord_front(
    config: DiscordConfig, *, down_seconds: float = DOWN_SECONDS, session: Session = nullcontext
) -> AsyncIterator[DiscordFrontEnd]:
    """The front end, until the block ends. `session` says when this process may connect to the gateway. Raises
    `FrontEndFailed` where Discord refuses the token or is not reached."""
    use_addresses(config)
    refusals = Refusals()
    async with PanelistClient(config, refusals.trace()) as client:
        front = front_of(client, refusals, Files(config.api))
        await log_in(client, config.token)
        if config.listens:
            gateway = Gateway(client, down_seconds=down_seconds, session=session)
            front.comes_by(gateway.run, gateway.trouble)
        try:
            yield front
        finally:
            await front.close()


def front_of(client: PanelistClient, refusals: Refusals | None = None, files: Files | None = None) -> DiscordFrontEnd:
    """The front end of a client, which hands on to it."""
    front = DiscordFrontEnd(Native(client, refusals), files)
    client.incoming.hands_to(front.take)
    return front


async def sync_commands(config: DiscordConfig) -> int:
    """Tell Discord the commands, whether they changed or not; how many there are. Raises `FrontEndFailed`."""
    async with rest(config) as client:
        try:
            return await sync(command_tree(client, Incoming(), config.panels), config.folder)
        except NETWORK_ERRORS as error:
            raise unreachable(error) from error
