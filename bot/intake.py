"""Intake: what people ask, as commands, to runs that are safe before they are acknowledged; and what is wrong with it,
as one sentence."""

import json
from dataclasses import dataclass
from typing import assert_never

from adapters.port import Doc, Invocation, NotSafe
from bot import render
from bot.asking import Unaskable, brief_for
from bot.brief import Brief
from bot.commands import Ask, Command, Help, Panels, Research, Retry, Settings, Stop, parse
from bot.conduct import Conductor
from bot.courier import Courier
from bot.errors import StoreFailed
from bot.line import Line
from bot.receipts import Ledger
from bot.rounds import RoundId
from bot.rules import Rules
from bot.store import Store
from bot.stored import Accepted, Duplicate, OverQuota, StoredRun
from teams.catalog import Catalog
from teams.model import Source


@dataclass(frozen=True, slots=True)
class Parts:
    """What intake works with."""

    store: Store
    courier: Courier
    conductor: Conductor
    line: Line
    catalog: Catalog
    ledger: Ledger
    rules: Rules = Rules()
    status: tuple[str, ...] = ()


class Intake:
    """Carries out what front ends take in. Runs outlive the call that began them."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._store, self._line = parts, parts.store, parts.line

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

    async def begin(self, brief: Brief, invocation: Invocation) -> str:
        """Make a run safe and start it; its id. A second delivery of one gesture is the run of the first.

        Raises `Unaskable` and `StoreFailed`.
        """
        rules = self._parts.rules
        if not rules.allows(invocation.place):
            channel = invocation.place.channel
            raise Unaskable(f"runs are not allowed here; an admin can add {channel} to PANELIST_ALLOWED_CHANNELS")
        if (why := self._no_room()) is not None and await self._store.claimed(invocation.key) is None:
            raise Unaskable(why)
        position = await self._line.arrives(self._accept(invocation, brief))
        if position:
            await self._tell(invocation, render.busy(position, len(self._line.started)))
        return invocation.key

    def _no_room(self) -> str | None:
        if self._parts.ledger.used_up:
            return render.BUDGET_USED_UP
        return render.too_many(self._parts.rules.runs_waiting) if self._line.full else None

    async def _accept(self, invocation: Invocation, brief: Brief) -> RoundId | None:
        match await self._store.accept(invocation, brief, self._parts.rules.quotas_of(invocation)):
            case OverQuota() as over:
                raise Unaskable(render.over_quota(over))
            case Duplicate():
                return None
            case Accepted():
                return RoundId(invocation.key, 1)

    async def settled(self) -> None:
        """Wait until every run is over."""
        await self._line.settled()

    async def stop_all(self, who: str = "the process") -> None:
        """Stop every run that is under way."""
        for round_id in list(self._line.started):
            if await self._store.ask_stop(round_id.run, f"{round_id}/stop_all", who):
                self._parts.conductor.stop(round_id)

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

    # Stop and retry

    async def _stop(self, invocation: Invocation) -> None:
        if await self._store.claimed(invocation.key) is not None:
            return
        going = [run for run in await self._going(invocation) if not run.ended]
        if not going:
            raise Unaskable("nothing is running here")
        allowed = [run for run in going if self._may_stop(invocation, run)]
        if not allowed:
            raise Unaskable(f"only {going[0].invocation.author} or an admin can stop this run")
        round_id = allowed[0].round_id
        if not await self._store.ask_stop(round_id.run, invocation.key, invocation.author):
            return  # it is over by now
        self._parts.conductor.stop(round_id)
        if round_id not in self._line.started:
            # It waits for its turn; as nothing will be asked for it, it needs none.
            self._line.start(round_id, waited=True)

    async def _going(self, invocation: Invocation) -> list[StoredRun]:
        if invocation.run:
            return [await self._about(invocation)]
        return [run for run in await self._store.going(invocation.place) if run.stop_by is None]

    def _may_stop(self, who: Invocation, run: StoredRun) -> bool:
        return run.invocation.author == who.author or self._parts.rules.is_admin(who)

    async def _retry(self, invocation: Invocation) -> None:
        if await self._store.claimed(invocation.key) is not None:
            return
        run = await self._about(invocation)
        if not self._parts.rules.allows(invocation.place):
            raise Unaskable("runs are not allowed here")
        if not run.ended:
            raise Unaskable("the run is still under way; retry once it is over, or /panel stop")
        if run.status == "quarantined":
            raise Unaskable("this run was given up, for the bot crashed each time; ask again in other words")
        if _complete(run):
            raise Unaskable("every expert answered; there is nobody to ask again")
        if (why := self._no_room()) is not None:
            raise Unaskable(why)
        position = await self._line.arrives(self._again(run.id, invocation.key))
        if position:
            await self._tell(invocation, render.busy(position, len(self._line.started)))

    async def _again(self, run_id: str, key: str) -> RoundId | None:
        match await self._store.retry(run_id, key):
            case RoundId() as round_id:
                return round_id
            case Duplicate():
                return None
            case None:
                raise Unaskable("the run is under way again already")

    async def _about(self, invocation: Invocation) -> StoredRun:
        """The run that a gesture is about, or the latest of this place."""
        if not invocation.run:
            latest = await self._store.latest(invocation.place)
            if latest is None:
                raise Unaskable("nothing has been asked here yet, so there is nothing to retry")
            return latest
        run = await self._store.get(invocation.run)
        if run is None or run.invocation.place != invocation.place:
            raise Unaskable("there is no such run here; it may have been removed for its age")
        return run

    async def _tell(self, invocation: Invocation, doc: Doc) -> None:
        await self._parts.courier.notify(invocation, doc)


def _complete(run: StoredRun) -> bool:
    """Whether everybody answered and the synthesis was written."""
    results = {key: json.loads(result) for key, result in run.steps.items()}
    succeeded = {key for key, result in results.items() if "failure" not in result}
    seats = {f"expert:{seat.key}" for seat in run.brief.panel.perspectives} if run.brief.panel else set()
    return seats <= succeeded and any(key.startswith("synthesis") for key in succeeded)
