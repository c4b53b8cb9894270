"""A Discord on a local port: REST, the gateway, files. It plays what Discord documents and refuses what it refuses;
guesses say so where they are made.

Tests act with `slash`, `context`, `click`, `submit`, `mention` and the like, and read what became of it with `shown`,
`board`, `told`, `files_in`, `pings` and `calls`. Whatever is wrong with a request is in `violations`.
"""

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from aiohttp import web

from tests.adapters.discord import fake_interactions as interactions
from tests.adapters.discord import fake_messages as rules
from tests.adapters.discord import fake_reading as reading
from tests.adapters.discord.fake_faults import (
    Answer,
    Broken,
    Cut,
    Fault,
    Hang,
    Limited,
    Lost,
    Masked,
    Slow,
)
from tests.adapters.discord.fake_gateway import (
    DIRECT_MESSAGES,
    GUILD_MESSAGES,
    GUILDS,
    Gateway,
    Session,
)
from tests.adapters.discord.fake_limits import Limits
from tests.adapters.discord.fake_routes import Route, major, routed
from tests.adapters.discord.fake_shapes import JOINED, guild_json, new_message, user_json
from tests.adapters.discord.fake_world import (
    APPLICATION,
    BOT,
    GENERAL,
    Call,
    Channel,
    Clock,
    Gesture,
    Guild,
    Json,
    Refused,
    Thread,
    Upload,
    User,
    World,
)
from tests.adapters.discord.openapi import BASE, Request, answer_problems, problems

UNAUTHORIZED = {"message": "401: Unauthorized", "code": 0}
INVALID = {401, 403, 429}
"""Statuses that count towards a ban of the host: 10,000 in ten minutes ("Rate Limits", "Invalid Request Limit")."""


class FakeDiscord(World):
    """`async with FakeDiscord() as discord:` gives a running one; `discord.api` and `discord.gateway_url` are where.

    `clock` decides on limits, tokens and nonces. `latency` delays every request, in seconds. `strict`: every request is
    held against Discord's document.
    """

    def __init__(self, clock: Clock = time.time) -> None:
        super().__init__(clock)
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.limits = Limits()
        self.latency, self.strict = 0.0, True
        self.gateway = Gateway(lambda: self.token, self._ready, self._guilds_of)
        self.emit = self._emit
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._staying: dict[str, Fault] = {}
        self._stopped = asyncio.Event()

    async def start(self) -> Self:
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_get("/attachments/{channel}/{file}/{name:.*}", self._download)
        app.router.add_route("*", BASE + "/{path:.*}", self._api)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        self._pump = asyncio.create_task(self.gateway.pump())
        return self

    async def stop(self) -> None:
        self._stopped.set()
        self._pump.cancel()
        await self.gateway.cut()
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def api(self) -> str:
        return f"{self.origin}{BASE}"

    @property
    def gateway_url(self) -> str:
        return f"{self.origin.replace('http', 'ws', 1)}/gateway"

    # What a test does to it

    def script(self, name: str, *faults: Fault) -> None:
        """The next requests go wrong like this: `name` is Discord's for the operation, or `*` for any."""
        self._faults[name].extend(faults)

    def script_always(self, name: str, fault: Fault | None) -> None:
        """All requests go wrong like this, until it is None."""
        self._staying.pop(name, None)
        if fault is not None:
            self._staying[name] = fault

    def asked(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.name == name]

    @property
    def invalid(self) -> int:
        """How many requests count towards a ban of the host."""
        return sum(call.status in INVALID for call in self.calls)

    async def connected(self, count: int = 1, timeout: float = 5.0) -> None:
        await self.gateway.connected(count, timeout)

    async def registered(self, timeout: float = 5.0) -> None:
        """Waits until the bot has registered its commands."""
        async with asyncio.timeout(timeout):
            while not self.commands:
                await asyncio.sleep(0.005)

    # What people do

    async def slash(self, user: User, channel: Channel | Thread | str, name: str, **options: Any) -> Gesture:
        """A slash command, with its options by name; an attachment is an `Upload`."""
        await self.registered()
        gesture = self.gesture(interactions.COMMAND, user, place_id(channel))
        data = interactions.command_data(self, gesture.channel_id, name, options)
        return self.deliver(gesture, interactions.told(self, gesture, data))

    async def autocomplete(self, user: User, channel: Channel, name: str, focused: str, **options: Any) -> list[Json]:
        """What is offered while an option is typed."""
        await self.registered()
        gesture = self.gesture(interactions.AUTOCOMPLETE, user, place_id(channel))
        data = interactions.command_data(self, gesture.channel_id, name, options, focused)
        self.deliver(gesture, interactions.told(self, gesture, data))
        assert await gesture.acknowledged() == "autocomplete"
        choices: list[Json] = gesture.told["choices"]
        return choices

    async def context(self, user: User, message: Json, name: str) -> Gesture:
        """A command of a message's menu."""
        await self.registered()
        gesture = self.gesture(interactions.COMMAND, user, message["channel_id"])
        return self.deliver(gesture, interactions.told(self, gesture, interactions.context_data(self, name, message)))

    async def click(self, user: User, message: Json, custom_id: str) -> Gesture:
        """A button of a message is pressed, which has to stand there."""
        assert custom_id in reading.buttons(message).values(), f"there is no button {custom_id!r}"
        gesture = self.gesture(interactions.COMPONENT, user, message["channel_id"])
        data = {"custom_id": custom_id, "component_type": 2, "id": 1}
        return self.deliver(gesture, interactions.told(self, gesture, data, message))

    async def submit(
        self,
        user: User,
        opened: Gesture,
        values: Mapping[str, str | Sequence[str]],
        files: Mapping[str, Sequence[Upload]] | None = None,
    ) -> Gesture:
        """The form that a gesture opened is sent."""
        assert opened.response == "modal", f"no form was opened, but {opened.response!r}"
        gesture = self.gesture(interactions.MODAL, user, opened.channel_id)
        data = interactions.submit_data(self, gesture.channel_id, opened.told, values, files or {})
        return self.deliver(gesture, interactions.told(self, gesture, data, opened.payload.get("message")))

    def deliver(self, gesture: Gesture, payload: Json) -> Gesture:
        """Tells the bot of an interaction, as often as it is called."""
        self.gateway.tell("INTERACTION_CREATE", payload, guild_id=gesture.guild_id)
        return gesture

    def say(
        self,
        user: User,
        channel: Channel | Thread | str,
        text: str,
        attachments: Sequence[Upload] = (),
        reply_to: str = "",
    ) -> Json:
        """Somebody writes; gives the message."""
        message = new_message(self, place_id(channel), user, text)
        message["attachments"] = [self.attach(message["channel_id"], upload) for upload in attachments]
        message["mentions"] = [user_json(self.users[one]) for one in reading.USER.findall(text) if one in self.users]
        if reply_to:
            rules.refer(self, message, {"message_id": reply_to})
        rules.put(self, message)
        return message

    def mention(
        self, user: User, channel: Channel | Thread | str, text: str, attachments: Sequence[Upload] = ()
    ) -> Json:
        """Somebody writes to the bot by name."""
        return self.say(user, channel, f"<@{BOT.id}> {text}", attachments)

    def dm(self, user: User, text: str, attachments: Sequence[Upload] = ()) -> Json:
        return self.say(user, self.dm_of(user.id), text, attachments)

    def delete_message(self, message: Json) -> None:
        """Somebody takes a message back."""
        self.drop(message["channel_id"], message["id"])
        self.emit("MESSAGE_DELETE", {"id": message["id"], "channel_id": message["channel_id"]}, message["channel_id"])

    def start_thread(self, user: User, channel: Channel, name: str, text: str = "") -> Thread:
        """Somebody opens a thread, or a post of a forum."""
        thread = rules.start_thread(self, channel.id, None, name, user)
        if channel.kind == "forum":
            self.keep(new_message(self, thread.id, user, text) | {"id": thread.id})
        return thread

    def delete_channel(self, channel: Channel | Thread) -> None:
        """A channel goes with its threads, or a thread."""
        guild = self.guild_of(channel.id)
        gone = [channel.id, *(one.id for one in self.threads.values() if one.parent == channel.id)]
        for id_ in gone:
            thread = self.threads.pop(id_, None)
            self.channels.pop(id_, None)
            self.posted.pop(id_, None)
            told: Json = {"id": id_, "guild_id": guild, "type": 11 if thread else 0}
            event = "THREAD_DELETE" if thread else "CHANNEL_DELETE"
            told |= (
                {"parent_id": thread.parent} if thread else {"name": "gone", "position": 0, "permission_overwrites": []}
            )
            self.gateway.tell(event, told, guild_id=guild, intent=GUILDS)

    def remove_guild(self, guild: Guild) -> None:
        """The bot is removed from a server."""
        self.add(replace(guild, installed=False))
        self.gateway.tell("GUILD_DELETE", {"id": guild.id}, guild_id=guild.id, intent=GUILDS)

    def outage(self, guild: Guild) -> None:
        """A server cannot be reached for a while, which is no removal."""
        told = {"id": guild.id, "unavailable": True}
        self.gateway.tell("GUILD_DELETE", told, guild_id=guild.id, intent=GUILDS)

    # What a test reads

    def messages(self, channel: Channel | Thread | str, user: User | None = None) -> list[Json]:
        """What stands in a channel or thread, oldest first; what stands for the message that a thread hangs from is
        that message."""
        found = []
        for one in self.standing(place_id(channel), user.id if user else None):
            if one["type"] == 21:
                reference = one["message_reference"]
                root = self.held(reference["channel_id"], reference["message_id"])
                found += [root] if root else []
            else:
                found.append(one)
        return found

    def by_bot(self, channel: Channel | Thread | str = GENERAL, user: User | None = None) -> list[Json]:
        return [one for one in self.messages(channel, user) if one["author"]["id"] == BOT.id]

    def shown(self, channel: Channel | Thread | str, user: User | None = None) -> list[str]:
        """The same as a person reads it."""
        return [reading.plain(one) for one in self.messages(channel, user)]

    def told_alone(self, user: User) -> list[str]:
        """What this person alone was told: what nobody else sees, and direct messages."""
        alone = [id_ for id_, whose in self.seen_by.items() if whose == user.id]
        held = [one for each in self.posted.values() for one in each.values() if one["id"] in alone]
        direct = [
            one for channel in self.channels.values() if channel.users == (user.id,) for one in self.by_bot(channel)
        ]
        every = {one["id"]: one for one in (*held, *direct)}
        return [reading.plain(every[id_]) for id_ in sorted(every, key=int)]

    def files_in(self, channel: Channel | Thread | str, user: User | None = None) -> dict[str, str]:
        """The files that stand there: text by name."""
        kept = [file for one in self.messages(channel, user) for file in one["attachments"]]
        return {file["filename"]: self.files[file["id"]].decode() for file in kept}

    def pings(self) -> list[str]:
        """Everybody whom the bot's messages alerted, each time."""
        ours = {one["id"] for each in self.posted.values() for one in each.values() if one["author"]["id"] == BOT.id}
        return [who for id_ in sorted(ours, key=int) for who in self.alerted.get(id_, ())]

    # The gateway

    def _ready(self, session: Session) -> Json:
        return {
            "v": 10,
            "user": user_json(BOT) | {"mfa_enabled": False, "verified": True, "email": None},
            "guilds": [{"id": guild.id, "unavailable": True} for guild in self._on(session)],
            "session_id": session.id,
            "resume_gateway_url": self.gateway_url,
            "shard": list(session.shard),
            "session_type": "normal",
            "application": {"id": APPLICATION, "flags": self.application_flags},
            "private_channels": [],
        }

    def _on(self, session: Session) -> list[Guild]:
        number, count = session.shard
        return [one for one in self.guilds.values() if one.installed and (int(one.id) >> 22) % count == number]

    def _guilds_of(self, session: Session) -> list[tuple[str, Json]]:
        return [("GUILD_CREATE", guild_json(self, guild)) for guild in self._on(session)]

    def _emit(self, event: str, payload: Json, channel_id: str) -> None:
        """Tells what happened in a channel, if the bot is there."""
        parent, guild_id = self.parent(channel_id), self.guild_of(channel_id)
        if parent is None or parent.kind == "group" or "view_channel" not in self.rights(channel_id):
            return
        intent = GUILDS if event.startswith("THREAD") else GUILD_MESSAGES if guild_id else DIRECT_MESSAGES
        payload = rules.as_told(self, payload) if "author" in payload else payload
        payload = payload | ({"guild_id": guild_id} if guild_id else {})
        if "author" in payload and guild_id:
            payload |= {"member": {"roles": [], "joined_at": JOINED, "deaf": False, "mute": False, "flags": 0}}
        self.gateway.tell(event, payload, guild_id=guild_id, intent=intent)

    # REST

    async def _api(self, request: web.Request) -> web.StreamResponse:
        path = "/" + request.match_info["path"]
        body, files = await taken(request)
        found = routed(request.method, path)
        route, parts = found if found else (None, {})
        token = request.headers.get("Authorization", "").removeprefix("Bot ")
        call = Call(
            route.name if route else "", request.method, path, token, body, self.clock(), dict(request.query), files
        )
        number = len(self.calls)
        self.calls.append(call)
        wrong = self._wrong(call) if self.strict else []
        if self.latency:
            await asyncio.sleep(self.latency)
        fault = self._fault(call.name)
        match fault:
            case Cut():
                return cut(request)
            case Answer(status, code, message):
                answer = in_json({"code": code, "message": message}, status=status)
            case Limited(seconds, everywhere):
                answer = limited(seconds, {}, everywhere=everywhere)
            case Broken(status):
                answer = web.Response(status=status, text="upstream connect error", content_type="text/plain")
            case _:
                if isinstance(fault, Slow):
                    await asyncio.sleep(fault.seconds)
                answer = self._carry_out(route, parts, call, wrong)
        if isinstance(fault, Lost):
            return cut(request)
        if isinstance(fault, Hang):
            await self._stopped.wait()
            return cut(request)
        if isinstance(fault, Masked):
            answer = web.Response(status=fault.status, text="bad gateway", content_type="text/plain")
        answered = json.loads(answer.body) if answer.content_type == "application/json" and answer.body else None
        self.calls[number] = replace(call, status=answer.status, answered=answered)
        return answer

    def _fault(self, name: str) -> Fault | None:
        for key in (name, "*"):
            if self._faults[key]:
                return self._faults[key].popleft()
            if key in self._staying:
                return self._staying[key]
        return None

    def _wrong(self, call: Call) -> list[str]:
        asked = Request(call.method, BASE + call.path, call.query, call.body, tuple(call.files))
        wrong = problems(asked)
        self.violations += [f"{call.method} {call.path}: {problem}" for problem in wrong]
        return wrong

    def _carry_out(self, route: Route | None, parts: Mapping[str, str], call: Call, wrong: list[str]) -> web.Response:
        if route is None:
            self.violations.append(f"{call.method} {call.path}: the fake serves no such route")
            return in_json({"code": 0, "message": "404: Not Found"}, status=404)
        if route.by_bot and call.token != self.token:
            return in_json(UNAUTHORIZED, status=401)
        seconds, headers = self.limits.take(route.name, major(parts), self.clock())
        if seconds:
            return limited(seconds, headers)
        try:
            if wrong:
                raise rules.invalid("body", "; ".join(wrong))
            told = route.handle(self, parts, call)
        except Refused as no:
            return in_json(no.body, status=no.status, headers=headers)
        status = route.status if told is not None else 204
        self.violations += [
            f"the fake's answer to {call.method} {call.path}: {problem}"
            for problem in (answer_problems(call.method, BASE + call.path, status, told) if self.strict else ())
        ]
        if told is None:
            return web.Response(status=204, headers=headers)
        return in_json(told, status=status, headers=headers)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        number = len(self.calls)
        token = request.headers.get("Authorization", "")
        self.calls.append(Call("download", "GET", request.path, token, None, self.clock()))
        match self._fault("download"):
            case Cut() | Lost():
                return cut(request)
            case Hang():
                await self._stopped.wait()
                return cut(request)
            case Answer(status, _, _) | Broken(status):
                return web.Response(status=status, text="scripted")
            case Slow(seconds):
                await asyncio.sleep(seconds)
        content = self.files.get(request.match_info["file"])
        status = 404 if content is None else 200
        self.calls[number] = replace(self.calls[number], status=status)
        return web.Response(status=status, body=content or b"", content_type="text/plain")


def place_id(place: Channel | Thread | str) -> str:
    return place if isinstance(place, str) else place.id


async def taken(request: web.Request) -> tuple[Any, dict[str, bytes]]:
    """The JSON of a request, and the files of its form."""
    if request.content_type == "application/json":
        text = await request.text()
        return (json.loads(text) if text else None), {}
    if not request.content_type.startswith("multipart/"):
        return None, {}
    body, files = None, {}
    async for part in await request.multipart():
        content = await part.read()  # type: ignore[union-attr]
        if part.name == "payload_json":  # type: ignore[union-attr]
            body = json.loads(content)
        else:
            files[part.name or ""] = bytes(content)  # type: ignore[union-attr]
    return body, files


def in_json(told: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """With the bare content type that Discord sends and discord.py looks for."""
    body = json.dumps(told).encode()
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json", **(headers or {})})


def limited(seconds: float, headers: Mapping[str, str], *, everywhere: bool = False) -> web.Response:
    """`Via` is how discord.py tells Discord's refusals from those of who stands before it."""
    scope = "global" if everywhere else "user"
    told = {"message": "You are being rate limited.", "retry_after": round(seconds, 3), "global": everywhere, "code": 0}
    more = {"Retry-After": str(max(1, round(seconds))), "X-RateLimit-Scope": scope, "Via": "1.1 google"}
    more |= {"X-RateLimit-Global": "true"} if everywhere else {}
    return in_json(told, status=429, headers={**headers, **more})


def cut(request: web.Request) -> web.Response:
    """Ends the connection; what is given back goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
