"""The Web API's methods: each takes the world, the workspace that calls and the arguments, and gives the answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.adapters.slack import fake_chat, fake_conversations
from tests.adapters.slack.fake_checks import (
    channel_of,
    checked,
    needs,
    needs_scope,
    root_of,
    to_write_in,
    true,
)
from tests.adapters.slack.fake_rules import (
    message_refusal,
    metadata_refusal,
    view_refusal,
)
from tests.adapters.slack.fake_world import (
    TRIGGER_SECONDS,
    Ephemeral,
    Json,
    Opened,
    Refused,
    Workspace,
    World,
)
from tests.adapters.slack.fake_written import (
    bot_message,
    bot_profile,
    with_ids,
)

Handler = Callable[[World, Workspace, Json], Json]
UNDER_CHANNEL_NAMES = {"public": "channels", "private": "groups", "im": "im"}


@dataclass(frozen=True, slots=True)
class Method:
    """`scope` is what the token needs; `{}` in it is the kind of channel, as in channels:history."""

    handle: Handler
    scope: str = ""


# People, workspaces, apps


def auth_test(world: World, team: Workspace, body: Json) -> Json:
    enterprise = {"enterprise_id": team.enterprise_id} if team.enterprise_id else {}
    return {
        "url": f"https://{team.name.lower()}.slack.com/",
        "team": team.name,
        "user": "panelist",
        "team_id": team.team_id,
        "user_id": team.bot_user_id,
        "bot_id": team.bot_id,
        "is_enterprise_install": False,
        **enterprise,
    }


def auth_revoke(world: World, team: Workspace, body: Json) -> Json:
    if true(body, "test"):
        return {"revoked": False}
    world.revoke(team.team_id)
    return {"revoked": True}


def user_info(world: World, team: Workspace, body: Json) -> Json:
    if (user := world.users.get(body.get("user", ""))) is None:
        raise Refused("user_not_found")
    profile = {"real_name": user.real_name, "display_name": user.name, "team": user.team_id}
    return {
        "user": {
            "id": user.id,
            "team_id": user.team_id,
            "name": user.name,
            "deleted": False,
            "real_name": user.real_name,
            "tz": "Etc/UTC",
            "profile": {**profile, "real_name_normalized": user.real_name, "display_name_normalized": user.name},
            "is_bot": user.bot,
            "is_app_user": False,
            "updated": 1_600_000_000,
        }
    }


def team_info(world: World, team: Workspace, body: Json) -> Json:
    domain = team.name.lower()
    enterprise = {"enterprise_id": team.enterprise_id} if team.enterprise_id else {}
    return {"team": {"id": team.team_id, "name": team.name, "domain": domain, **enterprise}}


def bot_info(world: World, team: Workspace, body: Json) -> Json:
    if body.get("bot", team.bot_id) != team.bot_id:
        raise Refused("bot_not_found")
    profile = {key: value for key, value in bot_profile(team).items() if key != "team_id"}
    return {"bot": {**profile, "user_id": team.bot_user_id}}


# Reactions


def reaction_key(world: World, team: Workspace, body: Json) -> tuple[str, str, str]:
    needs(body, "name")
    channel = channel_of(world, team, body.get("channel", ""))
    if (ts := body.get("timestamp", "")) not in world.posted.get(channel.id, {}):
        raise Refused("message_not_found")
    return channel.id, ts, body["name"]


def add_reaction(world: World, team: Workspace, body: Json) -> Json:
    if (key := reaction_key(world, team, body)) in world.reactions:
        raise Refused("already_reacted")
    world.reactions.add(key)
    return {}


def remove_reaction(world: World, team: Workspace, body: Json) -> Json:
    if (key := reaction_key(world, team, body)) not in world.reactions:
        raise Refused("no_reaction")
    world.reactions.discard(key)
    return {}


# Views


def opened(world: World, team: Workspace, user: str, view: Json, number: str = "") -> Json:
    number = number or f"V{world.number()}"
    shown = {
        "private_metadata": "",
        "callback_id": "",
        "external_id": "",
        "clear_on_close": False,
        "notify_on_close": False,
        "submit": None,
        "close": None,
        **view,
        "id": number,
        "team_id": team.team_id,
        "blocks": with_ids(view["blocks"], number),
        "state": {"values": {}},
        "hash": f"{world.number()}.hash",
        "root_view_id": number,
        "previous_view_id": None,
        "app_id": team.app_id,
        "app_installed_team_id": team.team_id,
        "bot_id": team.bot_id,
    }
    world.views[number] = Opened(user, shown)
    return {"view": shown}


def open_view(world: World, team: Workspace, body: Json) -> Json:
    trigger = world.triggers.get(body.get("trigger_id", ""))
    if trigger is None or trigger.team_id != team.team_id:
        raise Refused("invalid_trigger_id")
    if trigger.uses:
        raise Refused("exchanged_trigger_id")
    if world.clock() - trigger.made > TRIGGER_SECONDS:
        raise Refused("expired_trigger_id")
    checked(view_refusal(body.get("view")))
    trigger.uses += 1
    return opened(world, team, trigger.user, body["view"])


def update_view(world: World, team: Workspace, body: Json) -> Json:
    if (now := world.views.get(body.get("view_id", ""))) is None:
        raise Refused("not_found")
    if body.get("hash") not in (None, now.view["hash"]):
        raise Refused("hash_conflict")
    checked(view_refusal(body.get("view")))
    return opened(world, team, now.user, body["view"], now.view["id"])


# Files


def upload_url(world: World, team: Workspace, body: Json) -> Json:
    needs(body, "filename", "length")
    stored = world.new_file(team, body["filename"], int(body["length"]), team.bot_user_id, "text/plain")
    return {"upload_url": f"{world.origin}/upload/v1/{stored.info['id']}", "file_id": stored.info["id"]}


def complete_upload(world: World, team: Workspace, body: Json) -> Json:
    needs(body, "files")
    files = []
    for named in body["files"]:
        stored = world.files.get(named.get("id", ""))
        if stored is None or stored.content is None or stored.team_id != team.team_id:
            raise Refused("file_not_found")
        stored.info["title"] = named.get("title") or stored.info["name"]
        files.append(stored.info)
    # Sharing happens after the answer: the answer knows of no share, files.info does.
    answer = {"files": [dict(file) for file in files]}
    if body.get("channel_id"):
        share(world, team, body, files)
    return answer


def share(world: World, team: Workspace, body: Json, files: list[Json]) -> None:
    channel = to_write_in(world, team, body["channel_id"])
    root = root_of(world, channel, body.get("thread_ts"))
    message = bot_message(team, {"text": body.get("initial_comment", "")}, world.ts(), root)
    message |= {"files": files, "upload": False, "display_as_bot": False}
    world.keep(channel.id, message)
    thread = {"thread_ts": root["ts"]} if root else {}
    where = {channel.id: [{"ts": message["ts"], "team_id": team.team_id, "channel_name": channel.name, **thread}]}
    for file in files:
        file["shares"] = {"public" if channel.kind == "public" else "private": where}
        file["channels" if channel.kind == "public" else UNDER_FILE_NAMES[channel.kind]] = [channel.id]


UNDER_FILE_NAMES = {"private": "groups", "im": "ims"}


def file_info(world: World, team: Workspace, body: Json) -> Json:
    stored = world.files.get(body.get("file", ""))
    if stored is None or stored.team_id != team.team_id:
        raise Refused("file_not_found")
    return {"file": stored.info, "comments": [], "response_metadata": {"next_cursor": ""}}


def delete_file(world: World, team: Workspace, body: Json) -> Json:
    """Where it was shared, a stone stays."""
    stored = world.files.get(body.get("file", ""))
    if stored is None or stored.team_id != team.team_id:
        raise Refused("file_not_found")
    if stored.info["user"] != team.bot_user_id:
        raise Refused("cant_delete_file")
    del world.files[stored.info["id"]]
    for messages in world.posted.values():
        for message in messages.values():
            if stored.info in message.get("files", ()):
                message["files"] = [
                    {"id": file["id"], "mode": "tombstone"} if file is stored.info else file
                    for file in message["files"]
                ]
    return {}


# Without a workspace's token


def exchange_code(world: World, client: tuple[str, str], body: Json) -> Json:
    """oauth.v2.access: a code from the install page for a workspace's token."""
    if client[0] != world.client_id:
        raise Refused("invalid_client_id")
    if client[1] != world.client_secret:
        raise Refused("bad_client_secret")
    if (team_id := world.codes.pop(body.get("code", ""), None)) is None:
        raise Refused("invalid_code")
    team = replace(world.workspaces[team_id], revoked=False)
    world.add(team)
    return {
        "app_id": team.app_id,
        "authed_user": {"id": "U0ANN"},
        "scope": ",".join(team.scopes),
        "token_type": "bot",
        "access_token": team.token,
        "bot_user_id": team.bot_user_id,
        "team": {"id": team.team_id, "name": team.name},
        "enterprise": {"id": team.enterprise_id, "name": team.name} if team.enterprise_id else None,
        "is_enterprise_install": False,
    }


METHODS: Mapping[str, Method] = {
    "auth.test": Method(auth_test),
    "auth.revoke": Method(auth_revoke),
    "chat.postMessage": Method(fake_chat.post_message, "chat:write"),
    "chat.update": Method(fake_chat.update, "chat:write"),
    "chat.delete": Method(fake_chat.delete, "chat:write"),
    "chat.postEphemeral": Method(fake_chat.post_ephemeral, "chat:write"),
    "chat.getPermalink": Method(fake_chat.permalink),
    "chat.startStream": Method(fake_chat.start_stream, "chat:write"),
    "chat.appendStream": Method(fake_chat.append_stream, "chat:write"),
    "chat.stopStream": Method(fake_chat.stop_stream, "chat:write"),
    "assistant.threads.setStatus": Method(fake_chat.thread_status, "chat:write"),
    "agents.sessions.setStatus": Method(fake_chat.session_status, "chat:write"),
    "conversations.replies": Method(fake_conversations.replies, "{}:history"),
    "conversations.history": Method(fake_conversations.history, "{}:history"),
    "conversations.info": Method(fake_conversations.channel_info, "{}:read"),
    "conversations.open": Method(fake_conversations.open_conversation, "im:write"),
    "users.info": Method(user_info, "users:read"),
    "team.info": Method(team_info, "team:read"),
    "bots.info": Method(bot_info, "users:read"),
    "reactions.add": Method(add_reaction, "reactions:write"),
    "reactions.remove": Method(remove_reaction, "reactions:write"),
    "views.open": Method(open_view),
    "views.update": Method(update_view),
    "files.getUploadURLExternal": Method(upload_url, "files:write"),
    "files.completeUploadExternal": Method(complete_upload, "files:write"),
    "files.info": Method(file_info, "files:read"),
    "files.delete": Method(delete_file, "files:write"),
}


def scope_of(world: World, method: Method, body: Json) -> str:
    channel = world.channels.get(body.get("channel", ""))
    return method.scope.format(UNDER_CHANNEL_NAMES[channel.kind] if channel else "channels")


def call(world: World, team: Workspace, name: str, body: Json) -> Json:
    """The answer of a method that exists, or `Refused`."""
    method = METHODS[name]
    needs_scope(team, scope_of(world, method, body))
    return method.handle(world, team, body)


def respond(world: World, url: str, body: Json) -> Json:
    """A post to a response_url, once it was counted as a use."""
    door = world.hooks[url]
    team = world.workspaces[door.team_id]
    if true(body, "delete_original") and door.message_ts:
        world.posted.get(door.channel, {}).pop(door.message_ts, None)
        return {}
    checked(message_refusal(body))
    if body.get("metadata") is not None:
        checked(metadata_refusal(body["metadata"]))
    message = bot_message(team, body, world.ts(), None)
    if body.get("thread_ts"):
        message["thread_ts"] = body["thread_ts"]
    original = world.posted.get(door.channel, {}).get(door.message_ts)
    if true(body, "replace_original") and original is not None:
        world.keep(door.channel, {**original, **message, "ts": original["ts"]})
    elif body.get("response_type") == "in_channel":
        world.keep(door.channel, message)
    else:
        world.ephemerals.append(Ephemeral(door.channel, door.user, message))
    return {}
