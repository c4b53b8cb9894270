"""Methods that read: conversations.* and what there is to know of a channel."""

from tests.adapters.slack.fake_checks import (
    channel_of,
    needs,
    open_im,
    true,
)
from tests.adapters.slack.fake_world import (
    Channel,
    Json,
    Refused,
    Workspace,
    World,
)
from tests.adapters.slack.fake_written import (
    read_back,
)


def page_size(world: World, body: Json) -> int:
    try:
        limit = int(body.get("limit") or 100)
    except ValueError:
        raise Refused("invalid_limit") from None
    if not 1 <= limit <= 1000:
        raise Refused("invalid_limit")
    return min(limit, 15) if world.history == "one_a_minute" else limit


def page(messages: list[Json], body: Json, size: int) -> tuple[list[Json], str]:
    """One page, and the cursor of the next. A cursor names the last message of the page before."""
    begin = 0
    if cursor := body.get("cursor"):
        places = [index for index, message in enumerate(messages) if f"after:{message['ts']}" == cursor]
        if not places:
            raise Refused("invalid_cursor")
        begin = places[0] + 1
    shown = messages[begin : begin + size]
    return shown, f"after:{shown[-1]['ts']}" if begin + size < len(messages) else ""


def between(messages: list[Json], body: Json) -> list[Json]:
    oldest, latest = body.get("oldest") or "0", body.get("latest") or "9999999999.999999"
    if true(body, "inclusive"):
        return [m for m in messages if float(oldest) <= float(m["ts"]) <= float(latest)]
    return [m for m in messages if float(oldest) < float(m["ts"]) < float(latest)]


def to_read(world: World, team: Workspace, body: Json) -> Channel:
    needs(body, "channel")
    channel = channel_of(world, team, body["channel"])
    if world.history == "not_allowed":
        raise Refused("not_allowed_token_type")
    if not channel.member:
        raise Refused("not_in_channel")
    return channel


def replies(world: World, team: Workspace, body: Json) -> Json:
    channel = to_read(world, team, body)
    needs(body, "ts")
    size = page_size(world, body)
    if (named := world.posted.get(channel.id, {}).get(body["ts"])) is None:
        raise Refused("thread_not_found")
    root, *answers = world.thread(channel.id, body["ts"])
    if named.get("thread_ts", named["ts"]) != named["ts"]:  # A reply's ts gives that reply alone.
        root, answers = named, []
    shown, cursor = page(between(answers, body), body, size)
    metadata = true(body, "include_all_metadata")
    # The root comes first on every page, beside the page's own replies.
    messages = [read_back(world, channel.id, message, metadata) for message in [root, *shown]]
    return paged(messages, cursor)


def history(world: World, team: Workspace, body: Json) -> Json:
    channel = to_read(world, team, body)
    size = page_size(world, body)
    held = world.posted.get(channel.id, {}).values()
    roots = [m for m in held if m.get("thread_ts", m["ts"]) == m["ts"]]
    newest_first = sorted(between(roots, body), key=lambda m: m["ts"], reverse=True)
    shown, cursor = page(newest_first, body, size)
    metadata = true(body, "include_all_metadata")
    return {**paged([read_back(world, channel.id, m, metadata) for m in shown], cursor), "pin_count": 0}


def paged(messages: list[Json], cursor: str) -> Json:
    more: Json = {"response_metadata": {"next_cursor": cursor}} if cursor else {}
    return {"messages": messages, "has_more": bool(cursor), **more}


def channel_info(world: World, team: Workspace, body: Json) -> Json:
    channel = channel_of(world, team, body.get("channel", ""))
    info: Json = {
        "id": channel.id,
        "created": 1_600_000_000,
        "is_archived": channel.archived,
        "is_im": channel.kind == "im",
        "is_org_shared": False,
        "context_team_id": channel.team_id,
        "updated": 1_600_000_000_000,
    }
    if channel.kind != "im":
        nothing = {"value": "", "creator": "", "last_set": 0}
        info |= {
            "name": channel.name,
            "name_normalized": channel.name,
            "is_channel": channel.kind == "public",
            "is_group": channel.kind == "private",
            "is_private": channel.kind == "private",
            "is_mpim": False,
            "is_member": channel.member,
            "is_general": False,
            "is_shared": False,
            "is_ext_shared": False,
            "creator": "U0ANN",
            "topic": nothing,
            "purpose": nothing,
        }
    return {"channel": info}


def open_conversation(world: World, team: Workspace, body: Json) -> Json:
    known = set(world.channels)
    channel = open_im(world, team, body.get("users", ""))
    old = {"no_op": True, "already_open": True} if channel.id in known else {}
    return {**old, "channel": {"id": channel.id}}
