"""The run database: runs, claimed keys and the outbox. SQLAlchemy Core, the same on SQLite and Postgres."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from adapters.port import Invocation, MessageRef, Place, ThreadRef
from bot.brief import Brief
from bot.database import failure
from bot.errors import Disowned
from bot.inserts import insert_new, put
from bot.place_settings import remember
from bot.rounds import RoundId
from bot.rows import (
    COUNTED,
    NO_CRASHES,
    RUN,
    all_readable,
    alone,
    asked,
    claim,
    claimed,
    new_run,
    over_quota,
    posted,
    readable,
)
from bot.schema import charges, claims, departures, feedback, outbox, removals, runs, takeovers
from bot.stored import ENDED, Accepted, Duplicate, Ending, OverQuota, Posted, Quotas, Status, StoredRun
from bot.transactions import AT_ONCE, Transactions
from teams.wire import dump


class Store(Transactions):
    """The run database of this process. Methods are safe to call from any number of tasks of one event loop.

    Each is one transaction, or part of one that commits before it returns. All raise `StoreFailed`. Where several
    processes share the database this one is the `owner` of the runs that it accepts or begins, and what it says of a
    run that another owns is refused: those methods raise `Disowned`.
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time, owner: str = "") -> None:
        super().__init__(engine)
        self._clock, self._owner = clock, owner

    @property
    def shared(self) -> bool:
        """Whether other processes use the database as well."""
        return bool(self._owner)

    def now(self) -> float:
        """The time of this store's clock."""
        return self._clock()

    # Intake

    async def accept(self, invocation: Invocation, brief: Brief, quotas: Quotas) -> Accepted | Duplicate | OverQuota:
        """Commit a run under its invocation's key, unless the key was claimed before or a quota is used up.

        Does not wait: a database that refuses says so at once.
        """
        now, day = self._clock(), day_start(self._clock())

        def accept(connection: sa.Connection) -> Accepted | Duplicate | OverQuota:
            alone(connection)
            if (before := claimed(connection, invocation.key)) is not None:
                return Duplicate(before)
            over = over_quota(connection, invocation, quotas, day)
            if over is not None:
                return over
            claim(connection, invocation.key, invocation.key, now)
            row = new_run(invocation, brief, now) | {"owner": self._owner or None}
            connection.execute(_ACCEPT, row)
            if invocation.options is not None and invocation.options.remember:
                remember(connection, invocation, invocation.options, now)
            return Accepted()

        return await self.do(accept, AT_ONCE)

    async def retry(self, run_id: str, key: str) -> RoundId | Duplicate | None:
        """Begin another round of a run that is over. None where it is under way again already, or being removed."""
        now = self._clock()
        over = sa.update(runs).where(runs.c.id == run_id, runs.c.status.in_(ENDED), _STAYS)
        fresh = {"status": "accepted", "turn": _NEXT_TURN, **NO_CRASHES, "stop_by": None, "ended_at": None}
        again = over.values(**fresh, started_at=None, round=runs.c.round + 1, owner=None)

        def retry(connection: sa.Connection) -> RoundId | Duplicate | None:
            alone(connection)
            if claimed(connection, key) is not None:
                return Duplicate(run_id)
            if not connection.execute(again).rowcount:
                return None
            claim(connection, key, run_id, now)
            return RoundId(run_id, connection.execute(sa.select(runs.c.round).where(runs.c.id == run_id)).scalar_one())

        return await self.do(retry, AT_ONCE)

    async def ask_stop(self, run_id: str, key: str, who: str) -> bool:
        """Ask a run that is under way or waiting to stop. False where the gesture was carried out before, or the run
        is over; asking again changes nothing."""
        now = self._clock()
        going = sa.update(runs).where(runs.c.id == run_id, runs.c.status.in_(("accepted", "running")))

        def ask(connection: sa.Connection) -> bool:
            if not claim(connection, key, run_id, now):
                return False
            return connection.execute(going.values(stop_by=sa.func.coalesce(runs.c.stop_by, who))).rowcount > 0

        return await self.do(ask, AT_ONCE)

    async def claimed(self, key: str) -> str | None:
        """The run on behalf of which a gesture was carried out before."""
        return await self.do(lambda connection: claimed(connection, key), AT_ONCE)

    async def under_way(self) -> list[RoundId]:
        """Rounds that had begun when the process before this one ended, first come first."""
        return await self._rounds("running", None)

    async def next_accepted(self, most: int | None = None) -> list[RoundId]:
        """Rounds that were accepted and have not begun, first come first."""
        return await self._rounds("accepted", most)

    async def _rounds(self, status: Status, most: int | None) -> list[RoundId]:
        query = sa.select(runs.c.id, runs.c.round).where(runs.c.status == status).order_by(runs.c.turn)
        return await self.do(
            lambda connection: [RoundId(row.id, row.round) for row in connection.execute(query.limit(most))]
        )

    async def latest(self, place: Place, thread: str = "") -> StoredRun | None:
        """The newest run of a place, or of one `thread` in it. A run that is being removed is none any more."""
        found = await self._read(_here(place, thread).limit(1))
        return found[0] if found else None

    async def going(self, place: Place, thread: str = "", most: int = 50) -> list[StoredRun]:
        """The runs of a place, or of one `thread` in it, that are not over, newest first."""
        return await self._read(_here(place, thread).where(runs.c.status.not_in(ENDED)).limit(most))

    async def get_in(self, place: Place, run_id: str) -> StoredRun | None:
        """One run, if it is of this place and is not being removed."""
        found = await self._read(_here(place).where(runs.c.id == run_id))
        return found[0] if found else None

    async def get(self, run_id: str) -> StoredRun | None:
        """One run."""
        found = await self._read(sa.select(*RUN).where(runs.c.id == run_id))
        return found[0] if found else None

    # The run

    async def begin(self, round_id: RoundId) -> StoredRun | None:
        """Note that a round begins or is taken up again, and give it as it was before but for its starts. None when it
        is over already, or cannot be read: then it is over now."""
        now = self._clock()

        def begin(connection: sa.Connection) -> StoredRun | None:
            row = connection.execute(_NOT_OVER, {"b_id": round_id.run, "b_round": round_id.number}).one_or_none()
            if row is None:
                return None
            stored = readable(row)
            if stored is None:
                this = runs.c.id == round_id.run
                connection.execute(sa.update(runs).where(this).values(status="broken", ended_at=now))
                return None
            boots, started = stored.boots + 1, stored.started_at or now
            values = {"b_id": round_id.run, "boots": boots, "started_at": started, "b_owner": self._owner or None}
            connection.execute(_BEGUN, values)
            return replace(stored, boots=boots, started_at=started)

        return await self.do(begin)

    async def owns(self, run_id: str) -> bool:
        """Whether no other process has the run."""
        return not self.shared or await self.do(lambda connection: self._is_owned(connection, run_id))

    async def refuse_others(self, run_id: str) -> None:
        """Raise `Disowned` where another process has the run."""
        if self.shared:
            await self.do(lambda connection: self._refuse_others(connection, run_id))

    async def blame(self, run_id: str) -> None:
        """Count a crash of this process against the run that it was working on, whoever carries that out by now."""
        this = sa.update(runs).where(runs.c.id == run_id, runs.c.status == "running")
        await self.do(lambda connection: connection.execute(this.values(blamed=runs.c.blamed + 1)))

    async def documents_read(self, run_id: str, invocation: Invocation, brief: Brief) -> None:
        """Note what became of the documents that a run came with: their texts in the brief, or why there are none."""
        await self._set(run_id, asked(invocation, brief))

    async def paused(self, run_id: str) -> None:
        """Note that the process puts a run off in good order, so that its end is no crash."""
        await self._set(run_id, {"paused": True})

    async def taken_up(self, run: StoredRun, steps: int, *, blamed: bool) -> StoredRun:
        """Count the crash before this start: whether the run had got on since the start before, to so many recorded
        steps, and whether it is to blame."""
        got_on = steps > run.steps_seen
        counted = replace(
            run,
            stuck=0 if got_on else run.stuck + 1,
            blamed=(0 if got_on else run.blamed) + blamed,
            steps_seen=max(steps, run.steps_seen),
        )
        blamed_now = int(blamed) if got_on else runs.c.blamed + int(blamed)
        await self._set(run.id, {"stuck": counted.stuck, "blamed": blamed_now, "steps_seen": counted.steps_seen})
        return counted

    async def end(self, round_id: RoundId, ending: Ending) -> None:
        """Note how a round ended, with all that `runs show` and a retry need of it, and add up what it consumed."""
        now, receipt = self._clock(), ending.receipt
        values: dict[str, Any] = {
            "b_id": round_id.run,
            "status": ending.status,
            "ended_at": now,
            "steps": json.dumps(ending.steps),
            "events": json.dumps(ending.events),
            **{f"more_{name}": getattr(receipt, name) for name in ("cost", *COUNTED)},
        }
        charge = {"run": round_id.run, "round": round_id.number, "charged": receipt.charged, "at": now}

        def end(connection: sa.Connection) -> None:
            self._refuse_others(connection, round_id.run)
            # Once, whatever became of the answer to a first try.
            if insert_new(connection, charges, charge):
                connection.execute(_ENDED, values)

        await self.do(end)

    async def charged_since(self, since: float) -> float:
        """What rounds that ended since then are charged, in US dollars, their unknown costs guessed high."""
        total = sa.select(sa.func.coalesce(sa.func.sum(charges.c.charged), AT_ONCE)).where(charges.c.at >= since)
        return float(await self.do(lambda connection: connection.execute(total).scalar_one()))

    # The outbox

    async def posts_of(self, run_id: str) -> dict[str, Posted]:
        """All posts of a run that were begun, by key."""
        begun = sa.select(outbox).where(outbox.c.run == run_id)
        return await self.do(lambda connection: {row.key: posted(row) for row in connection.execute(begun)})

    async def claim(self, key: str, run_id: str) -> Posted | None:
        """Note that a post is about to be sent. None when it never was; else how it stands."""
        row = {"key": key, "run": run_id, "state": "sending", "at": self._clock()}

        def claim(connection: sa.Connection) -> Posted | None:
            self._refuse_others(connection, run_id)
            if insert_new(connection, outbox, row):
                return None
            return posted(connection.execute(_POSTED, {"b_key": key}).one())

        return await self.do(claim)

    async def sent(self, key: str, ref: MessageRef) -> None:
        """Note where a post stands."""
        values = {"b_key": key, "ref": json.dumps(dump(ref)), "at": self._clock()}
        await self.do(lambda connection: connection.execute(_SENT, values))

    async def opened(self, run_id: str, key: str, thread: ThreadRef) -> None:
        """Note a run's thread, and that its root stands there."""
        now, root = self._clock(), MessageRef(thread, (thread.root or thread.thread,))

        def note(connection: sa.Connection) -> None:
            self._refuse_others(connection, run_id)
            values = {"b_id": run_id, "thread": json.dumps(dump(thread)), "thread_id": thread.thread}
            connection.execute(_OPENED, values)
            _note_sent(connection, key, run_id, root, now)

        await self.do(note)

    async def stands(self, key: str, run_id: str, ref: MessageRef) -> None:
        """Note where something stands that was not announced by `claim`."""
        now = self._clock()
        await self.do(lambda connection: _note_sent(connection, key, run_id, ref, now))

    async def not_sent(self, key: str, why: str) -> None:
        """Note that a post will not be shown, and why."""
        values = {"state": "failed", "error": why, "at": self._clock()}
        await self.do(
            lambda connection: connection.execute(sa.update(outbox).where(outbox.c.key == key).values(values))
        )

    # Housekeeping

    async def old(self, before: float, most: int = 200) -> list[RoundId]:
        """Up to `most` runs that ended before then, each with its last round."""
        old = sa.select(runs.c.id, runs.c.round).where(runs.c.ended_at < before, runs.c.status.in_(ENDED)).limit(most)
        return await self.do(lambda connection: [RoundId(row.id, row.round) for row in connection.execute(old)])

    async def remove(self, run_ids: Sequence[str], *, keep_claims: bool = False) -> None:
        """Remove runs that are over, with all that belongs to them. With `keep_claims` the gestures about them that
        come again are still known for having been carried out."""
        tables = [outbox.c.run, charges.c.run, feedback.c.run, removals.c.run, takeovers.c.run]
        tables += [runs.c.id] if keep_claims else [claims.c.run, runs.c.id]

        def remove(connection: sa.Connection) -> None:
            over = sa.select(runs.c.id).where(runs.c.id.in_(run_ids), runs.c.status.in_(ENDED))
            ids = list(connection.execute(over).scalars())
            for column in tables:
                connection.execute(sa.delete(column.table).where(column.in_(ids)))

        await self.do(remove)

    async def forget_gestures(self, before: float) -> None:
        """Forget which gestures were carried out before then, where there is no run that they were about."""
        stale = sa.delete(claims).where(claims.c.at < before, claims.c.run.not_in(sa.select(runs.c.id)))
        await self.do(lambda connection: connection.execute(stale))

    async def _read(self, query: sa.Select[Any]) -> list[StoredRun]:
        return await self.do(lambda connection: all_readable(connection.execute(query)))

    async def _set(self, run_id: str, values: dict[str, Any]) -> None:
        def note(connection: sa.Connection) -> None:
            self._refuse_others(connection, run_id)
            connection.execute(sa.update(runs).where(runs.c.id == run_id).values(values))

        await self.do(note)

    def _is_owned(self, connection: sa.Connection, run_id: str) -> bool:
        return connection.execute(_OWNED, {"run": run_id, "me": self._owner}).first() is not None

    def _refuse_others(self, connection: sa.Connection, run_id: str) -> None:
        if self._owner and not self._is_owned(connection, run_id):
            raise Disowned(f"run {run_id} is carried out by another process now")


def day_start(now: float) -> float:
    """When the day of `now` began, in UTC, which is when quotas and budgets of a day begin anew."""
    return now - now % 86_400


_BELOW = sa.func.substr(runs.c.tenant, 1, sa.func.length(departures.c.tenant)) == departures.c.tenant
_DEPARTED = (
    departures.c.surface == runs.c.surface,
    sa.or_(departures.c.tenant == runs.c.tenant, sa.and_(departures.c.tenant.endswith("/"), _BELOW)),
)
_STAYS = sa.and_(
    runs.c.id.not_in(sa.select(removals.c.run)),
    ~sa.exists().where(*_DEPARTED, departures.c.at >= runs.c.created_at),
)
_NEXT_TURN = sa.select(sa.func.coalesce(sa.func.max(runs.c.turn), 0) + 1).scalar_subquery()

# Made once: SQLAlchemy then finds the compiled statement by identity.
_OWNED = sa.select(sa.literal(1)).where(runs.c.id == sa.bindparam("run"), runs.c.owner == sa.bindparam("me"))
_THIS = sa.update(runs).where(runs.c.id == sa.bindparam("b_id"))
_ACCEPT = sa.insert(runs).values(turn=_NEXT_TURN)
_NOT_OVER = (
    sa.select(*RUN)
    .where(
        runs.c.id == sa.bindparam("b_id"),
        runs.c.round == sa.bindparam("b_round"),
        runs.c.status.in_(("accepted", "running")),
    )
    .with_for_update()
)
_BEGUN = _THIS.values(
    boots=sa.bindparam("boots"),
    status="running",
    started_at=sa.bindparam("started_at"),
    paused=False,
    owner=sa.bindparam("b_owner"),
)
_OPENED = _THIS.values(thread=sa.bindparam("thread"), thread_id=sa.bindparam("thread_id"))
_ENDED = _THIS.values(
    {name: sa.bindparam(name) for name in ("status", "ended_at", "steps", "events")}
    # A sum with a cost that is not known is not known.
    | {name: runs.c[name] + sa.bindparam(f"more_{name}") for name in ("cost", *COUNTED)}
)
_POSTED = sa.select(outbox).where(outbox.c.key == sa.bindparam("b_key"))
_SENT = (
    sa.update(outbox)
    .where(outbox.c.key == sa.bindparam("b_key"))
    .values(state="sent", ref=sa.bindparam("ref"), at=sa.bindparam("at"))
)


def _note_sent(connection: sa.Connection, key: str, run_id: str, ref: MessageRef, now: float) -> None:
    put(connection, outbox, {"key": key, "run": run_id, "state": "sent", "ref": json.dumps(dump(ref)), "at": now})


def _here(place: Place, thread: str = "") -> sa.Select[Any]:
    at = [runs.c.surface == place.surface, runs.c.tenant == place.tenant, runs.c.channel == place.channel, _STAYS]
    at += [runs.c.thread_id == thread] if thread else []
    return sa.select(*RUN).where(*at).order_by(runs.c.created_at.desc())


def read_runs(engine: sa.Engine, run_id: str | None = None, most: int = 50) -> list[StoredRun]:
    """Runs for whoever only looks, newest first; all of them, or those whose id begins with `run_id`.

    Raises `StoreFailed`.
    """
    query = sa.select(*RUN).order_by(runs.c.created_at.desc()).limit(most)
    if run_id is not None:
        query = query.where(runs.c.id.startswith(run_id, autoescape=True))
    try:
        with engine.connect() as connection:
            # A server may have nothing of ours yet; a file that is there has.
            if engine.dialect.name == "postgresql" and not sa.inspect(connection).has_table(runs.name):
                return []
            return all_readable(connection.execute(query))
    except sa.exc.DBAPIError as error:
        raise failure(error, f"the run database {engine.url.database} cannot be read") from error
