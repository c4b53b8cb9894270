"""The commands that Discord offers, and when it is told of them: only when they changed, for it counts that."""

import asyncio
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import discord
import structlog
from discord import app_commands

from adapters.discord.errors import CALL_ERRORS
from adapters.discord.inbound import Gesture, from_command, panel_line
from adapters.discord.incoming import UNKNOWN_COMMAND, Incoming, say, seen_to

log = structlog.get_logger()

SHORTCUT = "Ask a panel about this"
MOST_CHOICES, CHOICE = 25, 100
"""Choices of an autocompleted option, and the characters of each (Discord's page "Application Commands")."""

SYNC_SECONDS = 30.0
"""How long the start waits for Discord to take the commands."""

Panels = tuple[tuple[str, str], ...]
"""Names and titles of panels."""

_NAMED = {
    "type",
    "name",
    "description",
    "required",
    "autocomplete",
    "choices",
    "options",
    "integration_types",
    "contexts",
}
"""What of a command is compared: Discord adds more to what it was told."""


class Tree(app_commands.CommandTree[discord.Client]):
    """The commands. One that Discord offers and that is not there any more is answered, not ignored."""

    async def on_error(self, interaction: Gesture, error: app_commands.AppCommandError, /) -> None:
        """Say what is wrong to whoever gave the command."""
        if isinstance(error, app_commands.CommandNotFound | app_commands.CommandSignatureMismatch):
            log.warning("discord.unknown_command", error=type(error).__name__)
            await say(interaction, UNKNOWN_COMMAND)
        else:
            await seen_to(_raised(error), interaction)


def command_tree(client: discord.Client, incoming: Incoming, panels: Panels) -> Tree:
    """The commands of the bot, everywhere that Discord has them."""
    tree = Tree(
        client,
        allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True),
        allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
    )

    @tree.command(name="panel", description="Ask a panel of experts")
    @app_commands.describe(
        topic="What to ask; without it a form opens. Also: stop, retry, list, settings, help",
        panel="Which panel to ask",
        documents="A document that the experts read",
        more_documents="One more; a mention of me takes up to ten",
        private="Show it to me alone",
    )
    async def ask_panel(
        interaction: discord.Interaction,
        topic: str = "",
        panel: str = "",
        documents: discord.Attachment | None = None,
        more_documents: discord.Attachment | None = None,
        private: Literal["yes", "no"] = "no",
    ) -> None:
        files = (documents, more_documents)
        asked = from_command(interaction, panel_line(topic, panel), files, private=private == "yes")
        await seen_to(incoming.asked(interaction, asked), interaction)

    @ask_panel.autocomplete("panel")
    async def complete(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return choices(panels, current)

    @tree.command(
        name="research", description="Have a question answered from sources, with citations that were looked up"
    )
    @app_commands.describe(
        question="What to find out",
        documents="A document to search",
        more_documents="One more; a mention of me takes up to ten",
        private="Show it to me alone",
    )
    async def research(
        interaction: discord.Interaction,
        question: str,
        documents: discord.Attachment | None = None,
        more_documents: discord.Attachment | None = None,
        private: Literal["yes", "no"] = "no",
    ) -> None:
        files = (documents, more_documents)
        asked = from_command(interaction, f"/research {question}", files, private=private == "yes")
        await seen_to(incoming.asked(interaction, asked), interaction)

    @tree.command(name="panels", description="List the panels there are")
    async def list_panels(interaction: discord.Interaction) -> None:
        await seen_to(incoming.asked(interaction, from_command(interaction, "/panel list")), interaction)

    @tree.context_menu(name=SHORTCUT)
    async def about_this(interaction: discord.Interaction, message: discord.Message) -> None:
        await seen_to(incoming.shortcut(interaction, message), interaction)

    return tree


def choices(panels: Panels, typed: str) -> list[app_commands.Choice[str]]:
    """The panels whose name or title holds what was typed."""
    wanted = typed.casefold().strip()
    found = [(name, title) for name, title in panels if wanted in name.casefold() or wanted in title.casefold()]
    shown = [(name, title if len(title) <= CHOICE else f"{title[: CHOICE - 1]}…") for name, title in found]
    return [app_commands.Choice(name=title or name, value=name) for name, title in shown[:MOST_CHOICES]]


def payloads(tree: Tree) -> list[dict[str, Any]]:
    """The commands as Discord is told them."""
    kinds = (discord.AppCommandType.chat_input, discord.AppCommandType.message)
    return [command.to_dict(tree) for kind in kinds for command in tree.get_commands(type=kind)]


def payload_hash(tree: Tree) -> str:
    """What tells one set of commands from another."""
    return hashlib.sha256(json.dumps(payloads(tree), sort_keys=True).encode()).hexdigest()[:16]


async def sync_if_changed(tree: Tree, folder: Path) -> None:
    """Tell Discord the commands if they are not those that it was told last. Where that fails, the old ones stay."""
    application = str(tree.client.application_id)
    if _told(folder).get(application) == payload_hash(tree):
        return
    try:
        async with asyncio.timeout(SYNC_SECONDS):
            await sync(tree, folder)
    except CALL_ERRORS as error:
        log.warning("discord.commands_not_synced", error=type(error).__name__, fix="panelist discord sync")


async def sync(tree: Tree, folder: Path) -> int:
    """Tell Discord the commands, and note that; how many there are. Raises what the library raises."""
    synced = await tree.sync()
    application = str(tree.client.application_id)
    try:
        _note(folder, {**_told(folder), application: payload_hash(tree)})
    except OSError as error:
        log.warning("discord.sync_not_noted", error=error.strerror)
    log.info("discord.commands_synced", commands=len(synced))
    return len(synced)


def in_step(tree: Tree, registered: list[Any]) -> tuple[str, ...]:
    """Which commands Discord does not have as they are now; `registered` is what it answers."""
    there = {(each.get("type", 1), each.get("name")): _shape(each) for each in registered if isinstance(each, Mapping)}
    ours = {(each.get("type", 1), each["name"]): _shape(each) for each in payloads(tree)}
    differing = {kind for kind in ours.keys() | there.keys() if ours.get(kind) != there.get(kind)}
    return tuple(sorted(str(name) for _, name in differing))


def _shape(command: object) -> object:
    """A command without what Discord adds to it, and without what says the same as nothing."""
    if isinstance(command, Mapping):
        kept = {name: _shape(value) for name, value in command.items() if name in _NAMED | {"value"}}
        return {name: value for name, value in kept.items() if value not in (None, False, "", [], {})}
    if isinstance(command, list):
        shaped = [_shape(each) for each in command]
        return sorted(shaped) if all(isinstance(each, int) for each in shaped) else shaped  # type: ignore[type-var]
    return command


def _told(folder: Path) -> dict[str, str]:
    """What each application's commands were when Discord was told last."""
    try:
        kept = json.loads(_note_in(folder).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in kept.items()} if isinstance(kept, dict) else {}


def _note(folder: Path, told: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=folder, prefix=".commands-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(told, file)
    Path(path).replace(_note_in(folder))


def _note_in(folder: Path) -> Path:
    return folder / "discord_commands.json"


async def _raised(error: Exception) -> None:
    raise error
