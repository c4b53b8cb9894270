"""Intake: what people ask, as commands, to runs that are safe before they are acknowledged; and what is wrong with it,
as one sentence."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol, assert_never

import structlog

from adapters.port import Doc, Invocation, NotSafe
from bot import render
from bot.asking import Unaskable, brief_for
from bot.brief import Brief
from bot.commands import Ask, Command, Help, Panels, Research, Retry, Settings, Stop, parse
from bot.conduct import Conductor
from bot.courier import Courier
from bot.receipts import Ledger
from bot.rules import Rules
from bot.store import Store
from bot.stored import Accepted, Duplicate, OverQuota, StoredRun, StoreFailed
from teams.catalog import Catalog
from teams.model import Source

log = structlog.get_logger()

AGAIN_SECONDS = 5.0
"""How long after the database refused a run is started again."""


class Starter(Protocol):
    """What runs are started on; `bot.runs.DurableRuns` is one."""

    async def start(self, run_id: str, round_: int) -> None:
        """Start a round of a run."""

    async def known(self, rounds: list[tuple[str, int]]) -> set[tuple[str, int]]:
        """Those of the rounds that were started before."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What intake works with."""

    store: Store
    courier: Courier
    conductor: Conductor
    runs: Starter
    catalog: Catalog
    rules: Rules = Rules()
    ledger: Ledger | None = None
    status: tuple[str, ...] = ()


class Intake:
    """Carries out what front ends take in. Runs belong to `group` and outlive the call that began them."""

    def __init__(self, parts: Parts, group: asyncio.TaskGroup) -> None:
        self._parts, self._group = parts, group
        self._store = parts.store
        self._started: set[str] = set()
        self._starting = asyncio.Lock()
        self._all_over = asyncio.Event()
        self._all_over.set()
        self._waiting = 0
        self._arriving = 0
        self._ended_early: set[str] | None = set()
        parts.conductor.ended = self._over

    async def take(self, invocation: Invocation) -> None:
        """Carry out one invocation. It returns when what was asked is safe, not when it is done. Raises `NotSafe`."""
        command = parse(invocation.text)
        try:
            await self._carry_out(command, invocation)
        except Unaskable as error:
            await self._tell(invocation, render.problem(str(error)))
        except StoreFailed as error:
            await self._tell(invocation, render.not_taken(str(error)))
            raise NotSafe(str(error)) from error

    async def take_up(self) -> None:
        """Start what was accepted and not yet started when the process before this one ended."""
        under_way = await self._store.under_way()
        accepted = await self._store.next_accepted(100_000)
        started = await self._parts.runs.known([(run.id, run.round) for run in accepted])
        going = [run.id for run in under_way] + [run.id for run in accepted if (run.id, run.round) in started]
        # What was started before goes on by itself, and may be over by now.
        early, self._ended_early = self._ended_early or set(), None
        self._count(run_id for run_id in going if run_id not in early)
        self._waiting = len(accepted) - len(started)
        if under_way or accepted:
            log.info("runs.taken_up", under_way=len(under_way), accepted=len(accepted))
        await self._start_waiting()

    async def begin(self, brief: Brief, invocation: Invocation) -> str:
        """Make a run safe and start it; its id. A second delivery of one gesture is the run of the first.

        Raises `Unaskable` and `StoreFailed`.
        """
        rules, ledger = self._parts.rules, self._parts.ledger
        if not rules.allows(invocation.place):
            channel = invocation.place.channel
            raise Unaskable(f"runs are not allowed here; an admin can add {channel} to PANELIST_ALLOWED_CHANNELS")
        if ledger is not None and ledger.used_up and await self._store.claimed(invocation.key) is None:
            raise Unaskable("today's budget is used up; it begins anew at 00:00 UTC")
        if self._full and await self._store.claimed(invocation.key) is None:
            raise Unaskable(render.too_many(rules.runs_waiting))
        self._arriving += 1
        try:
            accepted = await self._store.accept(invocation, brief, rules.quotas_of(invocation))
        finally:
            self._arriving -= 1
        match accepted:
            case Duplicate(run):
                return run
            case OverQuota() as over:
                raise Unaskable(render.over_quota(over))
            case Accepted():
                await self._start_or_queue(invocation)
        return invocation.key

    async def settled(self) -> None:
        """Wait until every run begun here is over."""
        await self._all_over.wait()

    async def stop_all(self, who: str = "the process") -> None:
        """Stop every run begun here."""
        for run_id in list(self._started):
            await self._store.ask_stop(run_id, f"{run_id}/stop_all", who)
            self._parts.conductor.stop(run_id)

    async def _carry_out(self, command: Command, invocation: Invocation) -> None:
        match command:
            case Ask() | Research():
                unread = [attached for attached in invocation.attachments if attached.problem]
                if unread:
                    await self._tell(invocation, render.unread(unread))
                sources = tuple(Source(file.name, file.text) for file in invocation.attachments if not file.problem)
                await self.begin(brief_for(command, self._parts.catalog, sources), invocation)
            case Stop():
                await self._stop(invocation)
            case Retry():
                await self._retry(invocation)
            case Panels():
                await self._tell(invocation, render.panel_list(self._parts.catalog))
            case Settings():
                await self._tell(invocation, render.settings(self._parts.status))
            case Help():
                await self._tell(invocation, render.help_text(command.instead_of))
            case _:
                assert_never(command)

    # Starting

    @property
    def _full(self) -> bool:
        """Whether as many run and wait, or are about to, as may."""
        rules = self._parts.rules
        there = len(self._started) + self._waiting + self._arriving
        return bool(rules.runs_in_flight) and there >= rules.runs_in_flight + rules.runs_waiting

    async def _start_or_queue(self, invocation: Invocation) -> None:
        if self._has_room and not self._waiting:
            self._count([invocation.key])
            self._group.create_task(self._start(invocation.key, 1), name=f"start {invocation.key}")
            return
        self._waiting += 1
        self._all_over.clear()
        await self._tell(invocation, render.busy(self._waiting, len(self._started)))
        self._group.create_task(self._start_waiting(), name="start what waits")

    @property
    def _has_room(self) -> bool:
        most = self._parts.rules.runs_in_flight
        return not most or len(self._started) < most

    def _count(self, run_ids: Iterable[str]) -> None:
        self._started |= set(run_ids)
        if self._started:
            self._all_over.clear()

    async def _start(self, run_id: str, round_: int) -> None:
        # The run is safe, and its asker was told nothing else: it is started as soon as the database lets it.
        while True:
            try:
                await self._parts.runs.start(run_id, round_)
                return
            except StoreFailed as error:
                log.error("run.not_started", run=run_id, why=str(error), again_in=AGAIN_SECONDS)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _start_waiting(self) -> None:
        """Start runs in the order they were accepted, as far as there is room."""
        with suppress(StoreFailed):
            async with self._starting:
                while self._waiting and self._has_room:
                    await self._start_some()
        if not self._started and not self._waiting:
            self._all_over.set()

    async def _start_some(self) -> None:
        # Those started that did not begin yet come first in the database: look past them.
        most = len(self._started) + 100
        waiting = [run for run in await self._store.next_accepted(most) if run.id not in self._started]
        if not waiting:
            self._waiting = 0
        for run in waiting:
            if not self._has_room:
                break
            self._waiting = max(self._waiting - 1, 0)
            self._count([run.id])
            await self._start(run.id, run.round)

    def _over(self, run_id: str) -> None:
        self._started.discard(run_id)
        if self._ended_early is not None:
            self._ended_early.add(run_id)
        if self._waiting:
            # This is told from within the run that is over; what is started now is not its doing.
            self._group.create_task(self._start_waiting(), name="start what waits", context=Context())
        elif not self._started:
            self._all_over.set()

    # Stop and retry

    async def _stop(self, invocation: Invocation) -> None:
        if await self._store.claimed(invocation.key) is not None:
            return
        going = [run for run in await self._about(invocation) if not run.ended]
        if not invocation.run:
            going = [run for run in going if run.stop_by is None]
        if not going:
            raise Unaskable("nothing is running here")
        allowed = [run for run in going if self._may_stop(invocation, run)]
        if not allowed:
            raise Unaskable(f"only {going[0].invocation.author} or an admin can stop this run")
        run = allowed[0]
        await self._store.ask_stop(run.id, invocation.key, invocation.author)
        self._parts.conductor.stop(run.id)
        if run.id not in self._started:
            # It waits for its turn; as nothing will be asked for it, it needs none.
            self._waiting = max(self._waiting - 1, 0)
            self._count([run.id])
            await self._start(run.id, run.round)

    def _may_stop(self, who: Invocation, run: StoredRun) -> bool:
        return run.invocation.author == who.author or self._parts.rules.is_admin(who)

    async def _retry(self, invocation: Invocation) -> None:
        if await self._store.claimed(invocation.key) is not None:
            return
        found = await self._about(invocation)
        if not found:
            raise Unaskable("nothing has been asked here yet, so there is nothing to retry")
        run = found[0]
        if not self._parts.rules.allows(invocation.place):
            raise Unaskable("runs are not allowed here")
        if not run.ended:
            raise Unaskable("the run is still under way; retry once it is over, or /panel stop")
        if run.status == "quarantined":
            raise Unaskable("this run was given up, for the bot crashed each time; ask again in other words")
        if _complete(run):
            raise Unaskable("every expert answered; there is nobody to ask again")
        match await self._store.retry(run.id, invocation.key):
            case StoredRun() as again:
                self._count([again.id])
                self._group.create_task(self._start(again.id, again.round), name=f"start {again.id}")
            case Duplicate():
                return
            case None:
                raise Unaskable("the run is under way again already")

    async def _about(self, invocation: Invocation) -> list[StoredRun]:
        """The run that a gesture is about, or all of this place, newest first."""
        if not invocation.run:
            return await self._store.here(invocation.place)
        run = await self._store.get(invocation.run)
        if run is None or run.invocation.place != invocation.place:
            raise Unaskable("there is no such run here; it may have been removed for its age")
        return [run]

    async def _tell(self, invocation: Invocation, doc: Doc) -> None:
        await self._parts.courier.notify(invocation, doc)


def _complete(run: StoredRun) -> bool:
    """Whether everybody answered and the synthesis was written."""
    results = {key: json.loads(result) for key, result in run.steps.items()}
    succeeded = {key for key, result in results.items() if "failure" not in result}
    seats = {f"expert:{seat.key}" for seat in run.brief.panel.perspectives} if run.brief.panel else set()
    return seats <= succeeded and any(key.startswith("synthesis") for key in succeeded)
