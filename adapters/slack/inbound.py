"""Payloads of Slack as what was asked. Pure: knows neither a client nor what becomes of it.

A gesture's key is made of what Slack says is its identity: a message's workspace, channel and timestamp (`app_mention`
and `message` are two events for one message), a command's or shortcut's trigger, a click's own timestamp.
"""

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from adapters.keys import key_of
from adapters.port import AskOptions, Attachment, Departed, Inbound, Invocation, Place, Withdrawn
from adapters.slack.controls import command_of
from adapters.slack.modal import Submission
from adapters.slack.names import departed_in, tenant_in, text_at
from adapters.words import command_line

SURFACE = "slack"

MOST_FILES = 10

_LINK = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")

_BOTS = frozenset({"bot_message", "assistant_app_thread"})


@dataclass(frozen=True, slots=True)
class Reply:
    """What Slack gave to answer a gesture with, for a short time: `trigger` for 3 s, `url` for 30 min and five uses."""

    url: str = ""
    trigger: str = ""


NO_REPLY = Reply()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a payload asks for, and what it can be answered with."""

    inbound: Inbound
    reply: Reply = NO_REPLY


def from_command(body: Mapping[str, Any]) -> Asked | None:
    """A slash command. Its text is as it was typed: Slack escapes nothing in it for this app."""
    place, author = _place(body, text_at(body, "channel_id")), text_at(body, "user_id")
    trigger = text_at(body, "trigger_id")
    if not place.channel or not author or not trigger:
        return None
    word = "research" if text_at(body, "command").casefold().endswith("research") else "panel"
    key = key_of("command", place.tenant, place.channel, author, trigger)
    asked = Invocation(place, author, f"/{word} {text_at(body, 'text')}".strip(), key, "command")
    return Asked(asked, Reply(text_at(body, "response_url"), trigger))


def from_event(body: Mapping[str, Any]) -> Asked | None:
    """An event; None for what is not for the bot, above all whatever bots write."""
    event = body.get("event")
    if not isinstance(event, Mapping):
        return None
    match text_at(event, "type"):
        case "app_mention":
            return _message(body, event, mentioned=True)
        case "message":
            return _any_message(body, event)
        case "agent_session_stopped":
            return _stopped(body, event)
        case "app_uninstalled":
            return Asked(_departed(body))
        case "tokens_revoked":
            # A person's token that is revoked is nothing to the bot.
            bots = event["tokens"].get("bot") if isinstance(event.get("tokens"), Mapping) else None
            return Asked(_departed(body)) if bots else None
        case _:
            return None


def from_action(body: Mapping[str, Any]) -> Asked | None:
    """A button of the bot's own, pressed. What it is about is checked by whoever knows the runs."""
    actions = body.get("actions")
    action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else None
    found = command_of(action) if action is not None else None
    place, author = _place(body, _channel_of(body)), text_at(body, "user", "id")
    if action is None or found is None or not place.channel or not author:
        return None
    text, run = found
    at = text_at(action, "action_ts") or text_at(body, "trigger_id")
    key = key_of("action", place.tenant, place.channel, author, at, text_at(action, "action_id"), run, text)
    within = _thread_of(body)
    if run and not within:
        within = text_at(body, "container", "message_ts")  # the root, from which the run's thread hangs
    asked = Invocation(place, author, text, key, "control", run=run, within=within)
    return Asked(asked, Reply(text_at(body, "response_url"), text_at(body, "trigger_id")))


def from_shortcut(body: Mapping[str, Any]) -> Asked | None:
    """The shortcut on a message: a question about it, which its form has to ask. The run belongs into its thread."""
    message = body.get("message")
    place, author = _place(body, text_at(body, "channel", "id")), text_at(body, "user", "id")
    trigger, ts = text_at(body, "trigger_id"), text_at(message, "ts")
    if not isinstance(message, Mapping) or not place.channel or not author or not trigger or not ts:
        return None
    thread = text_at(message, "thread_ts") or ts
    whose = text_at(message, "user") or text_at(message, "username") or "somebody"
    quoted = Attachment(
        "The message",
        f"{whose}: {plain_text_of(text_at(message, 'text'))}",
        ref=json.dumps({"thread": thread, "message": ts}),
    )
    key = key_of("shortcut", place.tenant, place.channel, author, trigger)
    asked = Invocation(place, author, "/panel", key, "shortcut", (quoted,), within=thread)
    return Asked(asked, Reply(text_at(body, "response_url"), trigger))


def from_submission(body: Mapping[str, Any], submission: Submission, sealed: Mapping[str, str]) -> Asked | None:
    """A form that was sent off. `sealed` is what the form carried; it counts only for who it was made for."""
    author, tenant = text_at(body, "user", "id"), tenant_in(body)
    if not author or author != sealed.get("author") or tenant != sealed.get("tenant") or not sealed.get("channel"):
        return None
    place = Place(SURFACE, tenant, sealed["channel"])
    key = key_of("form", tenant, author, text_at(body, "view", "id"))
    files = _files(submission.files)
    if submission.documents.strip():
        files = (Attachment("Pasted document", submission.documents), *files)
    if sealed.get("quoted"):
        files = (Attachment("The message", ref=sealed["quoted"]), *files)
    panel = f"--panel {submission.panel} " if submission.panel else ""
    options = AskOptions(submission.profile, submission.pillars, submission.remember)
    text = f"/panel {panel}-- {submission.topic}"
    asked = Invocation(place, author, text, key, "form", files, within=sealed.get("thread", ""), options=options)
    return Asked(asked)


def plain_text_of(text: str) -> str:
    """A message's text as a person reads it: links as their addresses, mentions as names, entities decoded once."""
    return html.unescape(_LINK.sub(_linked, text))


def _any_message(body: Mapping[str, Any], event: Mapping[str, Any]) -> Asked | None:
    if text_at(event, "subtype") == "message_deleted":
        return _deleted(body, event)
    direct = text_at(event, "channel").startswith("D")
    if not direct and f"<@{_bot_user(body)}>" not in text_at(event, "text"):
        return None
    return _message(body, event, mentioned=not direct)


def _message(body: Mapping[str, Any], event: Mapping[str, Any], *, mentioned: bool) -> Asked | None:
    """A message to the bot. In a thread, what stands above it is evidence; in a direct message it is the thread."""
    subtype, author, ts = text_at(event, "subtype"), text_at(event, "user"), text_at(event, "ts")
    if subtype not in ("", "file_share", "thread_broadcast") or _by_a_bot(event) or author == _bot_user(body):
        return None
    place = _place(body, text_at(event, "channel"))
    if not author or not ts or not place.channel:
        return None
    text = re.sub(rf"<@{re.escape(_bot_user(body))}(\|[^<>]*)?>", " ", text_at(event, "text"), count=1)
    thread = text_at(event, "thread_ts")
    files = _files(event.get("files"))
    if thread and thread != ts:
        files = (Attachment("The thread above", ref=json.dumps({"thread": thread, "before": ts})), *files)
    within = thread or (ts if place.channel.startswith("D") else "")
    origin: Literal["mention", "message"] = "mention" if mentioned else "message"
    line = command_line(plain_text_of(text).strip())
    key = message_key(place, ts)
    return Asked(Invocation(place, author, line, key, origin, files, within=within))


def _departed(body: Mapping[str, Any]) -> Departed:
    at = body.get("event_time")
    # Slack tells whole seconds: whatever was before in that second has to count as before.
    return Departed(SURFACE, departed_in(body), float(at + 1) if type(at) is int else None)


def message_key(place: Place, ts: str) -> str:
    """The key of what a message asks, however many events there are for it."""
    return key_of("message", place.tenant, place.channel, ts)


def _deleted(body: Mapping[str, Any], event: Mapping[str, Any]) -> Asked | None:
    before = event.get("previous_message")
    place, ts = _place(body, text_at(event, "channel")), text_at(event, "deleted_ts")
    author = text_at(before, "user")
    if not isinstance(before, Mapping) or _by_a_bot(before) or not author or not ts or not place.channel:
        return None
    return Asked(Withdrawn(place, author, message_key(place, ts)))


def _stopped(body: Mapping[str, Any], event: Mapping[str, Any]) -> Asked | None:
    place, author = _place(body, text_at(event, "channel")), text_at(event, "user")
    thread = text_at(event, "thread_ts")
    if not place.channel or not author or not thread:
        return None
    key = key_of("stopped", place.tenant, place.channel, thread, text_at(body, "event_id"))
    return Asked(Invocation(place, author, "/panel stop", key, "control", within=thread))


def _by_a_bot(event: Mapping[str, Any]) -> bool:
    return bool(event.get("bot_id") or event.get("bot_profile")) or text_at(event, "subtype") in _BOTS


def _bot_user(body: Mapping[str, Any]) -> str:
    authorizations = body.get("authorizations")
    first = authorizations[0] if isinstance(authorizations, list) and authorizations else None
    return text_at(first, "user_id")


def _files(files: object) -> tuple[Attachment, ...]:
    listed = [file for file in files if isinstance(file, Mapping)] if isinstance(files, Iterable) else []
    found = tuple(_file(file) for file in listed[:MOST_FILES])
    left = tuple(
        replace(_file(file), ref="", problem=f"only {MOST_FILES} files are read; ask again with this one")
        for file in listed[MOST_FILES:]
    )
    return (*found, *left)


def _file(file: Mapping[str, Any]) -> Attachment:
    name = text_at(file, "name") or text_at(file, "title") or "file"
    where = {
        "file": text_at(file, "id"),
        "url": text_at(file, "url_private_download") or text_at(file, "url_private"),
        "type": text_at(file, "mimetype"),
    }
    if text_at(file, "mode") == "tombstone":
        return Attachment(name, problem="it was deleted; attach it again")
    if text_at(file, "mode") == "external":
        return Attachment(name, problem="it is kept outside of Slack; attach the file itself or paste its text")
    return Attachment(name, ref=json.dumps(where))


def _place(body: Mapping[str, Any], channel: str) -> Place:
    return Place(SURFACE, tenant_in(body), channel)


def _channel_of(body: Mapping[str, Any]) -> str:
    return text_at(body, "channel", "id") or text_at(body, "container", "channel_id")


def _thread_of(body: Mapping[str, Any]) -> str:
    return text_at(body, "container", "thread_ts") or text_at(body, "message", "thread_ts")


def _linked(match: re.Match[str]) -> str:
    target, label = match[1], match[2]
    if target.startswith(("@", "#", "!")):
        named = label or target.lstrip("!")
        return named if named.startswith(("@", "#")) else f"{target[0] if target[0] in '@#' else '@'}{named}"
    return f"{label} ({target})" if label and label not in target else target
