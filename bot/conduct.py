"""One round of a run from its root to its roster: what it tells is folded, rendered and delivered; and how it ends."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace

import structlog

from adapters.port import Doc, ThreadRef
from bot import digest, notices, render
from bot.background import come_true
from bot.courier import Courier
from bot.delivery import Delivery
from bot.errors import Disowned, PutOff, StoreFailed, sole
from bot.live import LiveRun, kept, log_end, revisions, round_ended
from bot.model_teams import Teams
from bot.progress import Progress
from bot.reading import Readers, fetched_in_vain, links_in_vain, links_to_read, read_what_came, to_fetch
from bot.receipts import Ledger, RunReceipt
from bot.rounds import RoundId
from bot.runs import Reservation, StepRecord, is_engines_own
from bot.steps import RunSteps
from bot.store import Store
from bot.stored import Ending, Status, StoredRun
from bot.watching import RoundBegun, Watch, unwatched
from teams.events import RunEvent, event_to_json
from teams.steps import Json
from teams.stopping import Stopped, until_stopped

log = structlog.get_logger()

CRASHES = 3
"""How often a run may end its process without having got on in between, before it is left alone."""

FRUITLESS = 50
"""The same for processes that ended while it was under way, whoever was to blame."""

GIVING_UP_SECONDS = 60.0
"""How long a run that is given up has to tell its thread so."""

PAUSE_SECONDS = 3.0
"""How long the threads of runs that are put off have to be told so."""


@dataclass(frozen=True, slots=True)
class Work:
    """What does the work of runs: the teams, and the readers of what a question came with. `searches`: research has
    something to look in beside that."""

    teams: Teams
    readers: Readers = Readers()
    searches: bool = False


class Conductor:
    """Carries out the runs of this process, and knows which are under way. `blamed` is the run that the process before
    this one was working on when it ended."""

    def __init__(
        self,
        store: Store,
        courier: Courier,
        work: Work,
        ledger: Ledger,
        *,
        status: tuple[str, ...] = (),
        blamed: str = "",
    ) -> None:
        self._store, self._courier, self._work, self._ledger = store, courier, work, ledger
        self._status, self._blamed = status, blamed
        self.begun: Callable[[RoundId], None] = lambda _: None
        """Told each round that gets under way here."""
        self.ended: Callable[[RoundId], None] = lambda _: None
        """Told each round that is over, or that this process will not come back to."""
        self.watch: Watch = unwatched
        """Told of each round that gets under way, and of its end."""
        self.live: dict[RoundId, LiveRun] = {}
        self._begun_here: set[RoundId] = set()
        self._stops: set[RoundId] = set()
        self._drops: set[RoundId] = set()
        self._one_over = asyncio.Event()
        self._pausing = False

    async def conduct(self, round_id: RoundId, record: StepRecord) -> None:
        """Carry out a round of a run, from where it stands. Raises `PutOff` when the process pauses before its end."""
        await self._superseded(round_id)
        stored = await self._store.begin(round_id)
        if stored is None:
            self._forget(round_id)
            return
        self.begun(round_id)
        live = self.live[round_id] = await self._taken_up(stored, record)
        self.watch(RoundBegun(stored.brief.team, again=stored.boots > 1))
        if round_id in self._drops:
            live.dropped.set()
        try:
            with structlog.contextvars.bound_contextvars(run=str(round_id), team=stored.brief.team):
                await self._carried_out(live)
        except BaseException as error:
            # Put off, or cancelled with the process: it comes back. Anything else does not.
            alone = sole(error)
            live.over |= isinstance(alone, Disowned) or not isinstance(
                alone, PutOff | StoreFailed | asyncio.CancelledError
            )
            raise
        finally:
            live.purse.close()
            del self.live[round_id]
            self._one_over.set()
            if live.over:
                self._forget(round_id)

    async def _superseded(self, round_id: RoundId) -> None:
        """Where a round is under way here and was begun again beside that, the one before makes way."""
        before = self.live.get(round_id)
        if before is None:
            return
        log.warning("run.begun_twice", run=str(round_id))
        before.superseded = True
        before.dropped.set()

        async def gone() -> bool:
            return self.live.get(round_id) is not before

        await come_true(gone, 0.05)

    async def abandon(self, round_id: RoundId, *, strange: bool = False) -> None:
        """End a round that nobody will carry out, for its record is lost, or it was begun by a `strange` version; its
        thread is told."""
        before = await self._store.get(round_id.run)
        if before is not None and before.invocation.place.surface not in self._courier.fronts:
            # There is nobody to tell it by. It waits for a start with its front end.
            log.error("run.waits", run=str(round_id), front_end=before.invocation.place.surface)
            return
        stored = await self._store.begin(round_id)
        if stored is None:
            return
        log.error("run.of_another_version" if strange else "run.record_lost", run=str(round_id))
        live = await self._taken_up(replace(stored, boots=1, status="accepted"), _NoRecord())
        live.purse.close()
        why = notices.of_another_version(stored.id) if strange else notices.record_lost(stored.id)
        await self._give_up(live, "broken", "another_version" if strange else "lost", why)
        self._forget(round_id)

    async def _taken_up(self, stored: StoredRun, record: StepRecord) -> LiveRun:
        before = await record.before() if stored.boots > 1 else {}
        restarted = stored.round_id not in self._begun_here
        if stored.status == "running" and restarted and not stored.paused:
            stored = await self._store.taken_up(stored, len(before), blamed=stored.id == self._blamed)
        self._begun_here.add(stored.round_id)
        purse = self._ledger.purse(stored.round_id, stored.brief, begun=bool(before))
        return LiveRun(stored, RunSteps(record, purse, kept(stored.steps), before), purse, revisions(stored), restarted)

    def _forget(self, round_id: RoundId) -> None:
        self._begun_here.discard(round_id)
        self._stops.discard(round_id)
        self._drops.discard(round_id)
        self._ledger.forget(round_id)
        self.ended(round_id)

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

    def stop(self, round_id: RoundId) -> None:
        """Have a round that is not over obey that it was asked to stop: at once, or when it gets under way here."""
        if round_id in self.live:
            self.live[round_id].stop.set()
        elif self._store.shared:
            # It may never get under way here. Whoever takes it up reads that it is to stop.
            return
        self._stops.add(round_id)

    def drop(self, round_id: RoundId) -> None:
        """End a round where it stands, without another word: there is nobody left to tell."""
        if round_id in self.live:
            self.live[round_id].dropped.set()
        elif self._store.shared:
            return
        self._drops.add(round_id)

    async def _carried_out(self, live: LiveRun) -> None:
        """The round, whatever goes wrong in it: a bug of ours ends this run alone, and is told once."""
        try:
            if self._pausing:
                await self._store.paused(live.id)
                raise PutOff
            await until_stopped(self._in_thread(live), live.dropped)
        except Stopped:
            if live.superseded:
                raise PutOff from None
            await self._end(live, "stopped")
        except Exception as error:
            if isinstance(sole(error), StoreFailed | PutOff):
                raise
            if not await self._store.owns(live.id):
                # What broke it is that another process has it.
                raise Disowned from error
            log.exception("run.broke")
            await self._give_up(live, "broken", "broke", notices.broke(live.id))
            if is_engines_own(error):
                raise

    async def _in_thread(self, live: LiveRun) -> None:
        stored = live.stored
        if stored.invocation.place.surface not in self._courier.fronts:
            # Its front end is not served now. It waits for a start with it, and takes nobody's place meanwhile.
            log.error("run.waits", front_end=stored.invocation.place.surface)
            await self._store.paused(live.id)
            live.over = True
            raise PutOff
        if stored.blamed >= CRASHES or stored.stuck >= FRUITLESS:
            crashes = max(stored.blamed, stored.stuck)
            log.error("run.quarantined", crashes=crashes)
            await self._give_up(live, "quarantined", "quarantined", notices.quarantined(live.id, crashes))
            return
        if stored.thread is None:
            opened = await self._opened(stored)
            if opened is None:
                await self._end(live, "unopened")
                return
            live.stored = stored = replace(stored, thread=opened, status="accepted")
        async with self._delivery(live) as delivery:
            await self._delivered(live, delivery)
        if delivery.lost is not None:
            lost = notices.problem(notices.thread_lost(delivery.lost, live.progress.topic))
            await self._courier.notify(stored.invocation, lost)
        await self._end(live, live.progress.ended or "broken")

    async def _opened(self, stored: StoredRun) -> ThreadRef | None:
        """The thread of a run, with its root in it; None where that is refused, of which its asker was told."""
        opened = await self._courier.open(stored.id, stored.invocation, self._root(stored))
        if isinstance(opened, ThreadRef):
            return opened
        log.warning("run.unopened", error=type(opened).__name__)
        await self._courier.notify(stored.invocation, notices.problem(notices.not_opened(opened)))
        return None

    async def open(self, round_id: RoundId) -> None:
        """Open the thread of a run that another process may carry out: whoever took the question in can answer it
        itself. Where that is refused the run ends. Raises `StoreFailed`."""
        stored = await self._store.get(round_id.run)
        if stored is None or stored.ended or stored.thread is not None:
            return
        if await self._opened(stored) is None:
            await self._store.end(round_id, Ending("unopened", {}, [], RunReceipt()))

    def _delivery(self, live: LiveRun) -> AbstractAsyncContextManager[Delivery]:
        assert live.stored.thread is not None, "its thread was opened"
        again = live.stored.boots > 1
        return self._courier.delivery(live.id, live.stored.thread, live.revisions, again=again)

    async def _delivered(self, live: LiveRun, delivery: Delivery) -> None:
        # Handed on in good order between processes that share a database, it has not paused for anybody who reads it.
        handed_on = live.stored.paused and self._store.shared
        if live.stored.taken_up and not handed_on and not self._courier.digests(live.stored.invocation.place):
            self._say(live, delivery, f"resumed/{live.stored.boots}", notices.resumed(live.restarted))
        try:
            await until_stopped(self._tell(live, delivery), live.pause)
        except Stopped:
            await self._put_off(live, delivery)

    async def _give_up(self, live: LiveRun, status: Status, part: str, doc: Doc) -> None:
        """End a round that cannot go on: its thread is told, and its board stands still."""
        doc = replace(doc, mention=live.stored.invocation.author)
        live.progress = replace(live.progress, topic=live.progress.topic or live.stored.brief.topic).broken()
        try:
            async with asyncio.timeout(GIVING_UP_SECONDS):
                if live.stored.thread is None:
                    await self._courier.notify(live.stored.invocation, doc)
                else:
                    async with self._delivery(live) as delivery:
                        self._say(live, delivery, part, doc)
                        self._show(live, delivery)
                        await delivery.settled()
        except TimeoutError:
            log.error("run.end_untold")
        await self._end(live, status)

    async def _tell(self, live: LiveRun, delivery: Delivery) -> None:
        """Everything that the run tells, delivered; it returns once the last of it is."""
        await self._documents_read(live, delivery)
        brief, searches = live.stored.brief, self._work.searches
        if brief.team == "research" and not brief.sources and not searches and not self._is_to_stop(live):
            await self._nothing_to_search(live, delivery)
            return
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._obey_stop(live))
            async with self._work.teams.events(live.stored.brief, live.steps, live.id, live.stop) as events:
                async for event in events:
                    await self._told(live, delivery, event)
            watching.cancel()

    async def _documents_read(self, live: LiveRun, delivery: Delivery) -> None:
        """Have the documents and links of the run, if it came with any. What they hold is committed, so that a later
        start fetches nothing again; what could not be read is said in the thread."""
        stored = live.stored
        files, links = to_fetch(stored.invocation), links_to_read(stored.brief)
        if (files or links) and not self._is_to_stop(live):
            self._show(live, delivery, notices.reading(len(files), len(links)))
            front = self._courier.fronts[stored.invocation.place.surface]
            reading = read_what_came(front, self._work.readers, stored.invocation, stored.brief)
            with suppress(Stopped):
                invocation, brief = await until_stopped(reading, live.stop)
                await self._store.documents_read(live.id, invocation, brief)
                live.stored = replace(stored, invocation=invocation, brief=brief)
                live.purse.asked_for(brief)
        unread, in_vain = fetched_in_vain(live.stored.invocation), links_in_vain(live.stored.brief)
        if unread or in_vain:
            # Said once, whatever the round.
            delivery.put(render.post_key(live.id, "documents", 1), notices.unread(unread, in_vain), urgent=True)

    async def _nothing_to_search(self, live: LiveRun, delivery: Delivery) -> None:
        stored = live.stored
        live.progress = replace(live.progress, team="research", topic=stored.brief.topic, ended="finished")
        self._say(live, delivery, "roster", replace(notices.nothing_to_search(), mention=stored.invocation.author))
        self._show(live, delivery, notices.NOTHING_TO_SEARCH)
        await delivery.settled()

    def _is_to_stop(self, live: LiveRun) -> bool:
        return live.stop.is_set() or live.stored.stop_by is not None or live.stored.round_id in self._stops

    async def _obey_stop(self, live: LiveRun) -> None:
        """A run that was asked to stop before this process took it up first tells what had come back."""
        if self._is_to_stop(live):
            live.steps.hold()
            await live.steps.replayed.wait()
            live.stop.set()

    async def _told(self, live: LiveRun, delivery: Delivery, event: RunEvent) -> None:
        live.progress = live.progress.after(event)
        live.events.append(event)
        if live.progress.ended:
            # The last word comes last, and says how long it took in all, whatever ended in between.
            live.progress = self._timed(live)
            await delivery.said()
        asker = live.stored.invocation.author
        round_ = render.Round(live.stored.round, live.heard_before, live.purse.receipt, asker)
        rendered = digest.posts if self._courier.digests(live.stored.invocation.place) else render.posts
        for post in rendered(event, live.progress, round_):
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
        progress, title = live.progress, live.stored.brief.title
        delivery.show(
            lambda: render.board(progress, live.id, title, note, self._root(live.stored)), last=bool(progress.ended)
        )

    def _root(self, stored: StoredRun) -> Doc:
        return notices.root(stored.brief.title, self._status, stored.invocation.author)

    async def _put_off(self, live: LiveRun, delivery: Delivery) -> None:
        """Tell the thread that the process pauses, and leave the run under way."""
        if not self._store.shared:
            if not self._courier.digests(live.stored.invocation.place):
                self._say(live, delivery, f"paused/{live.stored.boots}", notices.paused())
            self._show(live, delivery, notices.PAUSED)
        try:
            async with asyncio.timeout(PAUSE_SECONDS * 0.8):
                await delivery.settled()
        except TimeoutError:
            log.warning("run.paused_untold")
        await self._store.paused(live.id)
        log.info("run.paused")
        raise PutOff

    async def _end(self, live: LiveRun, status: Status) -> None:
        steps = dict(live.steps.results)
        if (before := live.stored.steps.get("heard")) is not None:
            steps["heard:before"] = before
        events = [event_to_json(event) for event in live.events]
        ending = Ending(status, steps, events, live.purse.receipt)
        await self._store.end(live.stored.round_id, ending)
        live.over = True
        log_end(live, status)
        self.watch(round_ended(live, status, self._store.now()))


class _NoRecord:
    """The record of a round that is lost."""

    async def before(self) -> dict[str, Json]:
        return {}

    def reserve(self) -> Reservation:
        raise AssertionError("nothing is asked for a run that is lost")
