"""What the fake Slack holds: workspaces, channels, people, messages, files, streams."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tests.adapters.slack.fake_rules import Refusal

Json = dict[str, Any]
Clock = Callable[[], float]
SCOPES = (
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "channels:read",
    "chat:write",
    "chat:write.customize",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "reactions:write",
    "team:read",
    "users:read",
)
TRIGGER_SECONDS, RESPONSE_SECONDS, RESPONSE_USES = 3.0, 30 * 60, 5


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace with the app in it. Its token is a bot's; `revoked` once the app is gone."""

    team_id: str = "T0HOME"
    name: str = "Home"
    token: str = "xoxb-home"
    bot_user_id: str = "U0PANEL"
    bot_id: str = "B0PANEL"
    app_id: str = "A0PANEL"
    enterprise_id: str = ""
    scopes: tuple[str, ...] = SCOPES
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """`member`: the bot is in it. `user` is whom a direct message is with."""

    id: str
    name: str = ""
    kind: Literal["public", "private", "im"] = "public"
    team_id: str = "T0HOME"
    member: bool = True
    archived: bool = False
    user: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A person, or a bot."""

    id: str
    name: str
    real_name: str = ""
    team_id: str = "T0HOME"
    bot: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came. `answered` is the answer's JSON, None where none went out whole."""

    method: str
    token: str
    body: Json
    at: float
    answered: Json | None = None


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A message one person saw, from chat.postEphemeral or a response_url."""

    channel: str
    user: str
    message: Json


@dataclass(frozen=True, slots=True)
class ResponsePost:
    """One use of a response_url."""

    url: str
    body: Json
    at: float


@dataclass(frozen=True, slots=True)
class Opened:
    """A modal that was opened or updated last, for whom, and the view as Slack answers it."""

    user: str
    view: Json


@dataclass(slots=True)
class Stream:
    """A message while it is written. `end` says why it is over, empty while it goes on."""

    begun: float
    end: Literal["", "stopped", "expired", "stopped_by_user"] = ""
    parts: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class StoredFile:
    """A file and its content; `content` is None until it was uploaded."""

    info: Json
    team_id: str
    length: int
    content: bytes | None = None
    stub: bool = False


@dataclass(slots=True)
class Doorway:
    """What a gesture opened: a trigger or a response_url. `uses` counts."""

    team_id: str
    channel: str
    user: str
    made: float
    message_ts: str = ""
    uses: int = 0


class Refused(Exception):
    """A method says no."""

    def __init__(self, error: str | Refusal, **more: Any) -> None:
        super().__init__(error)
        self.refusal = error if isinstance(error, Refusal) else Refusal(error)
        self.more = more


HOME = Workspace()
ANN = User("U0ANN", "ann", "Ann Example")
BOB = User("U0BOB", "bob", "Bob Example")
GENERAL = Channel("C0GENERAL", "general")
OUTSIDE = Channel("C0OUTSIDE", "outside", member=False)
SECRET = Channel("C0SECRET", "secret", kind="private", member=False)
ANN_IM = Channel("D0ANN", kind="im", user=ANN.id)


@dataclass(slots=True)
class World:
    """Everything the fake knows. Begins with one workspace, two people, and a channel of each kind."""

    clock: Clock
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    posted: dict[str, dict[str, Json]] = field(default_factory=dict)
    files: dict[str, StoredFile] = field(default_factory=dict)
    views: dict[str, Opened] = field(default_factory=dict)
    streams: dict[tuple[str, str], Stream] = field(default_factory=dict)
    triggers: dict[str, Doorway] = field(default_factory=dict)
    hooks: dict[str, Doorway] = field(default_factory=dict)
    ephemerals: list[Ephemeral] = field(default_factory=list)
    responses: list[ResponsePost] = field(default_factory=list)
    statuses: dict[tuple[str, str], str] = field(default_factory=dict)
    sessions: dict[tuple[str, str], str] = field(default_factory=dict)
    reactions: set[tuple[str, str, str]] = field(default_factory=set)
    codes: dict[str, str] = field(default_factory=dict)
    stream_seconds: float = 300.0
    history: Literal["allowed", "not_allowed", "one_a_minute"] = "allowed"
    origin: str = ""
    client_id: str = "111.222"
    client_secret: str = "client-secret"
    app_token: str = "xapp-1-A0PANEL-secret"
    last: int = 0

    def __post_init__(self) -> None:
        self.add(HOME, ANN, BOB, GENERAL, OUTSIDE, SECRET, ANN_IM)

    def add(self, *things: Workspace | Channel | User) -> None:
        """Puts in, or replaces what has the same id. A workspace brings its bot user."""
        for thing in things:
            match thing:
                case Workspace():
                    self.workspaces[thing.team_id] = thing
                    self.users[thing.bot_user_id] = User(
                        thing.bot_user_id, "panelist", "Panelist", thing.team_id, bot=True
                    )
                case Channel():
                    self.channels[thing.id] = thing
                case User():
                    self.users[thing.id] = thing

    def revoke(self, team_id: str) -> None:
        self.add(replace(self.workspaces[team_id], revoked=True))

    def number(self) -> int:
        """Never the same twice and always growing: microseconds where time goes on."""
        self.last = max(self.last + 1, round(self.clock() * 1_000_000))
        return self.last

    def ts(self) -> str:
        number = self.number()
        return f"{number // 1_000_000}.{number % 1_000_000:06d}"

    def keep(self, channel: str, message: Json) -> Json:
        self.posted.setdefault(channel, {})[message["ts"]] = message
        return message

    def thread(self, channel: str, ts: str) -> list[Json]:
        """The root and its replies, oldest first."""
        held = self.posted.get(channel, {}).values()
        return sorted((m for m in held if ts in (m["ts"], m.get("thread_ts"))), key=lambda m: m["ts"])

    def say(self, user: str, channel: str, text: str, thread_ts: str = "", files: Iterable[Json] = ()) -> Json:
        """A person writes. Gives the message, from which events are made."""
        ts = self.ts()
        message: Json = {"type": "message", "client_msg_id": f"m-{ts}", "user": user, "text": text, "ts": ts}
        message["team"] = self.channels[channel].team_id
        if thread_ts:
            message["thread_ts"] = thread_ts
        if held := list(files):
            message["files"] = held
        return self.keep(channel, message)

    def stream(self, channel: str, ts: str) -> Stream | None:
        """The stream of a message, ended where its time is up."""
        stream = self.streams.get((channel, ts))
        if stream is not None and not stream.end and self.clock() - stream.begun >= self.stream_seconds:
            stream.end = "expired"
        return stream

    def stop_by_user(self, channel: str, thread_ts: str) -> list[str]:
        """A person presses Stop: ends what streams in the thread, and gives the messages' ts."""
        stopped = []
        for message in self.thread(channel, thread_ts):
            stream = self.stream(channel, message["ts"])
            if stream is not None and not stream.end:
                stream.end = "stopped_by_user"
                stopped.append(message["ts"])
        return stopped

    def add_file(
        self, name: str, content: bytes, mimetype: str = "text/plain", *, team: Workspace = HOME, stub: bool = False
    ) -> Json:
        """A person uploads. Gives the file as an event has it; a `stub` must be looked up (Slack Connect)."""
        stored = self.new_file(team, name, len(content), ANN.id, mimetype)
        stored.content, stored.stub = content, stub
        if stub:
            return {"id": stored.info["id"], "mode": "file_access", "file_access": "check_file_info"}
        return stored.info

    def new_file(self, team: Workspace, name: str, length: int, user: str, mimetype: str) -> StoredFile:
        number = self.number()
        id_ = f"F{number}"
        where = f"{self.origin}/files-pri/{team.team_id}-{id_}/{name}"
        kind = name.rpartition(".")[2] if "." in name else "text"
        info: Json = {
            "id": id_,
            "created": number // 1_000_000,
            "timestamp": number // 1_000_000,
            "name": name,
            "title": name,
            "mimetype": mimetype,
            "filetype": kind,
            "pretty_type": kind.upper(),
            "user": user,
            "user_team": team.team_id,
            "editable": False,
            "size": length,
            "mode": "hosted",
            "is_external": False,
            "external_type": "",
            "is_public": True,
            "public_url_shared": False,
            "display_as_bot": False,
            "username": "",
            "url_private": where,
            "url_private_download": where,
            "permalink": f"https://{team.name.lower()}.slack.com/files/{user}/{id_}/{name}",
            "permalink_public": f"https://slack-files.com/{team.team_id}-{id_}-0",
            "comments_count": 0,
            "is_starred": False,
            "shares": {},
            "channels": [],
            "groups": [],
            "ims": [],
            "has_more_shares": False,
            "has_rich_preview": False,
            "file_access": "visible",
        }
        stored = StoredFile(info, team.team_id, length)
        self.files[id_] = stored
        return stored

    def trigger(self, team_id: str, channel: str, user: str) -> str:
        """A fresh trigger_id, good for three seconds and one view."""
        number = self.number()
        id_ = f"{number // 1_000_000}.{number % 1_000_000}.{number:x}"
        self.triggers[id_] = Doorway(team_id, channel, user, self.clock())
        return id_

    def hook(self, team_id: str, channel: str, user: str, message_ts: str = "") -> str:
        """A fresh response_url, good for half an hour and five posts."""
        url = f"{self.origin}/hooks/{team_id}/{self.number()}"
        self.hooks[url] = Doorway(team_id, channel, user, self.clock(), message_ts)
        return url

    def workspace_of(self, token: str) -> Workspace | None:
        return next((each for each in self.workspaces.values() if each.token == token), None)
