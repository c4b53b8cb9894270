"""Discord's gestures as what was asked. Pure: knows neither a client nor what becomes of it.

A gesture's key is made of what Discord says is its identity: an interaction's id, or a message's channel and id. So one
that the gateway replays after a resume is the same gesture.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import discord

from adapters.discord.controls import FORM_ALONE, command_of
from adapters.discord.modal import Carried, Submission, Upload, about
from adapters.keys import key_of
from adapters.port import AskOptions, Attachment, Departed, Invocation, Origin, Place, Withdrawn
from adapters.words import command_line

SURFACE = "discord"

DIRECT = "@me"
"""The tenant of direct messages with the bot."""

MOST_FILES = 10

Gesture = discord.Interaction[Any]

_THREADS = frozenset(
    {discord.ChannelType.public_thread, discord.ChannelType.private_thread, discord.ChannelType.news_thread}
)
_EMOJI = re.compile(r"<a?(:\w{2,32}:)\d{1,20}>")
_NAMED = re.compile(r"<(@!?|@&|#)(\d{1,20})>")


def place_of(gesture: Gesture, *, private: bool = False) -> Place | None:
    """Where a gesture was made; None where Discord does not say. A `private` one belongs to the part of its channel
    that one person sees; a direct message is private as it is."""
    if gesture.channel is None:
        return None
    tenant = _tenant(gesture)
    channel = _channel(gesture.channel)
    if private and tenant != DIRECT:
        channel = f"{channel}/{gesture.user.id}"
    return Place(SURFACE, tenant, channel)


def from_command(
    gesture: Gesture, text: str, files: Iterable[discord.Attachment | None] = (), *, private: bool = False
) -> Invocation | None:
    """A slash command, whose options make up `text`."""
    attached = attachments_of([file for file in files if file is not None])
    return _asked(gesture, text, "command", attached, private=private)


def panel_line(topic: str, panel: str) -> str:
    """The line that `/panel` means with its options. Without a panel the topic may be any of the grammar's commands."""
    if not panel:
        return f"/panel {topic}".rstrip()
    # The grammar takes a name in either kind of quotes: one that holds both is no panel's.
    quote = "'" if '"' in panel else '"'
    return f"/panel --panel {quote}{panel.replace(quote, '')}{quote} -- {topic}".rstrip()


def from_press(gesture: Gesture) -> Invocation | None:
    """A button of the bot's own, pressed. What it is about is checked by whoever knows the runs."""
    found = command_of(gesture.custom_id or "")
    if found is None:
        return None
    text, run = found
    message = gesture.message
    # Only what a run says to one person alone is unseen and about a run: other unseen messages are notices.
    unseen = bool(run) and message is not None and message.flags.ephemeral
    private = unseen or gesture.custom_id == FORM_ALONE
    return _asked(gesture, text, "control", run=run, private=private)


def from_shortcut(gesture: Gesture, message: discord.Message) -> Invocation | None:
    """The command on a message: a question about it, which its form has to ask."""
    return _asked(gesture, "/panel", "shortcut", quoted(message))


def from_submission(
    gesture: Gesture, submission: Submission, carried: Carried, kept: tuple[Attachment, ...] = ()
) -> Invocation | None:
    """A form that was sent off. `kept` are the files of the message it is about, as far as they are still known."""
    files = attachments_of(submission.files)
    if carried.files and not kept:
        lost = Attachment(
            "The message's files", problem="the bot was restarted meanwhile; attach them to your question"
        )
        kept = (lost,)
    if submission.documents.strip():
        files = (Attachment("The message", submission.documents), *kept, *files)
    else:
        files = (*kept, *files)
    options = AskOptions(submission.profile, submission.pillars)
    topic, panel = submission.topic, submission.panel
    text = panel_line(topic, panel) if panel else f"/panel -- {topic}"
    asked = _asked(gesture, text, "form", files, private=carried.private)
    return None if asked is None else replace(asked, options=options)


def from_message(message: discord.Message, bot: int) -> Invocation | None:
    """A message to the bot: one that names it in its text, or any in a direct message. A reply to one of the bot's
    messages alerts it too, but says nothing to it. Bots and webhooks are not heard."""
    if message.author.bot or message.webhook_id is not None or message.author.id == bot:
        return None
    if message.type not in (discord.MessageType.default, discord.MessageType.reply):
        return None
    direct = message.guild is None
    if not direct and not names(message, bot):
        return None
    place, within = message_place(message)
    line = command_line(plain_text_of(_naming(bot).sub(" ", message.content, count=1), names_in(message)).strip())
    origin: Literal["mention", "message"] = "message" if direct else "mention"
    files = attachments_of(message.attachments)
    key = message_key(message.channel.id, message.id)
    return Invocation(place, str(message.author.id), line, key, origin, files, within=within)


def names(message: discord.Message, bot: int) -> bool:
    """Whether a message names the bot in its text."""
    return _naming(bot).search(message.content) is not None


def message_place(message: discord.Message) -> tuple[Place, str]:
    """Where a message was written, and the thread if it was one."""
    tenant = DIRECT if message.guild is None else str(message.guild.id)
    return Place(SURFACE, tenant, _channel(message.channel)), _thread(message.channel)


def message_key(channel: int, message: int) -> str:
    """The key of what a message asks, however often it is delivered."""
    return key_of("message", str(channel), str(message))


def withdrawn(asked: Invocation) -> Withdrawn:
    """The message that asked was deleted."""
    return Withdrawn(asked.place, asked.author, asked.key)


def departed(guild: int) -> Departed:
    """The bot was removed from a server."""
    return Departed(SURFACE, str(guild))


def attachments_of(files: Iterable[discord.Attachment | Upload]) -> tuple[Attachment, ...]:
    """Attached files, by what they are fetched with later. Those past the tenth are named with what is wrong."""
    listed = list(files)
    found = tuple(_attachment(file) for file in listed[:MOST_FILES])
    why = f"only {MOST_FILES} files are read; ask again with this one"
    return (*found, *(Attachment(file.filename, problem=why) for file in listed[MOST_FILES:]))


def quoted(message: discord.Message) -> tuple[Attachment, ...]:
    """A message as evidence: its text under its author's name, empty where Discord shows none; and its files."""
    text = text_in(message)
    said = Attachment("The message", f"{message.author.display_name}: {text}" if text else "", ref=about(message.id))
    return (said, *attachments_of([file for each in _parts(message) for file in each.attachments]))


def text_in(message: discord.Message) -> str:
    """All that a message says: its own text, what it forwards, its embeds and its text components."""
    said: list[str] = []
    for each in _parts(message):
        said.append(plain_text_of(each.content, names_in(message)))
        for embed in each.embeds:
            said += [embed.title or "", embed.description or ""]
            said += [f"{field.name}: {field.value}" for field in embed.fields]
        said += _texts(each.components)
    return "\n\n".join(text for text in said if text.strip())


def names_in(message: discord.Message) -> Mapping[str, str]:
    """What people see in place of the ids in a message's text."""
    names = {f"@{user.id}": f"@{user.display_name}" for user in message.mentions}
    names |= {f"@&{role.id}": f"@{role.name}" for role in message.role_mentions}
    return names | {f"#{channel.id}": f"#{channel.name}" for channel in message.channel_mentions}


def plain_text_of(text: str, names: Mapping[str, str]) -> str:
    """A message's text as a person reads it: names in place of ids, emoji by their names."""
    return _EMOJI.sub(r"\1", _NAMED.sub(lambda found: names.get(f"{found[1].rstrip('!')}{found[2]}", found[0]), text))


def _parts(message: discord.Message) -> tuple[discord.Message | discord.MessageSnapshot, ...]:
    """A message, and what it forwards."""
    return message, *message.message_snapshots


def _asked(
    gesture: Gesture,
    text: str,
    origin: Origin,
    files: tuple[Attachment, ...] = (),
    *,
    run: str = "",
    private: bool = False,
) -> Invocation | None:
    place = place_of(gesture, private=private)
    if place is None:
        return None
    key = key_of("interaction", str(gesture.id))
    within = _thread(gesture.channel)
    return Invocation(place, str(gesture.user.id), text, key, origin, files, run=run, within=within)


def _naming(bot: int) -> re.Pattern[str]:
    return re.compile(rf"<@!?{bot}>")


def _tenant(gesture: Gesture) -> str:
    """A server that the bot is in, direct messages with the bot, or who brought the app along to anywhere else."""
    if gesture.guild_id is not None:
        if gesture.client.get_guild(gesture.guild_id) is not None:
            return str(gesture.guild_id)
    elif _kind(gesture.channel) is discord.ChannelType.private and not gesture.context.private_channel:
        return DIRECT
    # Of a press on a guest's post, this is whose guest the bot is. The library gives it no public name.
    owner = gesture._integration_owners.get(1) or gesture.user.id
    return f"user/{owner}"


def _kind(channel: object) -> discord.ChannelType | None:
    kind = getattr(channel, "type", None)
    return kind if isinstance(kind, discord.ChannelType) else None


def _channel(channel: Any) -> str:
    return str(channel.parent_id if _kind(channel) in _THREADS else channel.id)


def _thread(channel: Any) -> str:
    return str(channel.id) if _kind(channel) in _THREADS else ""


def _attachment(file: discord.Attachment | Upload) -> Attachment:
    where = {"url": file.url, "size": file.size, "type": file.content_type or ""}
    return Attachment(file.filename, ref=json.dumps(where))


def _texts(components: Iterable[object]) -> list[str]:
    found: list[str] = []
    for component in components:
        content = getattr(component, "content", None)
        if isinstance(content, str):
            found.append(content)
        found += _texts(getattr(component, "children", None) or ())
    return found
