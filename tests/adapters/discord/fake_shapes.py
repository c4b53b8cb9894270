"""The JSON in which Discord tells of people, servers, channels, threads and messages. Pure."""

from datetime import UTC, datetime
from typing import Any

from tests.adapters.discord.fake_world import (
    APPLICATION,
    BOT,
    COMPONENTS_V2,
    Channel,
    Gesture,
    Guild,
    Thread,
    User,
    World,
)

Json = dict[str, Any]
KINDS = {"text": 0, "dm": 1, "group": 3, "forum": 15}
PUBLIC_THREAD, THREAD_STARTER, REPLY, COMMAND_RESPONSE, CONTEXT_RESPONSE = 11, 21, 19, 20, 23
JOINED = "2024-01-01T00:00:00+00:00"
TEXT_DISPLAY, FILE, CONTAINER, BUTTON = 10, 13, 17, 2


def user_json(user: User) -> Json:
    return {
        "id": user.id,
        "username": user.name,
        "avatar": None,
        "discriminator": "0",
        "public_flags": 0,
        "flags": 0,
        "global_name": user.name.title(),
        "primary_guild": None,
        "bot": user.bot,
    }


def member_json(user: User, permissions: str = "") -> Json:
    told = {
        "user": user_json(user),
        "nick": None,
        "avatar": None,
        "banner": None,
        "roles": [],
        "joined_at": JOINED,
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
        "communication_disabled_until": None,
    }
    return told | ({"permissions": permissions} if permissions else {})


def channel_json(world: World, channel: Channel) -> Json:
    told: Json = {"id": channel.id, "type": KINDS[channel.kind], "flags": 0, "last_message_id": None}
    if channel.kind in ("dm", "group"):
        told["recipients"] = [user_json(world.users[user]) for user in channel.users]
        return told if channel.kind == "dm" else told | {"name": None, "icon": None, "owner_id": channel.users[0]}
    told |= {"guild_id": channel.guild_id, "name": channel.name, "position": 0, "parent_id": None, "topic": None}
    told |= {"nsfw": False, "rate_limit_per_user": 0, "permission_overwrites": []}
    return told | ({"available_tags": []} if channel.kind == "forum" else {})


def thread_json(world: World, thread: Thread) -> Json:
    posted = len(world.standing(thread.id))
    made = datetime.fromtimestamp(thread.made, UTC).isoformat()
    return {
        "id": thread.id,
        "type": PUBLIC_THREAD,
        "flags": 0,
        "guild_id": world.guild_of(thread.id),
        "parent_id": thread.parent,
        "name": thread.name,
        "owner_id": thread.owner,
        "last_message_id": None,
        "rate_limit_per_user": 0,
        "message_count": posted,
        "member_count": 1,
        "total_message_sent": posted,
        "thread_metadata": {
            "archived": thread.archived,
            "archive_timestamp": made,
            "auto_archive_duration": thread.minutes,
            "locked": thread.locked,
            "create_timestamp": made,
        },
    }


def place_json(world: World, channel_id: str) -> Json:
    """A channel or a thread."""
    thread = world.threads.get(channel_id)
    return thread_json(world, thread) if thread else channel_json(world, world.channels[channel_id])


def guild_json(world: World, guild: Guild) -> Json:
    """As GUILD_CREATE tells of it ("Gateway Events", "Guild Create")."""
    channels = [one for one in world.channels.values() if one.guild_id == guild.id]
    own = {one.id for one in channels}
    everyone = {"id": guild.id, "name": "@everyone", "permissions": "0", "position": 0, "color": 0, "hoist": False}
    everyone |= {"managed": False, "mentionable": False, "flags": 0, "icon": None, "unicode_emoji": None}
    return {
        "id": guild.id,
        "name": guild.name,
        "icon": None,
        "banner": None,
        "splash": None,
        "owner_id": "1",
        "features": [],
        "unavailable": False,
        "large": False,
        "member_count": 3,
        "joined_at": JOINED,
        "verification_level": 0,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "preferred_locale": "en-US",
        "afk_timeout": 300,
        "afk_channel_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "roles": [everyone],
        "emojis": [],
        "stickers": [],
        "members": [member_json(BOT)],
        "channels": [channel_json(world, one) for one in channels],
        "threads": [thread_json(world, one) for one in world.threads.values() if one.parent in own],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def new_message(world: World, channel_id: str, author: User, content: str = "") -> Json:
    """A message that nothing else is known of yet."""
    return {
        "type": 0,
        "id": world.snowflake(),
        "channel_id": channel_id,
        "author": user_json(author),
        "content": content,
        "timestamp": world.stamp(),
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "components": [],
        "pinned": False,
        "flags": 0,
    }


def response_marks(gesture: Gesture, source: str = "") -> Json:
    """What the responses to an interaction have that other messages have not."""
    kinds = {2: {"type": 2}, 3: {"type": 3, "interacted_message_id": source}}
    metadata: Json = {"id": gesture.id, "user": user_json(gesture.user)} | kinds.get(gesture.kind, {"type": 2})
    owner = {"1": gesture.user.id} if gesture.guest else {"0": gesture.guild_id or "0"}
    metadata["authorizing_integration_owners"] = owner
    kind = CONTEXT_RESPONSE if gesture.payload.get("data", {}).get("type") == 3 else COMMAND_RESPONSE
    marks: Json = {"application_id": APPLICATION, "webhook_id": APPLICATION}
    return marks | ({"type": kind, "interaction_metadata": metadata} if gesture.kind == 2 else {})


def components_json(components: list[Json], attachments: list[Json]) -> list[Json]:
    """Components as Discord gives them back: each with an id, those that were given kept ("Component Reference":
    "generated in sequence" where there is none)."""
    taken = set(given_ids(components))
    free = (number for number in range(1, 1 << 31) if number not in taken)

    def told(one: Json) -> Json:
        one = {key: value for key, value in one.items() if value is not None}
        one["id"] = one.get("id") or next(free)
        if one["type"] == CONTAINER:
            one = {"accent_color": None, "spoiler": False, **one}
        if one["type"] == FILE:
            name = one["file"]["url"].removeprefix("attachment://")
            file = next(each for each in attachments if each["filename"] == name or each["url"] == name)
            media = {"id": file["id"], "url": file["url"], "proxy_url": file["proxy_url"], "attachment_id": file["id"]}
            one = {"spoiler": False, **one, "file": media, "name": file["filename"], "size": file["size"]}
        for inner in ("components",):
            if inner in one:
                one[inner] = [told(each) for each in one[inner]]
        return one

    return [told(one) for one in components]


def given_ids(components: list[Json]) -> list[int]:
    found: list[int] = []
    for one in components:
        if one.get("id"):
            found.append(one["id"])
        found += given_ids(one.get("components") or [])
    return found


def is_v2(message: Json) -> bool:
    return bool(message["flags"] & COMPONENTS_V2)
