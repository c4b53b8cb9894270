"""How a message comes to stand, is changed and goes: rights, nonces, files, components, alerts. Knows no routes."""

from typing import Any

from tests.adapters.discord.fake_reading import alerts, texts
from tests.adapters.discord.fake_shapes import components_json, new_message, thread_json, user_json
from tests.adapters.discord.fake_world import (
    ARCHIVED,
    BOT,
    CLOSED,
    COMPONENTS_V2,
    EPHEMERAL,
    HAS_THREAD,
    LOADING,
    MISSING_ACCESS,
    MISSING_RIGHT,
    NO_HISTORY,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    WRONG_KIND,
    Refused,
    Thread,
    Upload,
    User,
    World,
)

Json = dict[str, Any]
Files = dict[str, bytes]
KEPT_FLAGS = COMPONENTS_V2 | EPHEMERAL | (1 << 2) | (1 << 12)
EMPTY = (400, 50006, "Cannot send an empty message")


def invalid(where: str, message: str) -> Refused:
    errors: Json = {"_errors": [{"code": "INVALID", "message": message}]}
    for part in reversed(where.split(".")):
        errors = {part: errors}
    return Refused(400, 50035, "Invalid Form Body", errors)


def reached(world: World, channel_id: str) -> set[str]:
    """The bot's rights in a place that it sees. Who only installed the app for themselves brings it nowhere: its own
    calls are refused there."""
    parent = world.parent(channel_id)
    if parent is None:
        raise Refused(*UNKNOWN_CHANNEL)
    rights = world.rights(channel_id)
    if "view_channel" not in rights:
        raise Refused(*MISSING_ACCESS)
    return rights


def may_send(world: World, channel_id: str, body: Json, files: Files) -> None:
    """Raises what Discord refuses a bot's message with."""
    rights = reached(world, channel_id)
    thread, parent = world.threads.get(channel_id), world.channels[world.parent(channel_id).id]  # type: ignore[union-attr]
    if parent.kind == "forum" and thread is None:
        raise Refused(400, 50008, "Cannot send messages in a non-text channel")
    if parent.kind == "dm" and any(world.users[user].closed for user in parent.users):
        raise Refused(*CLOSED)
    if ("send_messages_in_threads" if thread else "send_messages") not in rights:
        raise Refused(*MISSING_RIGHT)
    if files and "attach_files" not in rights:
        raise Refused(*MISSING_RIGHT)
    if thread is not None and thread.locked and "manage_threads" not in rights:
        raise Refused(*ARCHIVED)
    if body.get("message_reference") and "read_message_history" not in rights:
        raise Refused(*NO_HISTORY)


def send(world: World, channel_id: str, body: Json, files: Files) -> Json:
    """A message by the bot's token. The same nonce within some minutes gives the earlier message ("Create Message",
    `enforce_nonce`: "unique in the past few minutes", by author)."""
    may_send(world, channel_id, body, files)
    nonce = body.get("nonce") if body.get("enforce_nonce") else None
    if nonce is not None and (earlier := world.nonces.get((BOT.id, str(nonce)))):
        at, place, message_id = earlier
        held = world.held(place, message_id)
        if held is not None and world.clock() - at < world.nonce_seconds:
            return held
    message = made(world, channel_id, body, files)
    if body.get("nonce") is not None:
        message["nonce"] = body["nonce"]
    if nonce is not None:
        world.nonces[BOT.id, str(nonce)] = (world.clock(), channel_id, message["id"])
    if (thread := world.threads.get(channel_id)) is not None:
        thread.archived = False
    put(world, message)
    return message


def made(world: World, channel_id: str, body: Json, files: Files, author: User = BOT) -> Json:
    """The message that a request describes, which nobody sees yet."""
    message = new_message(world, channel_id, author)
    fill(world, message, body, files)
    replied = ""
    if reference := body.get("message_reference"):
        replied = refer(world, message, reference)
    tell(world, message, body, replied)
    return message


def put(world: World, message: Json, for_user: str = "") -> None:
    world.keep(message, for_user=for_user)
    if not for_user:
        world.emit("MESSAGE_CREATE", message, message["channel_id"])


def refer(world: World, message: Json, reference: Json) -> str:
    """Makes it a reply; gives whom it replies to."""
    channel_id = str(reference.get("channel_id") or message["channel_id"])
    held = world.held(channel_id, str(reference["message_id"]))
    if held is None:
        if reference.get("fail_if_not_exists", True):
            raise invalid("message_reference", "Unknown message")
        return ""
    if channel_id != message["channel_id"]:
        raise invalid("message_reference", "Cannot reply to a message in a different channel")
    told = {"type": 0, "channel_id": channel_id, "message_id": held["id"]}
    if guild := world.guild_of(channel_id):
        told["guild_id"] = guild
    inner = {key: value for key, value in held.items() if key not in ("referenced_message", "thread", "nonce")}
    message |= {"type": 19, "message_reference": told, "referenced_message": inner}
    return str(held["author"]["id"])


def fill(world: World, message: Json, body: Json, files: Files) -> None:
    """Puts what a request says into a message, new or standing."""
    flags = int(body.get("flags") or 0)
    kept = message["flags"] & ~LOADING
    message["flags"] = kept | (flags & KEPT_FLAGS)
    message["attachments"] = attached(world, message, body, files)
    if "content" in body:
        message["content"] = body["content"] or ""
    if "embeds" in body:
        message["embeds"] = [{"type": "rich", **embed} for embed in body["embeds"] or ()]
    if "components" in body:
        message["components"] = components(body["components"] or [], message)
    if message["flags"] & COMPONENTS_V2 and (message["content"] or message["embeds"]):
        where = "content" if message["content"] else "embeds"
        raise invalid(
            where, "The 'content' and 'embeds' fields cannot be used when using MessageFlags.IS_COMPONENTS_V2"
        )
    if not any(message[key] for key in ("content", "components", "embeds", "attachments")):
        raise Refused(*EMPTY)


def components(given: list[Json], message: Json) -> list[Json]:
    try:
        return components_json(given, message["attachments"])
    except StopIteration:
        raise invalid("components", "The referenced attachment was not found") from None


def attached(world: World, message: Json, body: Json, files: Files) -> list[Json]:
    """The files of a message: those it keeps, and those that came ("Uploading Files")."""
    standing = {one["id"]: one for one in message["attachments"]}
    listed = body.get("attachments")
    if listed is None:
        listed = [*({"id": one} for one in standing), *({"id": name[6:-1]} for name in files)]
    found = []
    for one in listed:
        if str(one["id"]) in standing:
            found.append(standing[str(one["id"])])
            continue
        name = f"files[{one['id']}]"
        if name not in files:
            raise invalid("attachments", f"{one['id']}: no such attachment")
        found.append(world.attach(message["channel_id"], Upload(one.get("filename") or name, files[name])))
    return found


def tell(world: World, message: Json, body: Json, replied: str = "") -> None:
    """Notes whom the message alerts."""
    alerted = alerts(texts(message), body.get("allowed_mentions"), replied)
    world.alerted[message["id"]] = alerted
    message["mentions"] = [user_json(world.users[one]) for one in alerted if one in world.users]
    message["mention_roles"] = [one[1:] for one in alerted if one.startswith("&")]
    message["mention_everyone"] = bool({"everyone", "here"} & set(alerted))


def edit(world: World, message: Json, body: Json, files: Files) -> Json:
    """Changes it; an edit alerts nobody, but what fills a message that said "thinking" does."""
    new = dict(message)
    fill(world, new, body, files)
    was_loading = bool(message["flags"] & LOADING)
    message.clear()
    message |= new
    if was_loading:
        tell(world, message, body)
    else:
        message["edited_timestamp"] = world.stamp()
    if message["id"] not in world.seen_by:
        world.emit("MESSAGE_UPDATE", message, message["channel_id"])
    return message


def as_told(world: World, message: Json) -> Json:
    """A message as a bot without the privileged intent gets it, by REST too: words only where it is named, in direct
    messages, and its own ("Message Content Intent")."""
    alone = world.guild_of(message["channel_id"]) == ""
    if world.reads_all or alone or any(one["id"] == BOT.id for one in (message["author"], *message["mentions"])):
        return message
    return message | {"content": "", "attachments": [], "embeds": [], "components": []}


def found(world: World, channel_id: str, message_id: str) -> Json:
    """A message that the bot's token reaches: one for somebody alone it does not."""
    message = world.held(channel_id, message_id)
    if message is None or message_id in world.seen_by:
        raise Refused(*UNKNOWN_MESSAGE)
    return message


def start_thread(world: World, channel_id: str, message: Json | None, name: str, owner: User) -> Thread:
    """A thread, hung from a message where there is one; it begins with a message that stands for that."""
    parent = world.channels.get(channel_id)
    if parent is None or parent.kind not in ("text", "forum"):
        raise Refused(*WRONG_KIND)
    id_ = message["id"] if message else world.snowflake()
    thread = Thread(id_, channel_id, name, owner.id, world.clock())
    world.threads[id_] = thread
    if message is not None:
        told = {"type": 0, "channel_id": channel_id, "message_id": id_, "guild_id": parent.guild_id}
        starter = new_message(world, id_, owner) | {"id": id_, "type": 21, "message_reference": told}
        world.keep(starter | {"referenced_message": {**message}})
        message["flags"] |= HAS_THREAD
        message["thread"] = thread_json(world, thread)
    world.emit("THREAD_CREATE", {**thread_json(world, thread), "newly_created": True}, channel_id)
    return thread
