"""What Slack sends to an app, as its reference shows it. Pure: a gesture and what it is about go in, JSON comes out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.adapters.slack.fake_world import ANN, GENERAL, HOME, Channel, Json, User, Workspace

VERIFICATION = "legacy-verification-token"
CHANNEL_TYPES = {"public": "channel", "private": "group", "im": "im"}


@dataclass(frozen=True, slots=True)
class Gesture:
    """Who did something where, and what Slack lets the app answer with. `FakeSlack.gesture` makes one that works."""

    team: Workspace = HOME
    channel: Channel = GENERAL
    user: User = ANN
    trigger_id: str = "1.2.abc"
    response_url: str = "https://hooks.slack.com/x"

    @property
    def channel_name(self) -> str:
        return "directmessage" if self.channel.kind == "im" else self.channel.name


# Commands


def slash_command(gesture: Gesture, text: str, command: str = "/panel") -> Json:
    """Comes form-encoded. It has no ts and cannot be typed in a thread."""
    enterprise = {"enterprise_id": gesture.team.enterprise_id} if gesture.team.enterprise_id else {}
    return {
        "token": VERIFICATION,
        "team_id": gesture.team.team_id,
        "team_domain": gesture.team.name.lower(),
        **enterprise,
        "channel_id": gesture.channel.id,
        "channel_name": gesture.channel_name,
        "user_id": gesture.user.id,
        "user_name": gesture.user.name,
        "command": command,
        "text": text,
        "api_app_id": gesture.team.app_id,
        "is_enterprise_install": "false",
        "response_url": gesture.response_url,
        "trigger_id": gesture.trigger_id,
    }


# Events


def event(team: Workspace, what: Json, event_id: str = "") -> Json:
    """The envelope of any event. One event has one `event_id`, however often it is delivered."""
    ts = str(what.get("event_ts", "1700000000.000000"))
    return {
        "token": VERIFICATION,
        "team_id": team.team_id,
        "context_team_id": team.team_id,
        "context_enterprise_id": team.enterprise_id or None,
        "api_app_id": team.app_id,
        "event": what,
        "type": "event_callback",
        "event_id": event_id or f"Ev{what['type']}{ts.replace('.', '')}",
        "event_time": int(float(ts)),
        "authorizations": [
            {
                "enterprise_id": team.enterprise_id or None,
                "team_id": team.team_id,
                "user_id": team.bot_user_id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-{what['type']}-{ts}",
    }


def app_mention(gesture: Gesture, message: Json) -> Json:
    """Somebody named the app in a channel. `message` is what they wrote, as `FakeSlack.say` gives it."""
    what = {**message, "type": "app_mention", "channel": gesture.channel.id, "event_ts": message["ts"]}
    return event(gesture.team, what)


def message_event(gesture: Gesture, message: Json) -> Json:
    """A message in a channel or a direct one. A mention in a channel comes as this too, with another `event_id`."""
    what = {
        **message,
        "channel": gesture.channel.id,
        "event_ts": message["ts"],
        "channel_type": CHANNEL_TYPES[gesture.channel.kind],
    }
    if message.get("files"):
        what["subtype"] = "file_share"
    return event(gesture.team, what)


def message_changed(gesture: Gesture, before: Json, text: str, ts: str) -> Json:
    """`ts` is that of the change."""
    after = {**before, "text": text, "edited": {"user": gesture.user.id, "ts": ts}}
    return changed(gesture, "message_changed", {"message": after, "previous_message": before}, ts)


def message_deleted(gesture: Gesture, before: Json, ts: str) -> Json:
    return changed(gesture, "message_deleted", {"previous_message": before, "deleted_ts": before["ts"]}, ts)


def changed(gesture: Gesture, subtype: str, what: Json, ts: str) -> Json:
    hidden: Json = {"type": "message", "subtype": subtype, "hidden": True, **what}
    where = {"channel": gesture.channel.id, "channel_type": CHANNEL_TYPES[gesture.channel.kind]}
    return event(gesture.team, {**hidden, **where, "ts": ts, "event_ts": ts})


def bot_message_event(gesture: Gesture, message: Json) -> Json:
    """What a bot posted comes back as a message too, our own posts among them."""
    return message_event(gesture, {**message, "subtype": "bot_message"} if "username" in message else message)


def app_home_opened(gesture: Gesture, ts: str, tab: str = "messages") -> Json:
    what = {"user": gesture.user.id, "channel": gesture.channel.id, "tab": tab, "event_ts": ts}
    return event(gesture.team, {"type": "app_home_opened", **what})


def agent_session_stopped(gesture: Gesture, thread_ts: str, ts: str, streaming: Iterable[str] = ()) -> Json:
    """Somebody pressed Stop. `streaming` are the messages that Slack ended, as `FakeSlack.stop_by_user` gives them."""
    what = {"channel": gesture.channel.id, "thread_ts": thread_ts, "user": gesture.user.id, "event_ts": ts}
    return event(gesture.team, {"type": "agent_session_stopped", "streaming_message_ts": [*streaming], **what})


def app_uninstalled(team: Workspace, ts: str) -> Json:
    return event(team, {"type": "app_uninstalled", "event_ts": ts})


def of_an_organisation(body: Json, named: str | None) -> Json:
    """An event as an installation of a whole organisation gets it; `named` is what stands for the workspace."""
    whole = {"team_id": None, "is_enterprise_install": True}
    return body | {"team_id": named, "authorizations": [each | whole for each in body["authorizations"]]}


def tokens_revoked(team: Workspace, ts: str, bot: Iterable[str] = (), oauth: Iterable[str] = ()) -> Json:
    """`bot` and `oauth` are user ids: whose tokens are gone."""
    return event(team, {"type": "tokens_revoked", "tokens": {"oauth": [*oauth], "bot": [*bot]}, "event_ts": ts})


# Interactions: the form's one field, `payload`, holds these as JSON.


def interaction(gesture: Gesture, kind: str, more: Json) -> Json:
    team, user = gesture.team, gesture.user
    enterprise = {"id": team.enterprise_id, "name": team.name} if team.enterprise_id else None
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": team.app_id,
        "token": VERIFICATION,
        "trigger_id": gesture.trigger_id,
        "team": {"id": team.team_id, "domain": team.name.lower()},
        "enterprise": enterprise,
        "is_enterprise_install": False,
        **more,
    }


def button(action_id: str, value: str, block_id: str = "b1", ts: str = "1700000000.000001") -> Json:
    """A pressed button. A feedback button is told by its type: see `feedback`."""
    text = {"type": "plain_text", "text": action_id, "emoji": True}
    pressed = {"action_id": action_id, "block_id": block_id, "value": value, "text": text}
    return {**pressed, "type": "button", "action_ts": ts}


def feedback(action_id: str, value: str, block_id: str = "b1", ts: str = "1700000000.000001") -> Json:
    return {**button(action_id, value, block_id, ts), "type": "feedback_buttons"}


def block_actions(gesture: Gesture, action: Json, message: Json, *, ephemeral: bool = False) -> Json:
    """Something in a message was pressed. Of an `ephemeral` one only its place comes along ("block_actions")."""
    thread = {"thread_ts": message["thread_ts"]} if message.get("thread_ts") else {}
    where = {
        "type": "message",
        "message_ts": message["ts"],
        "channel_id": gesture.channel.id,
        "is_ephemeral": ephemeral,
        **thread,
    }
    more = {
        "container": where,
        "channel": {"id": gesture.channel.id, "name": gesture.channel_name},
        **({} if ephemeral else {"message": message}),
        "state": {"values": {}},
        "response_url": gesture.response_url,
        "actions": [action],
    }
    return interaction(gesture, "block_actions", more)


def message_shortcut(gesture: Gesture, message: Json, callback_id: str) -> Json:
    more = {
        "callback_id": callback_id,
        "action_ts": "1700000000.000001",
        "message_ts": message["ts"],
        "channel": {"id": gesture.channel.id, "name": gesture.channel_name},
        "message": message,
        "response_url": gesture.response_url,
    }
    return interaction(gesture, "message_action", more)


def global_shortcut(gesture: Gesture, callback_id: str) -> Json:
    """Has neither a channel nor a response_url."""
    return interaction(gesture, "shortcut", {"callback_id": callback_id, "action_ts": "1700000000.000001"})


def view_submission(gesture: Gesture, view: Json, values: dict[str, dict[str, Json]]) -> Json:
    """`values` is by block_id and action_id, from `typed`, `chose`, `ticked` and `attached`. `view` is as opened."""
    return interaction(gesture, "view_submission", {"view": {**view, "state": {"values": values}}, "response_urls": []})


def view_closed(gesture: Gesture, view: Json) -> Json:
    return interaction(gesture, "view_closed", {"view": view, "is_cleared": False})


def typed(text: str | None) -> Json:
    """An empty field is null."""
    return {"type": "plain_text_input", "value": text}


def option(value: str, text: str) -> Json:
    return {"text": {"type": "plain_text", "text": text, "emoji": True}, "value": value}


def chose(value: str | None, text: str = "") -> Json:
    return {"type": "static_select", "selected_option": option(value, text or value) if value else None}


def ticked(*values: str) -> Json:
    return {"type": "checkboxes", "selected_options": [option(value, value) for value in values]}


def attached(*files: Any) -> Json:
    return {"type": "file_input", "files": [*files]}
