"""How Slack writes a message down: as it answers it, as it is read back, and what a stream becomes."""

from tests.adapters.slack.fake_world import Json, Workspace, World


def bot_profile(team: Workspace) -> Json:
    icon = "https://a.slack-edge.com/bot"
    return {
        "id": team.bot_id,
        "app_id": team.app_id,
        "name": "Panelist",
        "icons": {f"image_{size}": f"{icon}_{size}.png" for size in (36, 48, 72)},
        "deleted": False,
        "updated": 1_700_000_000,
        "team_id": team.team_id,
    }


def with_ids(blocks: list[Json], ts: str) -> list[Json]:
    """Slack names the blocks that came without a name."""
    return [{**block, "block_id": block.get("block_id") or f"{ts}-{index}"} for index, block in enumerate(blocks)]


def bot_message(team: Workspace, body: Json, ts: str, root: Json | None) -> Json:
    message: Json = {
        "type": "message",
        "user": team.bot_user_id,
        "ts": ts,
        "bot_id": team.bot_id,
        "app_id": team.app_id,
        "text": body.get("text", ""),
        "team": team.team_id,
        "bot_profile": bot_profile(team),
    }
    if markdown := body.get("markdown_text"):
        message["text"] = markdown
        body = {**body, "blocks": [{"type": "markdown", "text": markdown}]}
    if body.get("blocks"):
        message["blocks"] = with_ids(body["blocks"], ts)
    if root is not None:
        message |= {"thread_ts": root["ts"], "parent_user_id": root.get("user", "")}
    if body.get("metadata"):
        message["metadata"] = body["metadata"]
    if body.get("username"):
        message |= {"username": body["username"], "subtype": "bot_message"}
    if body.get("icon_emoji"):
        message["icons"] = {"emoji": body["icon_emoji"]}
    return message


def read_back(world: World, channel: str, message: Json, metadata: bool) -> Json:
    """A message as conversations.replies and .history give it: a root with its count, metadata only if asked for."""
    shown = {key: value for key, value in message.items() if key != "metadata" or metadata}
    replies = [m for m in world.thread(channel, message["ts"]) if m["ts"] != message["ts"]]
    if replies and message.get("thread_ts", message["ts"]) == message["ts"]:
        people = list(dict.fromkeys(m.get("user", "") for m in replies))
        shown |= {
            "thread_ts": message["ts"],
            "reply_count": len(replies),
            "reply_users_count": len(people),
            "latest_reply": replies[-1]["ts"],
            "reply_users": people,
            "is_locked": False,
            "subscribed": True,
        }
    return shown


def stream_blocks(parts: list[Json], over: bool) -> list[Json]:
    """What a stream has become: text that follows text runs on, tasks stand in one plan at the place of the first.

    A task that is open when the stream is over is shown as failed (reported in vercel/chat#911).
    """
    blocks: list[Json] = []
    plan: Json | None = None
    for part in parts:
        match part["type"]:
            case "markdown_text" if blocks and blocks[-1]["type"] == "markdown":
                blocks[-1]["text"] += part["text"]
            case "markdown_text":
                blocks.append({"type": "markdown", "text": part["text"]})
            case "blocks":
                blocks += part["blocks"]
            case _:
                if plan is None:
                    plan = {"type": "plan", "title": "", "tasks": []}
                    blocks.append(plan)
                update_plan(plan, part)
    for task in plan["tasks"] if plan and over else ():
        if task["status"] in ("pending", "in_progress"):
            task["status"] = "error"
    return blocks


def update_plan(plan: Json, part: Json) -> None:
    if part["type"] == "plan_update":
        plan["title"] = part["title"]
        return
    told = {key: value for key, value in part.items() if key not in ("type", "id")}
    for task in plan["tasks"]:
        if task["task_id"] == part["id"]:
            task.update(told)
            return
    plan["tasks"].append({"type": "task_card", "task_id": part["id"], **told})
