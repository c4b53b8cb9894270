"""The REST routes that the fake serves, each by Discord's name for the operation. What is not here is not served."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.adapters.discord import fake_interactions as interactions
from tests.adapters.discord import fake_messages as messages
from tests.adapters.discord.fake_shapes import place_json, thread_json, user_json
from tests.adapters.discord.fake_world import (
    APPLICATION,
    ARCHIVED,
    BOT,
    HAS_ONE,
    MISSING_ACCESS,
    MISSING_RIGHT,
    NOT_OWN,
    RIGHTS,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    WRONG_KIND,
    Call,
    Json,
    Refused,
    World,
)

Parts = Mapping[str, str]
Handler = Callable[[World, Parts, Call], Any]
DOOR = "/webhooks/{webhook_id}/{webhook_token}"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `status` is that of its answer, and `by_bot`: it takes the bot's token."""

    method: str
    template: str
    name: str
    handle: Handler
    status: int = 200
    by_bot: bool = True

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.template)))


def routed(method: str, path: str) -> tuple[Route, Parts] | None:
    for route in ROUTES:
        if route.method == method and (match := route.pattern.fullmatch(path)):
            return route, match.groupdict()
    return None


def major(parts: Parts) -> str:
    """What a bucket is counted apart for ("Rate Limits": channel, guild, webhook with its token)."""
    names = ("channel_id", "guild_id", "webhook_id", "webhook_token", "interaction_token")
    return "+".join(parts[name] for name in names if name in parts)


def body_of(call: Call) -> Json:
    return call.body if isinstance(call.body, dict) else {}


# The bot itself


def get_gateway(world: World, parts: Parts, call: Call) -> Json:
    return {"url": f"{world.origin.replace('http', 'ws', 1)}/gateway"}


def get_bot_gateway(world: World, parts: Parts, call: Call) -> Json:
    limit = {"total": 1000, "remaining": 999, "reset_after": 86_400_000, "max_concurrency": 1}
    return {**get_gateway(world, parts, call), "shards": world.shards, "session_start_limit": limit}


def get_my_user(world: World, parts: Parts, call: Call) -> Json:
    return {**user_json(BOT), "mfa_enabled": False, "locale": "en-US", "verified": True, "email": None}


def get_my_application(world: World, parts: Parts, call: Call) -> Json:
    return {
        "id": APPLICATION,
        "name": "Panelist",
        "icon": None,
        "description": "",
        "type": None,
        "bot": user_json(BOT),
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": world.application_flags,
        "flags_new": str(world.application_flags),
        "redirect_uris": [],
        "interactions_endpoint_url": world.interactions_endpoint or None,
        "role_connections_verification_url": None,
        "owner": user_json(next(user for user in world.users.values() if not user.bot)),
        "approximate_guild_count": sum(guild.installed for guild in world.guilds.values()),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": [],
        "integration_types_config": {"0": {}, "1": {}},
    }


def list_my_guilds(world: World, parts: Parts, call: Call) -> list[Json]:
    every = sorted((one for one in world.guilds.values() if one.installed), key=lambda one: int(one.id))
    after, limit = int(call.query.get("after", 0)), int(call.query.get("limit", 200))
    return [
        {
            "id": one.id,
            "name": one.name,
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": str(sum(RIGHTS.values())),
            "features": [],
        }
        for one in every
        if int(one.id) > after
    ][:limit]


def list_commands(world: World, parts: Parts, call: Call) -> list[Json]:
    return world.commands


def set_commands(world: World, parts: Parts, call: Call) -> list[Json]:
    """Commands that stay keep their ids."""
    known = {(one["type"], one["name"]): one["id"] for one in world.commands}
    world.commands = [command_json(world, one, known) for one in call.body or ()]
    return world.commands


def command_json(world: World, given: Json, known: Mapping[tuple[int, str], str]) -> Json:
    told = {"type": 1, "description": "", **{key: value for key, value in given.items() if value is not None}}
    told.setdefault("default_member_permissions", None)
    id_ = known.get((told["type"], told["name"])) or world.snowflake()
    return told | {"id": id_, "application_id": APPLICATION, "version": world.snowflake()}


# Channels and messages


def get_channel(world: World, parts: Parts, call: Call) -> Json:
    messages.reached(world, parts["channel_id"])
    return place_json(world, parts["channel_id"])


def create_dm(world: World, parts: Parts, call: Call) -> Json:
    user = str(body_of(call).get("recipient_id"))
    if user not in world.users:
        raise messages.invalid("recipient_id", "Unknown user")
    return place_json(world, world.dm_of(user).id)


def create_message(world: World, parts: Parts, call: Call) -> Json:
    return messages.send(world, parts["channel_id"], body_of(call), call.files)


def list_messages(world: World, parts: Parts, call: Call) -> list[Json]:
    """Newest first; nothing for who may not read the history ("Get Channel Messages")."""
    if "read_message_history" not in messages.reached(world, parts["channel_id"]):
        return []
    every = [messages.as_told(world, one) for one in world.standing(parts["channel_id"])[::-1]]
    limit, query = int(call.query.get("limit", 50)), call.query
    if "after" in query:
        later = [one for one in every if int(one["id"]) > int(query["after"])]
        return later[-limit:]
    if "before" in query:
        every = [one for one in every if int(one["id"]) < int(query["before"])]
    return every[:limit]


def get_message(world: World, parts: Parts, call: Call) -> Json:
    if "read_message_history" not in messages.reached(world, parts["channel_id"]):
        raise Refused(*MISSING_ACCESS)
    return messages.as_told(world, messages.found(world, parts["channel_id"], parts["message_id"]))


def own(world: World, parts: Parts) -> Json:
    """A message that is the bot's, in a place that can be written to."""
    messages.reached(world, parts["channel_id"])
    message = messages.found(world, parts["channel_id"], parts["message_id"])
    if message["author"]["id"] != BOT.id:
        raise Refused(*NOT_OWN)
    thread = world.threads.get(parts["channel_id"])
    if thread is not None and (thread.archived or thread.locked):
        raise Refused(*ARCHIVED)
    return message


def update_message(world: World, parts: Parts, call: Call) -> Json:
    return messages.edit(world, own(world, parts), body_of(call), call.files)


def delete_message(world: World, parts: Parts, call: Call) -> None:
    message = own(world, parts)
    world.drop(parts["channel_id"], message["id"])
    told = {"id": message["id"], "channel_id": parts["channel_id"]}
    world.emit("MESSAGE_DELETE", told, parts["channel_id"])


def trigger_typing_indicator(world: World, parts: Parts, call: Call) -> None:
    messages.reached(world, parts["channel_id"])


def create_thread_from_message(world: World, parts: Parts, call: Call) -> Json:
    """("Start Thread from Message")"""
    channel_id, message_id = parts["channel_id"], parts["message_id"]
    rights = messages.reached(world, channel_id)
    if channel_id in world.threads or world.channels[channel_id].kind != "text":
        raise Refused(*WRONG_KIND)
    message = world.held(channel_id, message_id)
    if message is None or message_id in world.seen_by:
        raise Refused(*UNKNOWN_MESSAGE)
    if message_id in world.threads:
        raise Refused(*HAS_ONE)
    if "create_public_threads" not in rights:
        raise Refused(*MISSING_RIGHT)
    thread = messages.start_thread(world, channel_id, message, body_of(call)["name"], BOT)
    thread.minutes = body_of(call).get("auto_archive_duration") or thread.minutes
    return thread_json(world, thread)


def update_channel(world: World, parts: Parts, call: Call) -> Json:
    """Only a thread's archiving, and only the bot's own thread."""
    thread = world.threads.get(parts["channel_id"])
    if thread is None:
        raise Refused(*UNKNOWN_CHANNEL)
    rights = messages.reached(world, thread.id)
    if thread.owner != BOT.id and "manage_threads" not in rights:
        raise Refused(*MISSING_RIGHT)
    if thread.locked and "manage_threads" not in rights:
        raise Refused(*MISSING_RIGHT)
    thread.archived = body_of(call).get("archived", thread.archived)
    thread.name = body_of(call).get("name", thread.name)
    return thread_json(world, thread)


def delete_channel(world: World, parts: Parts, call: Call) -> Json:
    """Only a thread, by who may manage threads ("Delete/Close Channel")."""
    thread = world.threads.get(parts["channel_id"])
    rights = messages.reached(world, parts["channel_id"])
    if thread is None or "manage_threads" not in rights:
        raise Refused(*MISSING_RIGHT)
    told = thread_json(world, thread)
    del world.threads[thread.id]
    world.posted.pop(thread.id, None)
    return told


# Interactions


def create_interaction_response(world: World, parts: Parts, call: Call) -> Any:
    answered = interactions.respond(
        world, parts["interaction_id"], parts["interaction_token"], body_of(call), call.files
    )
    return answered if call.query.get("with_response", "").lower() in ("1", "true") else None


def execute_webhook(world: World, parts: Parts, call: Call) -> Json:
    return interactions.follow_up(world, door(world, parts), body_of(call), call.files)


def door(world: World, parts: Parts) -> interactions.Gesture:
    return interactions.open_door(world, parts["webhook_id"], parts["webhook_token"])


def get_webhook_message(world: World, parts: Parts, call: Call) -> Json:
    return interactions.own_message(world, door(world, parts), parts.get("message_id", "@original"))


def update_webhook_message(world: World, parts: Parts, call: Call) -> Json:
    message = get_webhook_message(world, parts, call)
    return messages.edit(world, message, body_of(call), call.files)


def delete_webhook_message(world: World, parts: Parts, call: Call) -> None:
    message = get_webhook_message(world, parts, call)
    world.drop(message["channel_id"], message["id"])
    if message["id"] not in world.seen_by:
        told = {"id": message["id"], "channel_id": message["channel_id"]}
        world.emit("MESSAGE_DELETE", told, message["channel_id"])


COMMANDS, CHANNEL = "/applications/{application_id}/commands", "/channels/{channel_id}"
MESSAGES, ORIGINAL = f"{CHANNEL}/messages", f"{DOOR}/messages/@original"
ROUTES = (
    Route("GET", "/gateway", "get_gateway", get_gateway, by_bot=False),
    Route("GET", "/gateway/bot", "get_bot_gateway", get_bot_gateway),
    Route("GET", "/users/@me", "get_my_user", get_my_user),
    Route("GET", "/users/@me/guilds", "list_my_guilds", list_my_guilds),
    Route("POST", "/users/@me/channels", "create_dm", create_dm),
    Route("GET", "/applications/@me", "get_my_application", get_my_application),
    Route("GET", "/oauth2/applications/@me", "get_my_oauth2_application", get_my_application),
    Route("GET", COMMANDS, "list_application_commands", list_commands),
    Route("PUT", COMMANDS, "bulk_set_application_commands", set_commands),
    Route("GET", CHANNEL, "get_channel", get_channel),
    Route("PATCH", CHANNEL, "update_channel", update_channel),
    Route("DELETE", CHANNEL, "delete_channel", delete_channel),
    Route("GET", MESSAGES, "list_messages", list_messages),
    Route("POST", MESSAGES, "create_message", create_message),
    Route("GET", f"{MESSAGES}/{{message_id}}", "get_message", get_message),
    Route("PATCH", f"{MESSAGES}/{{message_id}}", "update_message", update_message),
    Route("DELETE", f"{MESSAGES}/{{message_id}}", "delete_message", delete_message, 204),
    Route("POST", f"{CHANNEL}/typing", "trigger_typing_indicator", trigger_typing_indicator, 204),
    Route(
        "POST",
        f"{MESSAGES}/{{message_id}}/threads",
        "create_thread_from_message",
        create_thread_from_message,
        201,
    ),
    Route(
        "POST",
        "/interactions/{interaction_id}/{interaction_token}/callback",
        "create_interaction_response",
        create_interaction_response,
        by_bot=False,
    ),
    Route("POST", DOOR, "execute_webhook", execute_webhook, by_bot=False),
    Route("GET", ORIGINAL, "get_original_webhook_message", get_webhook_message, by_bot=False),
    Route("PATCH", ORIGINAL, "update_original_webhook_message", update_webhook_message, by_bot=False),
    Route("DELETE", ORIGINAL, "delete_original_webhook_message", delete_webhook_message, 204, by_bot=False),
    Route("GET", f"{DOOR}/messages/{{message_id}}", "get_webhook_message", get_webhook_message, by_bot=False),
    Route("PATCH", f"{DOOR}/messages/{{message_id}}", "update_webhook_message", update_webhook_message, by_bot=False),
    Route(
        "DELETE", f"{DOOR}/messages/{{message_id}}", "delete_webhook_message", delete_webhook_message, 204, by_bot=False
    ),
)
