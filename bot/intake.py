"""Intake: what people ask, as commands, to runs in their threads; and what is wrong with it, as one sentence."""

import asyncio
from typing import assert_never

import structlog

from adapters.port import Doc, FrontEnd, Invocation, Place, Receipt, SendError, ThreadRef
from bot import render
from bot.commands import Ask, Command, Help, Panels, Research, Retry, Settings, Stop, parse
from bot.courier import Courier
from bot.runs import Brief, LiveRun, Teams
from teams.catalog import Catalog, UnknownPanel
from teams.model import TOPIC_LIMIT, Source

log = structlog.get_logger()


REMEMBERED = 1_000
"""How many gestures are remembered, so that one delivered again is not run again."""


class Unaskable(ValueError):
    """A command cannot be carried out. The message is one sentence for the asker."""


class NotOpened(Unaskable):
    """No thread could be opened for a run; `error` is what the platform said."""

    def __init__(self, error: SendError) -> None:
        super().__init__(render.not_opened(error))
        self.error = error


def topic_of(text: str, what: str = "topic") -> str:
    """The text when it can be asked. Raises `Unaskable` for one that is empty or too long."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unaskable(f"the {what} holds bytes that are no text; write it in UTF-8") from error
    if not text.strip():
        raise Unaskable(f"there is no {what}; write it behind the command, as in /panel Should we open on Sundays?")
    if len(text) > TOPIC_LIMIT:
        raise Unaskable(
            f"the {what} has {len(text):,} characters and may have {TOPIC_LIMIT:,}; put the rest into a document"
        )
    return text.strip()


def brief_for(command: Ask | Research, catalog: Catalog, sources: tuple[Source, ...] = ()) -> Brief:
    """What a command asks for. Raises `Unaskable`, with nothing begun."""
    match command:
        case Research():
            question = topic_of(command.question, "question")
            if not sources:
                raise Unaskable("there are no documents to search; in a shell: panelist research … --docs FILE")
            return Brief("research", question, sources=sources)
        case Ask():
            try:
                panel = catalog.get(command.panel or catalog.default)
            except UnknownPanel as error:
                raise Unaskable("; ".join([str(error), *catalog.problems])) from error
            return Brief("panel", topic_of(command.topic), panel, sources)
        case _:
            assert_never(command)


class Intake:
    """Carries out what a front end takes in. Runs belong to `group` and outlive the call that began them."""

    def __init__(
        self, front: FrontEnd, teams: Teams, catalog: Catalog, group: asyncio.TaskGroup, status: tuple[str, ...] = ()
    ) -> None:
        self._front, self._teams, self._catalog, self._group = front, teams, catalog, group
        self._status = status
        self._latest: dict[Place, tuple[LiveRun, Courier]] = {}
        self._live: list[tuple[Place, LiveRun]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun: dict[str, LiveRun] = {}

    async def take(self, invocation: Invocation) -> None:
        """Carry out one invocation. It returns when the run has begun, not when it is over."""
        command = parse(invocation.text)
        try:
            await self._carry_out(command, invocation)
        except Unaskable as error:
            await self._tell(invocation, render.problem(str(error)))

    async def _carry_out(self, command: Command, invocation: Invocation) -> None:
        match command:
            case Ask() | Research():
                unread = [attached for attached in invocation.attachments if attached.problem]
                if unread:
                    await self._tell(invocation, render.unread(unread))
                sources = tuple(Source(file.name, file.text) for file in invocation.attachments if not file.problem)
                await self.begin(brief_for(command, self._catalog, sources), invocation)
            case Stop():
                self._running(invocation).stop.set()
            case Retry():
                await self._retry(invocation)
            case Panels():
                await self._tell(invocation, render.panel_list(self._catalog))
            case Settings():
                await self._tell(invocation, render.settings(self._status))
            case Help():
                await self._tell(invocation, render.help_text(command.instead_of))
            case _:
                assert_never(command)

    async def settled(self) -> None:
        """Wait until every run begun here is over."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def stop_all(self) -> None:
        """Stop every run begun here."""
        for _, run in self._live:
            run.stop.set()

    async def begin(self, brief: Brief, invocation: Invocation) -> LiveRun:
        """Open the thread of a run and start it; a second delivery of one gesture gets the run of the first.

        Raises `NotOpened` where no thread can be opened.
        """
        if (begun := self._begun.get(invocation.key)) is not None:
            return begun
        asked = f"{brief.panel.title if brief.panel else 'Research'}: {brief.topic}"
        run = self._begun[invocation.key] = LiveRun(invocation.key, brief)
        if len(self._begun) > REMEMBERED:
            del self._begun[next(iter(self._begun))]
        thread = await self._front.open_thread(invocation, render.root(asked, self._status), key=run.key("root"))
        if not isinstance(thread, ThreadRef):
            del self._begun[invocation.key]
            raise NotOpened(thread)
        self._start(run, Courier(self._front, thread), invocation.place)
        return run

    def _start(self, run: LiveRun, courier: Courier, place: Place) -> None:
        self._latest[place] = (run, courier)
        self._live.append((place, run))
        task = self._group.create_task(self._deliver(run, courier), name=f"run {run.run_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._over(done, run))

    def _over(self, task: asyncio.Task[None], run: LiveRun) -> None:
        self._tasks.discard(task)
        self._live = [(place, live) for place, live in self._live if live is not run]

    async def _deliver(self, run: LiveRun, courier: Courier) -> None:
        with structlog.contextvars.bound_contextvars(run=run.run_id, team=run.brief.team):
            try:
                async with run.events(self._teams) as events:
                    async for event in events:
                        await courier.deliver(run, event)
            except Exception:
                log.exception("run.broke")
                run.progress = run.progress.broken()
                await courier.last_word(run, render.broke(run.run_id))
                return
            _log_end(run)

    async def _retry(self, invocation: Invocation) -> None:
        run, courier = self._latest.get(invocation.place, (None, None))
        if run is None or courier is None:
            raise Unaskable("nothing has been asked here yet, so there is nothing to retry")
        if run.running:
            raise Unaskable("the run is still under way; retry once it is over, or /panel stop")
        if not run.progress.unheard and run.progress.synthesis.written is not None:
            raise Unaskable("every expert answered; there is nobody to ask again")
        self._start(run.continued(), courier, invocation.place)

    def _running(self, invocation: Invocation) -> LiveRun:
        here = [run for place, run in self._live if place == invocation.place and not run.stop.is_set()]
        if not here:
            raise Unaskable("nothing is running here")
        return here[-1]

    async def _tell(self, invocation: Invocation, doc: Doc) -> Receipt:
        return await self._front.notify(invocation, doc)


def _log_end(run: LiveRun) -> None:
    progress = run.progress
    kinds = sorted({failure.kind.value for failure in progress.failed})
    tell = log.info if progress.answered else log.warning
    tell(
        "run.finished",
        ended=progress.ended,
        heard=len(progress.answered),
        seats=len(progress.seats),
        failures=kinds,
        synthesis=progress.synthesis.written is not None,
        seconds=progress.seconds,
    )
