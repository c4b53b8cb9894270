"""Ownership: which process carries out which run, where several share a database.

A run that is accepted and owned by nobody is anybody's. Its owner is a process by its token, `worker/incarnation`: a
worker that is started again is another owner than it was before, so that what it left behind is told from what it does.
Times are the database's, so that no two clocks are compared.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from bot.rounds import RoundId
from bot.schema import NOW, charges, runs, takeovers, workers
from bot.stored import Status
from bot.transactions import AT_ONCE, PATIENCE, Transacting

Role = Literal["all", "gateway", "worker"]
"""What a process does: takes questions in and carries runs out; only the one; only the other."""

FROZEN_SECONDS = 10.0
"""For how long a worker that holds its lock may tell nothing before its runs are taken from it. A stopped process looks
like a slow one: whoever wakes up finds that it owns nothing any more."""

KNOWN_SECONDS = 30.0
"""For how long what a process has open is counted that tells nothing any more: by then others have its runs."""

UNFINISHED: tuple[Status, ...] = ("accepted", "running")

FORGOTTEN_SECONDS = 3_600.0
"""How long after its last word a process' row is kept. What one leaves behind is known without it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process of those that share a database. `worker` has no `/`; `plan` is the order of steps it knows."""

    worker: str
    role: Role
    plan: str
    token: str

    @classmethod
    def new(cls, worker: str, role: Role, plan: str) -> "Member":
        """A process that begins now."""
        return cls(worker, role, plan, f"{worker}/{uuid4().hex[:12]}")


@dataclass(frozen=True, slots=True)
class Other:
    """Another worker that owns runs which are not over. `silent` is for how many seconds it told nothing; infinite
    where it was never known."""

    worker: str
    silent: float


@dataclass(frozen=True, slots=True)
class Beat:
    """What a process learns when it says that it lives: what of its own runs is to stop, and which runs under way it
    owns; all that it or an earlier incarnation of it owns (`mine`); how many runs wait for anybody, and how many of all
    were accepted and not begun; who else has runs; and in US dollars what ended today and what is open elsewhere."""

    stops: tuple[RoundId, ...]
    owned: frozenset[RoundId]
    mine: frozenset[RoundId]
    waiting: int
    accepted: int
    others: tuple[Other, ...]
    charged: float
    elsewhere: float


@dataclass(frozen=True, slots=True)
class Left:
    """A run that a worker left: accepted and not begun, or under way."""

    round_id: RoundId
    status: Status
    owner: str | None


class Ownership:
    """The runs of one process among others. Its methods raise `StoreFailed`."""

    def __init__(self, store: Transacting, me: Member) -> None:
        self._store, self.me = store, me

    async def take(self, most: int | None) -> list[RoundId]:
        """Take up to `most` runs that wait, first come first, and be their owner. Those that were asked to stop need no
        room, for nothing is asked for them."""
        me = self.me.token

        def take(connection: sa.Connection) -> list[RoundId]:
            took = _taken(connection, _FREE.where(runs.c.stop_by.is_not(None)), me)
            return took + (_taken(connection, _FREE.limit(most), me) if most is None or most > 0 else [])

        return await self._store.do(take, AT_ONCE)

    async def release(self, run_id: str) -> None:
        """Let anybody have a run that was not begun."""
        mine = sa.update(runs).where(runs.c.id == run_id, runs.c.owner == self.me.token, runs.c.status == "accepted")
        await self._store.do(lambda connection: connection.execute(mine.values(owner=None)), PATIENCE)

    async def left_behind(self) -> list[RoundId]:
        """What earlier incarnations of this worker had under way. What they had not begun is anybody's from now on."""
        earlier = (runs.c.owner.startswith(f"{self.me.worker}/", autoescape=True), runs.c.owner != self.me.token)

        def left(connection: sa.Connection) -> list[RoundId]:
            connection.execute(sa.update(runs).where(*earlier, runs.c.status == "accepted").values(owner=None))
            query = sa.select(runs.c.id, runs.c.round).where(*earlier, runs.c.status == "running")
            return _rounds(connection.execute(query.order_by(runs.c.turn)))

        return await self._store.do(left, PATIENCE)

    async def beat(self, open_: float, today: float | None) -> Beat:
        """Say that this process lives, and how many US dollars are open in it. `today` is when the day began; without
        it, money is not asked for, and is 0."""
        me = self.me
        mine = sa.select(runs.c.id, runs.c.round, runs.c.stop_by, runs.c.status, runs.c.owner).where(
            runs.c.status.in_(UNFINISHED), runs.c.owner.startswith(f"{me.worker}/", autoescape=True)
        )

        def beat(connection: sa.Connection) -> Beat:
            connection.execute(
                _SEEN, {"id": me.worker, "token": me.token, "plan": me.plan, "role": me.role, "open": open_}
            )
            all_mine = list(connection.execute(mine))
            rows = [row for row in all_mine if row.status == "running" and row.owner == me.token]
            waiting = connection.execute(_WAITING).one()
            others = [Other(row.worker, float(row.silent)) for row in connection.execute(_OTHERS, {"me": me.worker})]
            spent = (0.0, 0.0) if today is None else _spent(connection, me.worker, today)
            stops = tuple(RoundId(row.id, row.round) for row in rows if row.stop_by is not None)
            owned, ever = frozenset(_rounds(rows)), frozenset(_rounds(all_mine))
            return Beat(stops, owned, ever, waiting.free, waiting.of_all, tuple(others), *spent)

        return await self._store.do(beat, AT_ONCE)

    async def left_by(self, worker: str) -> list[Left]:
        """The runs of a worker that are not over."""
        theirs = runs.c.owner.startswith(f"{worker}/", autoescape=True)
        return await self._left(runs.c.status.in_(UNFINISHED), theirs)

    async def left_by_nobody(self) -> list[Left]:
        """The runs under way that nobody owns: they were handed on, and nobody began them yet."""
        return await self._left(runs.c.status == "running", runs.c.owner.is_(None))

    async def _left(self, *which: sa.ColumnElement[bool]) -> list[Left]:
        query = sa.select(runs.c.id, runs.c.round, runs.c.status, runs.c.owner).where(*which).order_by(runs.c.turn)
        rows = await self._store.do(lambda connection: list(connection.execute(query)), AT_ONCE)
        return [Left(RoundId(row.id, row.round), row.status, row.owner) for row in rows]

    async def adopt(self, left: Left) -> None:
        """Be the owner of a run, to end it."""
        theirs = sa.update(runs).where(runs.c.id == left.round_id.run, runs.c.owner.is_not_distinct_from(left.owner))
        me = self.me.token
        await self._store.do(lambda connection: connection.execute(theirs.values(owner=me)), AT_ONCE)

    async def hand_on(self, round_id: RoundId) -> None:
        """Let go of a run that an earlier incarnation of this worker had under way."""
        mine = (runs.c.owner.startswith(f"{self.me.worker}/", autoescape=True), runs.c.owner != self.me.token)
        this = sa.update(runs).where(runs.c.id == round_id.run, *mine).values(owner=None)
        await self._store.do(lambda connection: connection.execute(this), PATIENCE)

    async def disown(self, left: Sequence[Left]) -> None:
        """Take runs from the owner they had, so that it can say nothing more in their name; what was under way is
        counted as taken over."""
        me = self.me.worker

        def disown(connection: sa.Connection) -> None:
            for each in left:
                theirs = sa.update(runs).where(runs.c.id == each.round_id.run, runs.c.owner == each.owner)
                if connection.execute(theirs.values(owner=None)).rowcount and each.status == "running":
                    row = {"run": each.round_id.run, "round": each.round_id.number, "worker": _worker(each.owner)}
                    connection.execute(sa.insert(takeovers).values(**row, by=me, at=NOW))

        await self._store.do(disown, AT_ONCE)

    async def plans(self, within: float, but: str = "") -> frozenset[str]:
        """The orders of steps that workers know which told something in the last `within` seconds; all `but` one."""
        there = (workers.c.role != "gateway", workers.c.seen > NOW - within, workers.c.id != but)
        query = sa.select(workers.c.plan).where(*there)
        return frozenset(await self._store.do(lambda connection: connection.execute(query).scalars().all(), AT_ONCE))

    async def all_over(self, rounds: Iterable[RoundId]) -> bool:
        """Whether none of the rounds is accepted or under way anywhere."""
        ids = [round_id.run for round_id in rounds]
        query = sa.select(sa.func.count()).where(runs.c.id.in_(ids), runs.c.status.in_(UNFINISHED))
        return not await self._store.do(lambda connection: connection.execute(query).scalar_one(), PATIENCE)

    async def unfinished(self) -> int:
        """How many runs are accepted or under way anywhere."""
        query = sa.select(sa.func.count()).where(runs.c.status.in_(UNFINISHED))
        return int(await self._store.do(lambda connection: connection.execute(query).scalar_one(), PATIENCE))

    async def leave(self) -> None:
        """Say that this process ends in good order."""
        gone = sa.delete(workers).where(workers.c.id == self.me.worker, workers.c.token == self.me.token)
        await self._store.do(lambda connection: connection.execute(gone), AT_ONCE)


async def forget_workers(store: Transacting) -> None:
    """Remove the rows of processes that have told nothing for a while. Raises `StoreFailed`."""
    gone = sa.delete(workers).where(workers.c.seen < NOW - FORGOTTEN_SECONDS)
    await store.do(lambda connection: connection.execute(gone))


_FREE = (
    sa.select(runs.c.id)
    .where(runs.c.status == "accepted", runs.c.owner.is_(None))
    .order_by(runs.c.turn)
    # What another process is taking at this moment is passed over, not waited for.
    .with_for_update(skip_locked=True)
)
# `of_all` are also those whose threads are being opened, or that were taken and not begun.
_WAITING = sa.select(
    sa.func.count().label("of_all"), sa.func.count().filter(runs.c.owner.is_(None)).label("free")
).where(runs.c.status == "accepted")
_WORKER = sa.func.split_part(runs.c.owner, "/", 1)
_OWNERS = (
    sa.select(_WORKER.label("worker"))
    .where(runs.c.status.in_(UNFINISHED), runs.c.owner.is_not(None), sa.bindparam("me") != _WORKER)
    .distinct()
    .subquery()
)
_OTHERS = sa.select(
    _OWNERS.c.worker, sa.func.coalesce(NOW - workers.c.seen, sa.literal(float("inf"))).label("silent")
).outerjoin_from(_OWNERS, workers, workers.c.id == _OWNERS.c.worker)
_CHARGED = sa.select(sa.func.coalesce(sa.func.sum(charges.c.charged), 0.0)).where(charges.c.at >= sa.bindparam("today"))
_ELSEWHERE = sa.select(sa.func.coalesce(sa.func.sum(workers.c.open), 0.0)).where(
    workers.c.id != sa.bindparam("me"), workers.c.seen > NOW - KNOWN_SECONDS
)
_MONEY = sa.select(_CHARGED.scalar_subquery().label("charged"), _ELSEWHERE.scalar_subquery().label("elsewhere"))
_new = postgresql.insert(workers).values(
    id=sa.bindparam("id"),
    token=sa.bindparam("token"),
    plan=sa.bindparam("plan"),
    role=sa.bindparam("role"),
    since=NOW,
    seen=NOW,
    open=sa.bindparam("open", type_=sa.Double),
)
_SEEN = _new.on_conflict_do_update(
    index_elements=[workers.c.id],
    set_={
        "plan": _new.excluded.plan,
        "role": _new.excluded.role,
        "since": sa.case((workers.c.token == _new.excluded.token, workers.c.since), else_=_new.excluded.since),
        "token": _new.excluded.token,
        "seen": _new.excluded.seen,
        "open": _new.excluded.open,
    },
)


def _taken(connection: sa.Connection, free: sa.Select[Any], me: str) -> list[RoundId]:
    take = sa.update(runs).where(runs.c.id.in_(free.scalar_subquery())).values(owner=me)
    rows = connection.execute(take.returning(runs.c.id, runs.c.round, runs.c.turn))
    return _rounds(sorted(rows, key=lambda row: row.turn))


def _rounds(rows: Iterable[Any]) -> list[RoundId]:
    return [RoundId(row.id, row.round) for row in rows]


def _worker(owner: str | None) -> str:
    return (owner or "").partition("/")[0]


def _spent(connection: sa.Connection, me: str, today: float) -> tuple[float, float]:
    money = connection.execute(_MONEY, {"me": me, "today": today}).one()
    return float(money.charged), float(money.elsewhere)
