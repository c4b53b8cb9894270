"""The address under which an admin invites the bot, with the exact permissions it needs and why."""

from dataclasses import dataclass

import discord

from adapters.discord.config import DiscordConfig
from adapters.discord.rest import rest

PERMISSIONS = {
    "view_channel": "see the channels it is asked in",
    "send_messages": "post a panel's board",
    "create_public_threads": "open a thread for the answers",
    "send_messages_in_threads": "post the answers in it",
    "read_message_history": "find its own posts again after a crash, so that none is doubled",
    "attach_files": "attach long answers as files",
}
"""The bot's permissions, each with its reason. Its own messages it may edit and delete anyhow, and what it posts has no
embeds and needs no permission for links."""

NAMES = {
    "view_channel": "View Channels",
    "send_messages": "Send Messages",
    "create_public_threads": "Create Public Threads",
    "send_messages_in_threads": "Send Messages in Threads",
    "read_message_history": "Read Message History",
    "attach_files": "Attach Files",
}
"""Their names as Discord shows them."""

SCOPES = ("bot", "applications.commands")


@dataclass(frozen=True, slots=True)
class Application:
    """The application that a token belongs to."""

    id: int
    name: str


def permissions() -> discord.Permissions:
    """All permissions that the bot needs, and no other."""
    return discord.Permissions(**dict.fromkeys(PERMISSIONS, True))


def invite_url(application_id: int) -> str:
    """Where an admin of a server invites the bot."""
    return discord.utils.oauth_url(application_id, permissions=permissions(), scopes=SCOPES)


async def application_of(config: DiscordConfig) -> Application:
    """Whose token is set up. Raises `FrontEndFailed`."""
    async with rest(config) as client:
        info = await client.application_info()
        return Application(info.id, info.name)
