"""What many of the Web API's methods check before they do anything."""

from tests.adapters.slack.fake_rules import Refusal
from tests.adapters.slack.fake_world import Channel, Json, Refused, Workspace, World


def checked(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise Refused(refusal)


def true(body: Json, name: str, default: bool = False) -> bool:
    """A flag, which comes as a JSON boolean or as the text of a form."""
    return str(body.get(name, default)).lower() in ("1", "true")


def needs(body: Json, *names: str) -> None:
    for name in names:
        if not body.get(name):
            raise Refused(Refusal("invalid_arguments", (f"missing required field: {name}",)))


def channel_of(world: World, team: Workspace, id_: str) -> Channel:
    """A channel the bot can see: in its workspace, and a private one only as a member."""
    channel = world.channels.get(id_)
    if channel is None or channel.team_id != team.team_id or (channel.kind == "private" and not channel.member):
        raise Refused("channel_not_found")
    return channel


def to_write_in(world: World, team: Workspace, id_: str, anywhere: bool = False) -> Channel:
    channel = channel_of(world, team, id_)
    if channel.archived:
        raise Refused("is_archived")
    if not channel.member and not (anywhere and "chat:write.public" in team.scopes):
        raise Refused("not_in_channel")
    return channel


def root_of(world: World, channel: Channel, thread_ts: str | None) -> Json | None:
    """The message a reply hangs from; that of the whole thread where a reply is named."""
    if not thread_ts:
        return None
    held = world.posted.get(channel.id, {})
    if (message := held.get(thread_ts)) is None:
        raise Refused("thread_not_found")
    return held.get(message.get("thread_ts", thread_ts), message)


def own(world: World, team: Workspace, channel: Channel, ts: str, otherwise: str) -> Json:
    message = world.posted.get(channel.id, {}).get(ts)
    if message is None:
        raise Refused("message_not_found")
    if message.get("bot_id") != team.bot_id or message.get("subtype") == "tombstone":
        raise Refused(otherwise)
    return message


def may_dress_up(team: Workspace, body: Json) -> None:
    if any(body.get(key) for key in ("username", "icon_emoji", "icon_url")):
        needs_scope(team, "chat:write.customize")


def needs_scope(team: Workspace, scope: str) -> None:
    if scope and scope not in team.scopes:
        raise Refused("missing_scope", needed=scope, provided=",".join(team.scopes))


def open_im(world: World, team: Workspace, user: str) -> Channel:
    if user not in world.users:
        raise Refused("user_not_found")
    for channel in world.channels.values():
        if channel.kind == "im" and channel.user == user and channel.team_id == team.team_id:
            return channel
    channel = Channel(f"D{world.number()}", kind="im", team_id=team.team_id, user=user)
    world.add(channel)
    return channel
