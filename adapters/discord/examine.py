"""What the doctor says of Discord: whether the token is taken, whether the commands are in step, and which server
grants the bot too little."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import discord

from adapters.discord.commands import command_tree, in_step
from adapters.discord.config import DiscordConfig
from adapters.discord.incoming import Incoming
from adapters.discord.invite import NAMES, PERMISSIONS, invite_url
from adapters.discord.rest import NETWORK_ERRORS, REFUSED, rest
from adapters.port import FrontEndFailed

MOST_SERVERS = 200
"""Servers that are looked at: one page of Discord's answer."""

Finding = tuple[bool, str]


async def examine(config: DiscordConfig) -> AsyncIterator[Finding]:
    """Findings, each whether it is fine and one sentence with what to do."""
    try:
        async with rest(config) as client:
            for finding in await _findings(config, client):
                yield finding
    except FrontEndFailed as error:
        yield False, str(error)


async def _findings(config: DiscordConfig, client: discord.Client) -> list[Finding]:
    try:
        application = await client.application_info()
        found = [(True, f"the bot is {client.user}, of the application {application.name}")]
        found += _application(application)
        stale = in_step(
            command_tree(client, Incoming(), config.panels),
            list(await client.http.get_global_commands(application.id)),
        )
        found.append(_commands(stale))
        return found + await _servers(client, application.id)
    except discord.HTTPException as error:
        return [(False, REFUSED if error.status == 401 else f"Discord answered {error.status}; try again later")]
    except NETWORK_ERRORS as error:
        return [(False, f"Discord cannot be reached ({type(error).__name__}); check the network")]


def _application(application: discord.AppInfo) -> list[Finding]:
    """What is set in the portal and keeps the bot from hearing."""
    if application.interactions_endpoint_url:
        fix = "clear Interactions Endpoint URL in the Developer Portal"
        return [(False, f"Discord sends commands to a web address instead of to this process; {fix}")]
    return [(True, "no privileged intent is needed, and commands come to this process")]


def _commands(stale: tuple[str, ...]) -> Finding:
    if stale:
        return (
            False,
            f"Discord does not have these commands as they are now: {', '.join(stale)}; run panelist discord sync",
        )
    return True, "all commands are in step"


async def _servers(client: discord.Client, application: int) -> list[Finding]:
    return server_findings(await client.http.get_guilds(MOST_SERVERS), application)


def server_findings(servers: Sequence[Mapping[str, Any]], application: int) -> list[Finding]:
    """What each server grants too little; `servers` as Discord describes those that the bot is in."""
    if not servers:
        return [(False, f"the bot is in no server; invite it: {invite_url(application)}")]
    found: list[Finding] = []
    for server in servers:
        granted = discord.Permissions(int(server["permissions"]))
        lacking = [NAMES[name] for name in PERMISSIONS if not getattr(granted, name)]
        if lacking and not granted.administrator:
            fix = f"grant that to its role, or invite it again: {invite_url(application)}"
            found.append((False, f"in the server {server['name']} it lacks {', '.join(lacking)}; {fix}"))
    if found:
        return found
    how_many = f"{len(servers)} or more servers" if len(servers) == MOST_SERVERS else f"{len(servers)} servers"
    return [(True, f"it is in {how_many}, and each grants what it needs; a channel may still deny that")]
