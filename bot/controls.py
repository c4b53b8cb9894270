"""What is done to runs that are there: stop, retry, rate, delete; each gesture once, and only where it is allowed."""

import json
from dataclasses import dataclass

import structlog

from adapters.port import Doc, Invocation, Withdrawn
from bot import notices
from bot.about import alone, run_about
from bot.asking import Unaskable
from bot.commands import Rate
from bot.conduct import Conductor
from bot.courier import Courier
from bot.errors import StoreFailed
from bot.feedback import note_feedback
from bot.line import Line
from bot.removal import Removals
from bot.rounds import RoundId
from bot.rules import Rules
from bot.store import Store
from bot.stored import StoredRun

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Controls:
    """Carries out gestures about runs. Its methods raise `Unaskable`, with nothing done, and `StoreFailed`; retry is in
    `bot.intake`, for a round begins with it."""

    store: Store
    courier: Courier
    conductor: Conductor
    line: Line
    removals: Removals
    rules: Rules

    async def stop(self, invocation: Invocation) -> None:
        """Stop a run: the newest one under way that the asker may stop, unless one is named."""
        if await self.store.claimed(invocation.key) is not None:
            return
        going = [run for run in await self._going(invocation) if not run.ended]
        if not going:
            where = "in this thread" if invocation.within and not invocation.run else "here"
            raise Unaskable(f"nothing is running {where}")
        allowed = [run for run in going if self._owns(invocation, run)]
        if not allowed:
            raise Unaskable(f"only {going[0].invocation.author} or an admin can stop this run")
        if await self.store.ask_stop(allowed[0].id, invocation.key, invocation.author):
            self._stop(allowed[0].round_id)
        await self.told(invocation, notices.STOPPING)

    async def told(self, invocation: Invocation, doc: Doc) -> None:
        """Say that something is done. Only a slash command waits for an answer: whoever pressed a button or wrote a
        line sees it on the board."""
        if invocation.origin == "command":
            await self.courier.notify(invocation, doc, self.line.spawn)

    async def withdraw(self, withdrawn: Withdrawn) -> None:
        """Stop the run of a gesture that its author took back. Whatever else that may be is nobody's business: nothing
        is said."""
        try:
            run = await self.store.get_in(withdrawn.place, withdrawn.key)
            if run is None or run.ended or run.invocation.author != withdrawn.author:
                return
            if await self.store.ask_stop(run.id, f"{withdrawn.key}/withdrawn", withdrawn.author):
                self._stop(run.round_id)
        except StoreFailed as error:
            log.error("run.not_withdrawn", run=withdrawn.key, why=str(error))

    def _stop(self, round_id: RoundId) -> None:
        self.conductor.stop(round_id)
        if round_id not in self.line.started:
            # It waits for its turn; as nothing will be asked for it, it needs none.
            self.line.start(round_id, waited=True)

    async def _going(self, invocation: Invocation) -> list[StoredRun]:
        if invocation.run:
            return [await run_about(self.store, invocation, "stop")]
        going = await self.store.going(invocation.place, invocation.within)
        if (own := alone(invocation)) is not None:
            going += await self.store.going(own)
        return [run for run in going if run.stop_by is None]

    async def to_retry(self, invocation: Invocation) -> StoredRun | None:
        """The run whose failed experts can be asked again; None where the gesture was carried out before."""
        if await self.store.claimed(invocation.key) is not None:
            return None
        run = await run_about(self.store, invocation, "retry")
        if not self.rules.allows(invocation.place):
            raise Unaskable("runs are not allowed here")
        if not run.ended:
            raise Unaskable("the run is still under way; retry once it is over, or /panel stop")
        if run.status == "quarantined":
            raise Unaskable("this run was given up, for the bot crashed each time; ask again in other words")
        if _complete(run):
            raise Unaskable("every expert answered; there is nobody to ask again")
        return run

    async def rate(self, invocation: Invocation, rate: Rate) -> None:
        """Note what somebody thinks of a part of a run."""
        run = await run_about(self.store, invocation, "rate")
        if not await note_feedback(self.store, invocation, run.id, rate):
            raise Unaskable(f"this run posted no {rate.part}, so it cannot be rated")
        await self.courier.notify(invocation, notices.THANKS, self.line.spawn)

    async def delete(self, invocation: Invocation) -> None:
        """Have a run removed, its posts and all that is kept of it; one that is under way is stopped first."""
        if await self.store.claimed(invocation.key) is not None:
            return
        run = await run_about(self.store, invocation, "delete")
        if not self._owns(invocation, run):
            raise Unaskable(f"only {run.invocation.author} or an admin can delete this run")
        if await self.removals.ask(run, invocation) and not run.ended:
            self.conductor.stop(run.round_id)

    def _owns(self, who: Invocation, run: StoredRun) -> bool:
        return run.invocation.author == who.author or self.rules.is_admin(who)


def _complete(run: StoredRun) -> bool:
    """Whether everybody answered and the synthesis was written."""
    results = {key: json.loads(result) for key, result in run.steps.items()}
    succeeded = {key for key, result in results.items() if "failure" not in result}
    seats = {f"expert:{seat.key}" for seat in run.brief.panel.perspectives} if run.brief.panel else set()
    return seats <= succeeded and any(key.startswith("synthesis") for key in succeeded)
