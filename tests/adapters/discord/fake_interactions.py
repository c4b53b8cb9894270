"""Interactions: what people do with the bot as the gateway tells it, and what their tokens are good for."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.adapters.discord import fake_messages as messages
from tests.adapters.discord.fake_shapes import member_json, new_message, place_json, response_marks, user_json
from tests.adapters.discord.fake_world import (
    ALREADY,
    APPLICATION,
    BOT,
    EPHEMERAL,
    FOLLOWUPS_OVER,
    GUEST_FOLLOWUPS,
    INTERACTION_SECONDS,
    LOADING,
    RIGHTS,
    TOKEN_OVER,
    UNKNOWN_INTERACTION,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
    Gesture,
    Refused,
    Upload,
    World,
)

Json = dict[str, Any]
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
CHAT_INPUT, ON_MESSAGE = 1, 3
VALUES: Mapping[int, type] = {3: str, 4: int, 5: bool, 11: Upload}
"""What a person gives for an option of each type: text, number, yes or no, attachment."""
TOP_KINDS = {4: "message", 5: "deferred", 6: "deferred_update", 7: "update", 8: "autocomplete", 9: "modal"}
FITTING = {
    COMMAND: {4, 5, 9},
    COMPONENT: {4, 5, 6, 7, 9},
    AUTOCOMPLETE: {8},
    MODAL: {4, 5, 6, 7},
}
ALL_RIGHTS = str(sum(RIGHTS.values()))
GUEST_RIGHTS = str(RIGHTS["embed_links"] | RIGHTS["attach_files"] | RIGHTS["send_messages"])


# What the gateway tells


def told(world: World, gesture: Gesture, data: Json, message: Json | None = None) -> Json:
    """INTERACTION_CREATE ("Interaction Object"), kept with the gesture."""
    place = place_json(world, gesture.channel_id) | {"permissions": ALL_RIGHTS}
    owners = {"1": gesture.user.id} if gesture.guest else {"0": gesture.guild_id or "0"}
    payload: Json = {
        "id": gesture.id,
        "application_id": APPLICATION,
        "type": gesture.kind,
        "token": gesture.token,
        "version": 1,
        "channel_id": gesture.channel_id,
        "channel": place,
        "data": data,
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": owners,
        "attachment_size_limit": 10 * 2**20,
        "app_permissions": GUEST_RIGHTS if gesture.guest else world.bits(gesture.channel_id),
    }
    if gesture.guild_id:
        payload |= {"guild_id": gesture.guild_id, "guild_locale": "en-US", "context": 0}
        payload["guild"] = {"id": gesture.guild_id, "locale": "en-US", "features": []}
        payload["member"] = member_json(gesture.user, ALL_RIGHTS)
    else:
        payload |= {"user": user_json(gesture.user), "context": 2 if gesture.guest else 1}
    if message is not None:
        payload["message"] = message
    gesture.payload = payload
    return payload


def registered(world: World, name: str, kind: int) -> Json:
    """The command that a person picks: only what the bot has registered can be picked."""
    found = [one for one in world.commands if one["name"] == name and one["type"] == kind]
    assert found, f"no command {name!r} is registered, but {[one['name'] for one in world.commands]}"
    return found[0]


def command_data(world: World, channel_id: str, name: str, options: Mapping[str, Any], focused: str = "") -> Json:
    """A slash command with its options, which have to be those that it was registered with."""
    command = registered(world, name, CHAT_INPUT)
    known = {one["name"]: one for one in command.get("options") or ()}
    data: Json = {"id": command["id"], "name": name, "type": CHAT_INPUT}
    listed, attachments = [], {}
    for option, value in options.items():
        assert option in known, f"/{name} has no option {option!r}, but {sorted(known)}"
        one: Json = {"name": option, "type": known[option]["type"], "value": value}
        if isinstance(value, Upload):
            file = world.attach(channel_id, value)
            attachments[file["id"]] = file | {"ephemeral": True}
            one["value"] = file["id"]
        assert isinstance(value, VALUES[one["type"]]), f"{option} takes no {value!r}"
        offered = [choice["value"] for choice in known[option].get("choices") or ()]
        assert not offered or value in offered, f"{option} is one of {offered}, not {value!r}"
        listed.append(one | ({"focused": True} if option == focused else {}))
    if not focused:
        missing = [one for one, at in known.items() if at.get("required") and one not in options]
        assert not missing, f"/{name} needs {missing}"
    return data | {"options": listed} | ({"resolved": {"attachments": attachments}} if attachments else {})


def context_data(world: World, name: str, message: Json) -> Json:
    command = registered(world, name, ON_MESSAGE)
    resolved = {"messages": {message["id"]: message}}
    return {"id": command["id"], "name": name, "type": ON_MESSAGE, "target_id": message["id"], "resolved": resolved}


def submit_data(
    world: World,
    channel_id: str,
    modal: Json,
    values: Mapping[str, str | Sequence[str]],
    files: Mapping[str, Sequence[Upload]],
) -> Json:
    """A modal as it comes back; what is not filled in keeps its value."""
    attachments: Json = {}
    unknown = {*values, *files} - {one["custom_id"] for one in fields(modal)}
    assert not unknown, f"the form has no {unknown}"

    def filled(component: Json) -> Json:
        name, kind = component["custom_id"], component["type"]
        one: Json = {"type": kind, "custom_id": name, "id": component.get("id") or 1}
        if kind == 4:
            return one | {"value": values.get(name, component.get("value") or "")}
        if kind == 19:
            kept = [world.attach(channel_id, upload) for upload in files.get(name, ())]
            attachments.update({file["id"]: file for file in kept})
            return one | {"values": [file["id"] for file in kept]}
        chosen = values.get(name, [each["value"] for each in component.get("options") or () if each.get("default")])
        if kind in (21, 23):
            return one | {"value": chosen if isinstance(chosen, (str, bool)) else next(iter(chosen), None)}
        return one | {"values": [chosen] if isinstance(chosen, str) else list(chosen)}

    rows = []
    for number, row in enumerate(modal["components"], start=100):
        if row["type"] == 18:
            rows.append({"type": 18, "id": number, "component": filled(row["component"])})
        elif row["type"] == 1:
            rows.append({"type": 1, "id": number, "components": [filled(each) for each in row["components"]]})
        else:
            rows.append({"type": row["type"], "id": number})
    data = {"custom_id": modal["custom_id"], "components": rows}
    return data | ({"resolved": {"attachments": attachments}} if attachments else {})


def fields(modal: Json) -> list[Json]:
    found = []
    for row in modal["components"]:
        found += [row["component"]] if row["type"] == 18 else row.get("components") or []
    return found


# What the bot does with it


def respond(world: World, interaction_id: str, token: str, body: Json, files: messages.Files) -> Json:
    """The one response within three seconds ("Create Interaction Response")."""
    gesture = world.gestures.get(token)
    if gesture is None or gesture.id != interaction_id:
        raise Refused(*UNKNOWN_INTERACTION)
    if gesture.response:
        raise Refused(*ALREADY)
    if world.clock() - gesture.at > INTERACTION_SECONDS:
        raise Refused(*UNKNOWN_INTERACTION)
    kind, data = body["type"], body.get("data") or {}
    if kind not in FITTING[gesture.kind]:
        raise messages.invalid("type", f"{kind} does not answer an interaction of type {gesture.kind}")
    resource: Json = {"type": kind}
    if kind in (4, 5):
        message = first(world, gesture, kind, data, files)
        resource["message"] = message
    elif kind in (6, 7):
        gesture.original = gesture.payload["message"]["id"]
        if kind == 7:
            resource["message"] = messages.edit(world, own_message(world, gesture, "@original"), data, files)
    gesture.response = TOP_KINDS[kind]  # type: ignore[assignment]
    gesture.told = data
    gesture.responded.set()
    answer: Json = {"interaction": {"id": gesture.id, "type": gesture.kind}}
    if gesture.original:
        ephemeral, loading = gesture.original in world.seen_by, kind == 5
        answer["interaction"] |= {"response_message_id": gesture.original, "response_message_loading": loading}
        answer["interaction"]["response_message_ephemeral"] = ephemeral
    # Only what shows a message at once has a resource ("Interaction Callback Resource Object").
    return answer | ({"resource": resource} if kind in (4, 7) else {})


def first(world: World, gesture: Gesture, kind: int, data: Json, files: messages.Files) -> Json:
    """The message that responds, or says "thinking"."""
    gesture.ephemeral = bool((data.get("flags") or 0) & EPHEMERAL)
    if kind == 5:
        message = new_message(world, gesture.channel_id, BOT)
        message["flags"] = LOADING | (EPHEMERAL if gesture.ephemeral else 0)
    else:
        message = messages.made(world, gesture.channel_id, data, files)
    message |= response_marks(gesture)
    gesture.original = message["id"]
    messages.put(world, message, gesture.user.id if gesture.ephemeral else "")
    return message


def open_door(world: World, webhook_id: str, token: str) -> Gesture:
    """The gesture whose token this is, while it is good: fifteen minutes, and not before there was a response."""
    gesture = world.gestures.get(token)
    if webhook_id != APPLICATION or gesture is None or not gesture.response:
        raise Refused(*UNKNOWN_WEBHOOK)
    if world.clock() - gesture.at > world.token_seconds:
        raise Refused(*TOKEN_OVER)
    return gesture


def own_message(world: World, gesture: Gesture, message_id: str) -> Json:
    """A message that the token reaches."""
    message_id = gesture.original if message_id == "@original" else message_id
    message = world.held(gesture.channel_id, message_id)
    if message is None:
        raise Refused(*UNKNOWN_MESSAGE)
    return message


def follow_up(world: World, gesture: Gesture, body: Json, files: messages.Files) -> Json:
    """One more message; the first after "thinking" takes its place. Where only a person brought the app there are five
    at most ("Followup Messages")."""
    standing = world.held(gesture.channel_id, gesture.original) if gesture.original else None
    if gesture.response == "deferred" and standing is not None and standing["flags"] & LOADING:
        return messages.edit(world, standing, body, files)
    if gesture.guest and gesture.followups >= GUEST_FOLLOWUPS:
        raise Refused(*FOLLOWUPS_OVER)
    gesture.followups += 1
    ephemeral = bool((body.get("flags") or 0) & EPHEMERAL)
    message = messages.made(world, gesture.channel_id, body, files) | {"application_id": APPLICATION}
    message["webhook_id"] = APPLICATION
    messages.put(world, message, gesture.user.id if ephemeral else "")
    return message
