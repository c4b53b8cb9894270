"""What a house has more of where several processes share its database."""

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from adapters.port import Pace, Place
from bot.conduct import Conductor
from bot.leases import Leases
from bot.ownership import Member, Ownership
from bot.presence import Presence
from bot.receipts import Ledger
from bot.rules import Rules
from bot.runs import DurableRuns
from bot.shared_line import SharedLine
from bot.shared_pace import SharedBucket
from bot.spaces import job_lease
from bot.store import Store
from bot.takeover import Takeover
from bot.transactions import Transactions


@dataclass(frozen=True, slots=True)
class Sharing:
    """One process of several."""

    leases: Leases
    me: Member

    @property
    def carries(self) -> bool:
        """Whether it carries runs out."""
        return self.me.role != "gateway"

    def buckets(self, tokens: Transactions) -> Callable[[Hashable, Pace], SharedBucket]:
        """The buckets that all processes send to a place by."""

        return lambda to, pace: SharedBucket(tokens, json.dumps(_texts(to)), pace)

    def line(self, store: Store, runs: DurableRuns, conductor: Conductor, rules: Rules) -> SharedLine:
        """The line of this process."""
        limits = (rules.runs_in_flight, rules.runs_waiting)
        ownership = Ownership(store, self.me)
        return SharedLine(store, runs, ownership, conductor.open, limits, carries=self.carries)

    def presence(self, runs: DurableRuns, conductor: Conductor, line: SharedLine, ledger: Ledger) -> Presence:
        """The heartbeat of this process."""
        takeover = Takeover(line.ownership, self.leases, runs, conductor.abandon, line.spawn) if self.carries else None
        return Presence(line.ownership, self.leases, conductor, line, takeover, ledger)

    async def mine(self, job: str) -> bool:
        """Whether a job in the background is this process' to do; nobody else does it then until this process ends, or
        lets go of it. Raises `StoreFailed`."""
        return await self.leases.try_lock(job_lease(job))

    async def done(self, job: str) -> None:
        """Let go of a job. Raises `StoreFailed`."""
        await self.leases.unlock(job_lease(job))


def _texts(to: Hashable) -> list[str]:
    """What is sent to, as texts: a place, or a tuple of texts and places."""
    if isinstance(to, Place):
        return [to.surface, to.tenant, to.channel]
    return [text for part in to for text in _texts(part)] if isinstance(to, tuple) else [str(to)]
