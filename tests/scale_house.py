"""Several processes that serve one Postgres: gateways and workers as they are started from a shell, a Slack that tells
them apart, and a model that writes down who asked for what.

Everything goes over real sockets: events are posted to a gateway and signed, workspaces install the app in a browser,
and each process is ended by its process id.
"""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
from aiohttp import web

from adapters.slack.connect import EVENTS_PATH
from adapters.slack.inbound import from_command
from adapters.slack.installations import REDIRECT_PATH
from adapters.slack.manifest import SCOPES
from teams.scripted import chat_text, expert_reply, synthesis_reply
from tests.adapters.slack import fake_payloads as payloads
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import Channel, User, Workspace
from tests.adapters.slack.test_slack_installations import Browser
from tests.desk import ROOT, SEATS, WHOLE
from tests.model_server import Handler, completion

READY_SECONDS, END_SECONDS, WAIT_SECONDS = 120.0, 30.0, 90.0
"""How long a start, an end in good order, and anything else that is waited for may take."""

LOOK = 0.02
SLACK_SECONDS = 3.0
"""How long Slack waits for an acknowledgement."""

STEP_OF = {"synthesis": "synthesis", **{seat: f"expert:{seat}" for seat in SEATS}}
"""The recorded step of each call of a panel."""


@dataclass(slots=True)
class ModelCall:
    """One call of the model: which worker asked, about which topic, as whom; when it came and when it was answered, by
    `time.monotonic`."""

    worker: str
    topic: str
    seat: str
    at: float
    answered: float | None = None


class CountingModel:
    """Answers every expert and every synthesis after `delay` seconds, once `let` is set, by what `faults` has for the
    seat. Workers are told apart by their keys, topics are the first word of what is asked."""

    def __init__(self, delay: float) -> None:
        self.delay, self.base = delay, ""
        self.calls: list[ModelCall] = []
        self.faults: dict[str, Handler] = {}
        self.let = asyncio.Event()
        self.let.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        prompt = "\n".join(str(message["content"]) for message in (await request.json())["messages"])
        topic = re.findall(r"\[\[ ## topic ## \]\]\s+(\S+)", prompt)[-1]
        seat = re.search(r"\[\[ ## expert_perspective ## \]\]\n(\w+)", prompt)
        worker = request.headers.get("Authorization", "").removeprefix("Bearer key-")
        call = ModelCall(worker, topic, seat[1] if seat else "synthesis", time.monotonic())
        self.calls.append(call)
        await asyncio.sleep(self.delay)
        await self.let.wait()
        call.answered = time.monotonic()
        if call.seat in self.faults:
            return await self.faults[call.seat](request)
        return completion(chat_text(expert_reply(f"{seat[1]} speaks") if seat else synthesis_reply("all in all")))

    def made(self, *, worker: str = "", topics: Iterable[str] = ()) -> list[ModelCall]:
        """The calls so far of one worker, or about some topics."""
        about = set(topics)
        return [
            call for call in self.calls if (not worker or call.worker == worker) and (not about or call.topic in about)
        ]


class ManyDoors(FakeSlack):
    """A Slack that gives each process an address of its own: `callers` has who made each of `calls`."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[str] = []
        self._doors: dict[int, str] = {}

    async def door(self, name: str) -> str:
        """The `SLACK_API_URL` of a process."""
        there = {port for _, port in self._runner.addresses}
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        (port,) = {port for _, port in self._runner.addresses} - there
        self._doors[port] = name
        return f"http://127.0.0.1:{port}/api/"

    async def _serve(self, request: web.Request, name: str, token: str, body: dict[str, Any]) -> web.StreamResponse:
        self.callers.append(self._doors.get(request.url.port or 0, ""))
        return await super()._serve(request, name, token, body)

    def made_by(self, name: str, since: int = 0) -> list[Any]:
        """The calls of one process, from the `since`th call of all on."""
        return [self.calls[number] for number in range(since, len(self.calls)) if self.callers[number] == name]


@dataclass(slots=True)
class Asked:
    """A question that was acknowledged: its run, where it was asked, and how many seconds that took."""

    topic: str
    run: str
    site: "Site"
    took: float


@dataclass(frozen=True, slots=True)
class Site:
    """A workspace, one of its channels, and who asks there."""

    team: Workspace
    channel: Channel
    person: User


@dataclass(slots=True)
class Served:
    """One process that serves; `said` is the file of its log."""

    name: str
    process: asyncio.subprocess.Process
    port: int
    said: Path

    @property
    def events(self) -> str:
        return f"http://127.0.0.1:{self.port}{EVENTS_PATH}"

    def log(self) -> str:
        return self.said.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """By its process id, and only while it lives."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def kill(self) -> float:
        """End it with SIGKILL; when that was, by `time.monotonic`."""
        at = time.monotonic()
        self.signal(signal.SIGKILL)
        await self.process.wait()
        return at

    async def end(self, seconds: float = END_SECONDS) -> int:
        """End it in good order; its exit code."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        async with asyncio.timeout(seconds):
            return await self.process.wait()


@dataclass
class ScaleHouse:
    """What several processes share, and the processes. `environment` is what each is started with beside its own."""

    folder: Path
    url: str
    slack: ManyDoors
    model: CountingModel
    session: aiohttp.ClientSession
    environment: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Served] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    gateway: str = ""

    # Processes

    async def start(self, name: str, *, module: str = "bot.cli", role: str = "", **environment: str) -> Served:
        """Start a process of that name; what it does is how its name begins, unless that is said."""
        role, port = role or name.partition("-")[0], _free_port()
        said = self.folder / f"{name}-{len(list(self.folder.glob(f'{name}-*.log')))}.log"
        command = (sys.executable, "-m", module, "serve", "--role", role, "--worker-id", name)
        settings = self._settings(name, port) | {"SLACK_API_URL": await self.slack.door(name)}
        with said.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, env={**settings, **self.environment, **environment}, cwd=ROOT, stderr=log
            )
        served = self.processes[name] = Served(name, process, port, said)
        if role != "worker" and not self.gateway:
            self.gateway = name
        return served

    async def started(self, *names: str, **environment: str) -> None:
        """Start processes, and wait until all are ready."""
        for name in names:
            await self.start(name, **environment)
        await asyncio.gather(*(self.ready(name) for name in names))

    async def ready(self, name: str) -> None:
        """Wait until a process is ready, and has loaded what runs need."""
        served, until = self.processes[name], time.monotonic() + READY_SECONDS
        while time.monotonic() < until and served.process.returncode is None:
            try:
                async with self.session.get(f"http://127.0.0.1:{served.port}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(LOOK)
        raise RuntimeError(f"{name} did not get ready: {served.log()[-2000:]}")

    def _settings(self, name: str, port: int) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "NO_PROXY": "127.0.0.1",
            "DATABASE_URL": self.url,
            "FLASH_API_BASE": self.model.base,
            "FLASH_API_KEY": f"key-{name}",
            "FLASH_MODEL": "mock",
            "PANELIST_GRACE": "6",
            "PANELIST_HOME": str(self.folder / "home"),
            "PANELIST_LOG": "info",
            "PANELIST_RUNS_PER_DAY_CHANNEL": "0",
            "PANELIST_RUNS_PER_DAY_PERSON": "0",
            "PANELIST_RUNS_PER_DAY_WORKSPACE": "0",
            "PANELIST_URL": "https://bot.example.com",
            "PORT": str(port),
            "SLACK_CLIENT_ID": self.slack.client_id,
            "SLACK_CLIENT_SECRET": self.slack.client_secret,
            "SLACK_SIGNING_SECRET": self.slack.signing_secret,
        }

    async def close(self) -> None:
        """End whatever still runs."""
        for served in self.processes.values():
            served.signal(signal.SIGCONT)
            served.signal(signal.SIGKILL)
        for served in self.processes.values():
            await served.process.wait()

    # People

    async def install(self, workspaces: int, channels: int) -> list[Site]:
        """Have so many workspaces install the app, each with so many channels; all channels, one workspace after the
        other. Slack's limits are by channel and by workspace: who shares neither waits for nobody."""
        sites = []
        for number in range(workspaces):
            team = _workspace(number)
            person = User(f"U{number:03d}ANN", "ann", team_id=team.team_id)
            self.slack.add(team, person)
            for other in range(channels):
                channel = Channel(f"C{number:03d}{other:03d}", f"channel{other}", team_id=team.team_id)
                self.slack.add(channel)
                sites.append(Site(team, channel, person))
            await self._install(team)
        return sites

    async def _install(self, team: Workspace) -> None:
        browser = Browser(self.session, self.processes[self.gateway].events.removesuffix(EVENTS_PATH))
        state = await browser.begin()
        code = f"code-{team.team_id}"
        self.slack.codes[code] = team.team_id
        status, page = await browser.get(REDIRECT_PATH, code=code, state=state)
        assert (status, "Thank you" in page) == (200, True), page

    def command(self, site: Site, text: str) -> dict[str, Any]:
        """A slash command of a site's person, as Slack sends it: the same one however often it is delivered."""
        return payloads.slash_command(self.slack.gesture(site.person, site.channel, site.team), text)

    async def deliver(self, payload: dict[str, Any], gateway: str = "", kind: Any = "command") -> float | None:
        """Deliver a payload; in how many seconds it was acknowledged, or None where it was not."""
        began = time.monotonic()
        try:
            answer = await self.slack.deliver(self.processes[gateway or self.gateway].events, payload, kind)
        except aiohttp.ClientError:
            return None
        return time.monotonic() - began if answer.status == 200 else None

    async def ask(self, topic: str, site: Site, gateway: str = "") -> Asked | None:
        """Ask a panel; None where nobody acknowledged that."""
        payload = self.command(site, topic)
        took = await self.deliver(payload, gateway)
        if took is None:
            return None
        asked = self.asked[topic] = Asked(topic, run_of(payload), site, took)
        return asked

    # What became of it

    def posts(self, asked: Asked) -> Counter[str]:
        """What stands of a run, by part: how often."""
        return Counter(part for part, _ in self._parts(asked))

    def shown_at(self, asked: Asked) -> dict[str, float]:
        """When each part of a run was posted first, by the fake's clock (`time.time`)."""
        return dict(sorted(self._parts(asked), key=lambda part: part[1], reverse=True))

    def _parts(self, asked: Asked) -> list[tuple[str, float]]:
        found = []
        for message in self.slack.posted.get(asked.site.channel.id, {}).values():
            run, _, part = message.get("metadata", {}).get("event_payload", {}).get("key", "").partition("/")
            if run == asked.run:
                found.append((part, float(message["ts"])))
        return found

    def settled(self, asked: Asked) -> bool:
        """Whether a run's last board stands."""
        root = next(
            (
                message
                for message in self.slack.posted.get(asked.site.channel.id, {}).values()
                if message.get("metadata", {}).get("event_payload", {}).get("key") == f"{asked.run}/root"
            ),
            None,
        )
        return root is not None and "finished in" in self.slack.plain(root)

    def said(self, asked: Asked) -> str:
        """All that stands where a run was asked, its root and board too."""
        return "\n".join(self.slack.plain(message) for message in self.slack.messages(asked.site.channel.id))

    async def whole(self, *asked: Asked, without: Iterable[str] = (), seconds: float = WAIT_SECONDS) -> None:
        """Wait until every part of the runs was posted, but for those `without`, and their last boards stand."""
        parts = WHOLE - set(without)
        await until(lambda: all(set(self.posts(one)) >= parts and self.settled(one) for one in asked), seconds)

    def doubled(self) -> list[str]:
        """Posts that stand more than once."""
        return [f"{one.topic}/{part}" for one in self.asked.values() for part, n in self.posts(one).items() if n > 1]

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database says."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def statuses(self) -> Counter[str]:
        """How many runs stand how."""
        return Counter(status for (status,) in self.rows("SELECT status FROM runs"))

    def owned_by(self, name: str) -> list[Asked]:
        """The runs that a process carries out now."""
        ids = {
            run for (run,) in self.rows("SELECT id FROM runs WHERE owner LIKE %s AND status = 'running'", f"{name}/%")
        }
        return [one for one in self.asked.values() if one.run in ids]

    def recorded(self) -> set[tuple[str, str]]:
        """Every run and step whose result is recorded."""
        return set(
            self.rows("SELECT workflow_uuid, function_name FROM dbos.operation_outputs WHERE output IS NOT NULL")
        )

    def repeated(self, recorded: set[tuple[str, str]], since: int) -> list[ModelCall]:
        """Calls from the `since`th on that asked for what was recorded before."""
        runs = {one.topic: one.run for one in self.asked.values()}
        return [call for call in self.model.calls[since:] if (runs[call.topic], STEP_OF[call.seat]) in recorded]

    async def metrics(self, name: str) -> dict[str, float]:
        """What a process' page for Prometheus says, by series."""
        async with self.session.get(f"http://127.0.0.1:{self.processes[name].port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def run_of(payload: dict[str, Any]) -> str:
    """The run that a slash command begins."""
    command = from_command(payload)
    assert command is not None
    return command.inbound.key  # type: ignore[union-attr]


async def until(there: Callable[[], bool], seconds: float = WAIT_SECONDS) -> float:
    """Wait until it is so; when it was seen, by `time.monotonic`."""
    async with asyncio.timeout(seconds):
        while not there():
            await asyncio.sleep(LOOK)
    return time.monotonic()


@asynccontextmanager
async def scale_house(folder: Path, url: str, delay: float = 0.1, **environment: str) -> AsyncIterator[ScaleHouse]:
    """A house without any process yet, on the database at `url`; whatever was started in the block ends with it."""
    model = CountingModel(delay)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", model.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    # A short backlog drops connections of a burst; they come back a whole second later.
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    model.base = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        async with ManyDoors() as slack, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            house = ScaleHouse(folder, url, slack, model, session, environment)
            try:
                yield house
            finally:
                await house.close()
    finally:
        await runner.cleanup()


def _workspace(number: int) -> Workspace:
    # What the install page asks for is granted, and nothing else.
    return Workspace(
        f"T{number:03d}",
        f"Space{number}",
        f"xoxb-{number}",
        f"U{number:03d}BOT",
        f"B{number:03d}",
        scopes=tuple(SCOPES),
    )


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@asynccontextmanager
async def probed(house: ScaleHouse) -> AsyncIterator[dict[str, dict[str, float]]]:
    """Look how long the loops of the processes stand still in the block; what was found is there behind it."""
    found: dict[str, dict[str, float]] = {}
    words = [f"{name}:{served.port}:{served.process.pid}" for name, served in house.processes.items()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.loop_prober", *words),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield found
        out, _ = await process.communicate(b"")
        found |= json.loads(out)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
