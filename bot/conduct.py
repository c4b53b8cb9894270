"""One round of a run from its root to its roster: what it tells is folded, rendered and delivered; and how it ends."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from adapters.port import Doc, ThreadRef
from bot import render
from bot.courier import Courier, Delivery
from bot.model_teams import Teams
from bot.progress import Progress
from bot.receipts import Ledger, Purse
from bot.runs import PutOff, StepRecord, is_engines_own, sole
from bot.steps import RunSteps
from bot.store import Store
from bot.stored import Ending, Status, StoredRun, StoreFailed
from teams.events import RunEvent, event_to_json
from teams.stopping import Stopped, until_stopped

log = structlog.get_logger()

CRASHES = 3
"""How often a run may end its process without having got on in between, before it is left alone."""

FRUITLESS = 50
"""The same for processes that ended while it was under way, whoever was to blame."""

PAUSE_SECONDS = 3.0
"""How long the threads of runs that are put off have to be told so."""


@dataclass(eq=False, slots=True)
class LiveRun:
    """A run under way in this process."""

    stored: StoredRun
    steps: RunSteps
    purse: Purse
    stop: asyncio.Event
    pause: asyncio.Event
    progress: Progress
    events: list[dict[str, Any]]
    over: bool = False

    @property
    def id(self) -> str:
        """The run's id."""
        return self.stored.id

    @property
    def heard_before(self) -> tuple[str, ...]:
        """Whom the synthesis of the round before had heard."""
        before = self.stored.steps.get("heard")
        return () if before is None else tuple(json.loads(before)["heard"])

    def key(self, part: str) -> str:
        """The key of one of its posts."""
        return render.post_key(self.id, part, self.stored.round)


class Conductor:
    """Carries out the runs of this process, and knows which are under way. `blamed` is the run that the process before
    this one was working on when it ended."""

    def __init__(
        self,
        store: Store,
        courier: Courier,
        teams: Teams,
        ledger: Ledger,
        *,
        status: tuple[str, ...] = (),
        blamed: str = "",
    ) -> None:
        self._store, self._courier, self._teams, self._ledger = store, courier, teams, ledger
        self._status, self._blamed = status, blamed
        self.ended: Callable[[str], None] = lambda _: None
        """Told the id of each run that is over."""
        self.live: dict[str, LiveRun] = {}
        self._begun_here: set[str] = set()
        self._stops: set[str] = set()
        self._one_over = asyncio.Event()
        self._pausing = False

    async def conduct(self, run_id: str, round_: int, record: StepRecord) -> None:
        """Carry out a round of a run, from where it stands. Raises `PutOff` when the process pauses before its end."""
        stored = await self._store.begin(run_id, round_)
        if stored is None:
            self.ended(run_id)
            return
        before = await record.before() if stored.boots > 1 else {}
        if stored.status == "running" and run_id not in self._begun_here:
            stored = await self._store.taken_up(stored, len(before), blamed=run_id == self._blamed)
        self._begun_here.add(run_id)
        purse = self._ledger.purse(stored.brief)
        steps = RunSteps(record, purse, _kept(stored.steps), before)
        live = LiveRun(stored, steps, purse, asyncio.Event(), asyncio.Event(), Progress(), [])
        self.live[run_id] = live
        try:
            with structlog.contextvars.bound_contextvars(run=run_id, team=stored.brief.team):
                if self._pausing:
                    raise PutOff
                await self._in_thread(live)
        finally:
            purse.close()
            del self.live[run_id]
            self._one_over.set()
            if live.over:
                self.ended(run_id)

    async def pause(self, seconds: float) -> None:
        """Begin no call from now on, give those under way up to `seconds` to end, and put the runs off."""
        self._pausing = True
        until = asyncio.get_running_loop().time() + seconds
        for live in self.live.values():
            live.steps.hold()
        while any(live.steps.in_flight or live.progress.ended for live in self.live.values()):
            if asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(0.02)
        for live in self.live.values():
            live.pause.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_SECONDS):
                while self.live:
                    await self._one_over.wait()
                    self._one_over.clear()

    def stop(self, run_id: str) -> None:
        """Have a run obey that it was asked to stop: at once, or when it gets under way here."""
        self._stops.add(run_id)
        if run_id in self.live:
            self.live[run_id].stop.set()

    async def _in_thread(self, live: LiveRun) -> None:
        stored = live.stored
        if stored.invocation.place.surface not in self._courier.fronts:
            # Its front end is not served now. It waits for a start with it, and takes nobody's place meanwhile.
            log.error("run.waits", front_end=stored.invocation.place.surface)
            live.over = True
            raise PutOff
        if stored.thread is not None:
            thread: Any = stored.thread
        else:
            root = render.root(stored.brief.title, self._status)
            thread = await self._courier.open(live.id, stored.invocation, root)
        if not isinstance(thread, ThreadRef):
            log.warning("run.unopened", error=type(thread).__name__)
            await self._courier.notify(stored.invocation, render.problem(render.not_opened(thread)))
            await self._end(live, "unopened")
            return
        async with self._courier.delivery(live.id, thread, stored.boots) as delivery:
            await self._delivered(live, delivery)
        if delivery.lost is not None:
            lost = render.problem(render.thread_lost(delivery.lost, live.progress.topic))
            await self._courier.notify(stored.invocation, lost)

    async def _delivered(self, live: LiveRun, delivery: Delivery) -> None:
        if live.stored.blamed >= CRASHES or live.stored.stuck >= FRUITLESS:
            await self._quarantine(live, delivery)
            return
        if live.stored.taken_up:
            self._say(live, delivery, f"resumed/{live.stored.boots}", render.resumed())
        try:
            await until_stopped(self._tell(live, delivery), live.pause)
        except Stopped:
            await self._put_off(live, delivery)
        except Exception as error:
            if isinstance(sole(error), StoreFailed | PutOff):
                raise
            await self._broke(live, delivery)
            if is_engines_own(error):
                raise
            return
        await self._end(live, live.progress.ended or "broken")

    async def _broke(self, live: LiveRun, delivery: Delivery) -> None:
        log.exception("run.broke")
        live.progress = live.progress.broken()
        self._say(live, delivery, "broke", render.broke(live.id))
        self._show(live, delivery)
        await delivery.settled()
        await self._end(live, "broken")

    async def _tell(self, live: LiveRun, delivery: Delivery) -> None:
        """Everything that the run tells, delivered; it returns once the last of it is."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._obey_stop(live))
            async with self._teams.events(live.stored.brief, live.steps, live.id, live.stop) as events:
                async for event in events:
                    await self._told(live, delivery, event)
            watching.cancel()

    async def _obey_stop(self, live: LiveRun) -> None:
        """A run that was asked to stop before this process took it up first tells what had come back."""
        if live.stored.stop_by is not None or live.id in self._stops:
            live.steps.hold()
            await live.steps.replayed.wait()
            live.stop.set()

    async def _told(self, live: LiveRun, delivery: Delivery, event: RunEvent) -> None:
        live.progress = live.progress.after(event)
        live.events.append(event_to_json(event))
        if live.progress.ended:
            # The last word comes last, and says how long it took in all, whatever ended in between.
            live.progress = self._timed(live)
            await delivery.settled()
        round_ = render.Round(live.stored.round, live.heard_before, live.purse.receipt)
        for post in render.posts(event, live.progress, round_):
            delivery.put(live.key(post.part), post.doc, urgent=not post.part.startswith("expert/"))
        self._show(live, delivery)
        if live.progress.ended:
            await delivery.settled()

    def _timed(self, live: LiveRun) -> Progress:
        began, now = live.stored.started_at, self._store.now()
        if live.stored.boots == 1 or began is None:
            return live.progress
        return replace(live.progress, seconds=max(live.progress.seconds, now - began))

    def _say(self, live: LiveRun, delivery: Delivery, part: str, doc: Doc) -> None:
        delivery.put(live.key(part), doc, urgent=True)

    def _show(self, live: LiveRun, delivery: Delivery, note: str = "") -> None:
        delivery.show(render.board(live.progress, live.id, live.stored.brief.title, note))

    async def _put_off(self, live: LiveRun, delivery: Delivery) -> None:
        """Tell the thread that the process pauses, and leave the run under way."""
        self._say(live, delivery, f"paused/{live.stored.boots}", render.paused())
        self._show(live, delivery, render.PAUSED)
        try:
            async with asyncio.timeout(PAUSE_SECONDS * 0.8):
                await delivery.settled()
        except TimeoutError:
            log.warning("run.paused_untold")
        log.info("run.paused")
        raise PutOff

    async def _quarantine(self, live: LiveRun, delivery: Delivery) -> None:
        crashes = max(live.stored.blamed, live.stored.stuck)
        log.error("run.quarantined", crashes=crashes)
        live.progress = replace(Progress(topic=live.stored.brief.topic), ended="broken")
        self._say(live, delivery, "quarantined", render.quarantined(live.id, crashes))
        self._show(live, delivery)
        await delivery.settled()
        await self._end(live, "quarantined")

    async def _end(self, live: LiveRun, status: Status) -> None:
        ending = Ending(status, live.steps.results, live.events, live.purse.receipt)
        await self._store.end(live.id, ending)
        live.over = True
        self._begun_here.discard(live.id)
        self._stops.discard(live.id)
        _log_end(live, status)


def _kept(steps: dict[str, str]) -> dict[str, str]:
    """What a further round keeps of the one before: what succeeded, but neither failures nor the synthesis."""
    return {
        key: result
        for key, result in steps.items()
        if not key.startswith(("synthesis", "heard")) and "failure" not in json.loads(result)
    }


def _log_end(live: LiveRun, status: str) -> None:
    progress = live.progress
    kinds = sorted({failure.kind.value for failure in progress.failed})
    tell = log.info if progress.answered else log.warning
    tell(
        "run.finished",
        ended=status,
        heard=len(progress.answered),
        seats=len(progress.seats),
        failures=kinds,
        synthesis=progress.synthesis.written is not None,
        seconds=round(progress.seconds, 3),
        calls=live.purse.receipt.calls,
    )
