"""Methods that write messages: chat.*, the streams among them, and what an agent shows of its state."""

from tests.adapters.slack.fake_checks import (
    channel_of,
    checked,
    may_dress_up,
    needs,
    open_im,
    own,
    root_of,
    to_write_in,
)
from tests.adapters.slack.fake_rules import (
    MOST_UPDATED_TEXT,
    message_refusal,
    stream_refusal,
)
from tests.adapters.slack.fake_world import (
    Channel,
    Ephemeral,
    Json,
    Refused,
    Stream,
    Workspace,
    World,
)
from tests.adapters.slack.fake_written import (
    bot_message,
    stream_blocks,
    with_ids,
)

SESSION_STATES = ("active", "processing", "suspended", "closed")


def post_message(world: World, team: Workspace, body: Json) -> Json:
    needs(body, "channel")
    if body["channel"] in world.users:  # A person's id stands for the direct message with them.
        body = {**body, "channel": open_im(world, team, body["channel"]).id}
    channel = to_write_in(world, team, body["channel"], anywhere=True)
    may_dress_up(team, body)
    checked(message_refusal(body))
    root = root_of(world, channel, body.get("thread_ts"))
    message = world.keep(channel.id, bot_message(team, body, world.ts(), root))
    return {"channel": channel.id, "ts": message["ts"], "message": message}


def update(world: World, team: Workspace, body: Json) -> Json:
    needs(body, "channel", "ts")
    channel = channel_of(world, team, body["channel"])
    message = own(world, team, channel, body["ts"], "cant_update_message")
    stream = world.stream(channel.id, body["ts"])
    if stream is not None and not stream.end:
        raise Refused("streaming_state_conflict")
    # An empty object takes the metadata away, none leaves it.
    checked(message_refusal({**body, "metadata": body.get("metadata") or None}, most_text=MOST_UPDATED_TEXT))
    told = bot_message(team, body, message["ts"], None)
    changed = {**message, "text": told["text"], "edited": {"user": team.bot_user_id, "ts": world.ts()}}
    if "blocks" in told:
        changed["blocks"] = told["blocks"]
    elif "blocks" in body or told["text"]:
        changed.pop("blocks", None)  # Words alone, or an empty list, replace the blocks that were there.
    if "metadata" in body:
        changed.pop("metadata", None)
        changed |= {"metadata": body["metadata"]} if body["metadata"] else {}
    world.keep(channel.id, changed)
    return {
        "channel": channel.id,
        "ts": message["ts"],
        "text": changed["text"],
        "message": {key: value for key, value in changed.items() if key not in NOT_IN_UPDATES},
    }


NOT_IN_UPDATES = ("ts", "thread_ts", "parent_user_id", "subtype", "username", "icons")


def delete(world: World, team: Workspace, body: Json) -> Json:
    needs(body, "channel", "ts")
    channel = channel_of(world, team, body["channel"])
    message = own(world, team, channel, body["ts"], "cant_delete_message")
    if len(world.thread(channel.id, message["ts"])) > 1:  # A root with replies leaves a stone in its place.
        stone = {"type": "message", "subtype": "tombstone", "user": "USLACKBOT", "text": "This message was deleted."}
        world.keep(channel.id, {**stone, "ts": message["ts"], "thread_ts": message["ts"]})
    else:
        del world.posted[channel.id][message["ts"]]
    return {"channel": channel.id, "ts": message["ts"]}


def post_ephemeral(world: World, team: Workspace, body: Json) -> Json:
    needs(body, "channel", "user")
    channel = to_write_in(world, team, body["channel"])
    if body["user"] not in world.users:
        raise Refused("user_not_in_channel")
    may_dress_up(team, body)
    checked(message_refusal(body))
    root = root_of(world, channel, body.get("thread_ts"))
    message = bot_message(team, body, world.ts(), root)
    world.ephemerals.append(Ephemeral(channel.id, body["user"], message))
    return {"message_ts": message["ts"]}


def permalink(world: World, team: Workspace, body: Json) -> Json:
    channel = channel_of(world, team, body.get("channel", ""))
    if (ts := body.get("message_ts", "")) not in world.posted.get(channel.id, {}):
        raise Refused("message_not_found")
    link = f"https://{team.name.lower()}.slack.com/archives/{channel.id}/p{ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": link}


# Streams


def start_stream(world: World, team: Workspace, body: Json) -> Json:
    needs(body, "channel")
    channel = to_write_in(world, team, body["channel"])
    if channel.kind != "im":
        for name in ("recipient_team_id", "recipient_user_id"):
            if not body.get(name):
                raise Refused(f"missing_{name}")
    elif not body.get("thread_ts"):  # Only a channel takes a stream outside a thread.
        raise Refused("invalid_thread_ts")
    if body.get("task_display_mode", "timeline") not in ("timeline", "plan"):
        raise Refused("invalid_arguments")
    may_dress_up(team, body)
    checked(stream_refusal(body, needs_words=False))
    root = root_of(world, channel, body.get("thread_ts"))
    message = bot_message(team, {"username": body.get("username")}, world.ts(), root)
    stream = world.streams[channel.id, message["ts"]] = Stream(world.clock())
    world.keep(channel.id, message)
    write(world, channel, message, stream, body)
    return {"channel": channel.id, "ts": message["ts"]}


def write(world: World, channel: Channel, message: Json, stream: Stream, body: Json) -> None:
    if body.get("markdown_text"):
        stream.parts.append({"type": "markdown_text", "text": body["markdown_text"]})
    stream.parts += body.get("chunks") or ()
    blocks = stream_blocks(stream.parts, bool(stream.end)) + (body.get("blocks") or [])
    words = "".join(part["text"] for part in stream.parts if part["type"] == "markdown_text")
    world.keep(channel.id, {**message, "text": words, "blocks": with_ids(blocks, message["ts"])})


def streaming(world: World, team: Workspace, body: Json) -> tuple[Channel, Json, Stream]:
    needs(body, "channel", "ts")
    channel = channel_of(world, team, body["channel"])
    message = own(world, team, channel, body["ts"], "message_not_owned_by_app")
    stream = world.stream(channel.id, message["ts"])
    if stream is not None and stream.end == "stopped_by_user":
        raise Refused("stopped_by_user")
    if stream is None or stream.end:
        raise Refused("message_not_in_streaming_state")
    return channel, message, stream


def append_stream(world: World, team: Workspace, body: Json) -> Json:
    channel, message, stream = streaming(world, team, body)
    checked(stream_refusal(body, needs_words=True))
    write(world, channel, message, stream, body)
    return {"channel": channel.id, "ts": message["ts"]}


def stop_stream(world: World, team: Workspace, body: Json) -> Json:
    channel, message, stream = streaming(world, team, body)
    status = body.get("session_status", "active")
    if status not in SESSION_STATES:
        raise Refused("invalid_arguments")
    checked(stream_refusal(body, needs_words=False))
    stream.end = "stopped"
    if body.get("metadata"):
        message = {**message, "metadata": body["metadata"]}
    write(world, channel, message, stream, body)
    world.sessions[channel.id, message.get("thread_ts", message["ts"])] = status
    return {"channel": channel.id, "ts": message["ts"], "message": world.posted[channel.id][message["ts"]]}


def thread_status(world: World, team: Workspace, body: Json) -> Json:
    needs(body, "channel_id", "thread_ts")
    channel = channel_of(world, team, body["channel_id"])
    root_of(world, channel, body["thread_ts"])
    if len(body.get("loading_messages") or ()) > 10:
        raise Refused("invalid_arguments")
    world.statuses[channel.id, body["thread_ts"]] = body.get("status", "")
    return {}


def session_status(world: World, team: Workspace, body: Json) -> Json:
    needs(body, "channel_id", "status")
    channel = channel_of(world, team, body["channel_id"])
    if body["status"] not in SESSION_STATES:
        raise Refused("invalid_arguments")
    root_of(world, channel, body.get("thread_ts"))
    world.sessions[channel.id, body.get("thread_ts", "")] = body["status"]
    return {}
