"""The run database: runs, claimed keys and the outbox. SQLAlchemy Core, the same on SQLite and Postgres.

All statements run in one thread of the store's own, those that wait together in one transaction: a burst of answers is
one commit, and the event loop never waits for a disk.
"""

import asyncio
import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from adapters.port import Invocation, MessageRef, Place, ThreadRef
from bot.brief import Brief
from bot.database import failure
from bot.errors import StoreFailed
from bot.receipts import RunReceipt
from bot.rounds import RoundId
from bot.schema import charges, claims, outbox, runs
from bot.stored import ENDED, Accepted, Duplicate, Ending, OverQuota, Posted, Quotas, Status, StoredRun
from teams.wire import dump, load

log = structlog.get_logger()
T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that a run under way waits for a database that refuses, before it is put off."""

MOST_TOGETHER = 64


class Store:
    """The run database of this process. Methods are safe to call from any number of tasks of one event loop.

    Each is one transaction, or part of one that commits before it returns. All raise `StoreFailed`.
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine, self._clock = engine, clock
        self._closed = False
        self._work: queue.SimpleQueue[_Work[Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finish what was asked and let go of the database."""
        with suppress(StoreFailed):
            await self._do(lambda _: None, 0.0, last=True)
        self._engine.dispose()

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
            if (before := _claimed(connection, invocation.key)) is not None:
                return Duplicate(before)
            over = _over_quota(connection, invocation, quotas, day)
            if over is not None:
                return over
            connection.execute(_CLAIM, {"key": invocation.key, "run": invocation.key, "at": now})
            turn = connection.execute(sa.select(_NEXT_TURN)).scalar_one()
            connection.execute(_ACCEPT, _new_run(invocation, brief, now) | {"turn": turn})
            return Accepted()

        return await self._do(accept, 0.0)

    async def retry(self, run_id: str, key: str) -> RoundId | Duplicate | None:
        """Begin another round of a run that is over. None where it is under way again already."""
        now = self._clock()
        over = sa.update(runs).where(runs.c.id == run_id, runs.c.status.in_(ENDED))
        fresh = {"status": "accepted", "turn": _NEXT_TURN, **_NO_CRASHES, "stop_by": None, "ended_at": None}
        again = over.values(**fresh, started_at=None, round=runs.c.round + 1)

        def retry(connection: sa.Connection) -> RoundId | Duplicate | None:
            if _claimed(connection, key) is not None:
                return Duplicate(run_id)
            if not connection.execute(again).rowcount:
                return None
            connection.execute(_CLAIM, {"key": key, "run": run_id, "at": now})
            return RoundId(run_id, connection.execute(sa.select(runs.c.round).where(runs.c.id == run_id)).scalar_one())

        return await self._do(retry, 0.0)

    async def ask_stop(self, run_id: str, key: str, who: str) -> bool:
        """Ask a run that is under way or waiting to stop. False where the gesture was carried out before, or the run
        is over; asking again changes nothing."""
        now = self._clock()
        going = sa.update(runs).where(runs.c.id == run_id, runs.c.status.in_(("accepted", "running")))

        def ask(connection: sa.Connection) -> bool:
            if _claimed(connection, key) is not None:
                return False
            connection.execute(_CLAIM, {"key": key, "run": run_id, "at": now})
            return connection.execute(going.values(stop_by=sa.func.coalesce(runs.c.stop_by, who))).rowcount > 0

        return await self._do(ask, 0.0)

    async def claimed(self, key: str) -> str | None:
        """The run on behalf of which a gesture was carried out before."""
        return await self._do(lambda connection: _claimed(connection, key), 0.0)

    async def under_way(self) -> list[RoundId]:
        """Rounds that had begun when the process before this one ended, first come first."""
        return await self._rounds("running", None)

    async def next_accepted(self, most: int | None = None) -> list[RoundId]:
        """Rounds that were accepted and have not begun, first come first."""
        return await self._rounds("accepted", most)

    async def _rounds(self, status: Status, most: int | None) -> list[RoundId]:
        query = sa.select(runs.c.id, runs.c.round).where(runs.c.status == status).order_by(runs.c.turn)
        return await self._do(
            lambda connection: [RoundId(row.id, row.round) for row in connection.execute(query.limit(most))]
        )

    async def latest(self, place: Place) -> StoredRun | None:
        """The newest run of a place."""
        found = await self._read(_here(place).limit(1))
        return found[0] if found else None

    async def going(self, place: Place, most: int = 50) -> list[StoredRun]:
        """The runs of a place that are not over, newest first."""
        return await self._read(_here(place).where(runs.c.status.not_in(ENDED)).limit(most))

    async def get(self, run_id: str) -> StoredRun | None:
        """One run."""
        found = await self._read(sa.select(runs).where(runs.c.id == run_id))
        return found[0] if found else None

    # The run

    async def begin(self, round_id: RoundId) -> StoredRun | None:
        """Note that a round begins or is taken up again, and give it as it was before but for its starts. None when it
        is over already, or cannot be read: then it is over now."""
        now = self._clock()
        this = runs.c.id == round_id.run
        query = sa.select(runs).where(this, runs.c.round == round_id.number, runs.c.status.in_(("accepted", "running")))

        def begin(connection: sa.Connection) -> StoredRun | None:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            stored = _readable(row)
            if stored is None:
                connection.execute(sa.update(runs).where(this).values(status="broken", ended_at=now))
                return None
            boots, started = stored.boots + 1, stored.started_at or now
            values = {"boots": boots, "status": "running", "started_at": started, "paused": False}
            connection.execute(sa.update(runs).where(this).values(values))
            return replace(stored, boots=boots, started_at=started)

        return await self._do(begin)

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
        await self._set(run.id, {"stuck": counted.stuck, "blamed": counted.blamed, "steps_seen": counted.steps_seen})
        return counted

    async def end(self, round_id: RoundId, ending: Ending) -> None:
        """Note how a round ended, with all that `runs show` and a retry need of it, and add up what it consumed."""
        now, receipt = self._clock(), ending.receipt
        values: dict[str, Any] = {
            "status": ending.status,
            "ended_at": now,
            "steps": json.dumps(ending.steps),
            "events": json.dumps(ending.events),
            # A sum with a cost that is not known is not known.
            "cost": runs.c.cost + receipt.cost if receipt.cost is not None else None,
            **{name: runs.c[name] + getattr(receipt, name) for name in _COUNTED},
        }
        charge = {"run": round_id.run, "round": round_id.number, "charged": receipt.charged, "at": now}

        def end(connection: sa.Connection) -> None:
            connection.execute(sa.update(runs).where(runs.c.id == round_id.run).values(values))
            connection.execute(sa.insert(charges), charge)

        await self._do(end)

    async def charged_since(self, since: float) -> float:
        """What rounds that ended since then are charged, in US dollars, their unknown costs guessed high."""
        total = sa.select(sa.func.coalesce(sa.func.sum(charges.c.charged), 0.0)).where(charges.c.at >= since)
        return float(await self._do(lambda connection: connection.execute(total).scalar_one()))

    # The outbox

    async def posts_of(self, run_id: str) -> dict[str, Posted]:
        """All posts of a run that were begun, by key."""
        begun = sa.select(outbox).where(outbox.c.run == run_id)
        return await self._do(lambda connection: {row.key: _posted(row) for row in connection.execute(begun)})

    async def claim(self, key: str, run_id: str) -> Posted | None:
        """Note that a post is about to be sent. None when it never was; else how it stands."""
        values = {"key": key, "run": run_id, "state": "sending", "at": self._clock()}

        def claim(connection: sa.Connection) -> Posted | None:
            row = connection.execute(sa.select(outbox).where(outbox.c.key == key)).one_or_none()
            if row is not None:
                return _posted(row)
            connection.execute(_SENDING, values)
            return None

        return await self._do(claim)

    async def sent(self, key: str, ref: MessageRef) -> None:
        """Note where a post stands."""
        values = {"b_key": key, "ref": json.dumps(dump(ref)), "at": self._clock()}
        await self._do(lambda connection: connection.execute(_SENT, values))

    async def opened(self, run_id: str, key: str, thread: ThreadRef) -> None:
        """Note a run's thread, and that its root stands there."""
        ref = json.dumps(dump(MessageRef(thread, (thread.thread,))))
        row = {"key": key, "run": run_id, "state": "sent", "ref": ref, "at": self._clock()}

        def note(connection: sa.Connection) -> None:
            values = {"thread": json.dumps(dump(thread))}
            connection.execute(sa.update(runs).where(runs.c.id == run_id).values(values))
            if not connection.execute(_SENT, {"b_key": key, "ref": ref, "at": row["at"]}).rowcount:
                connection.execute(sa.insert(outbox), row)

        await self._do(note)

    async def not_sent(self, key: str, why: str) -> None:
        """Note that a post will not be shown, and why."""
        values = {"state": "failed", "error": why, "at": self._clock()}
        await self._do(
            lambda connection: connection.execute(sa.update(outbox).where(outbox.c.key == key).values(values))
        )

    # Housekeeping

    async def old(self, before: float, most: int = 200) -> list[RoundId]:
        """Up to `most` runs that ended before then, each with its last round."""
        old = sa.select(runs.c.id, runs.c.round).where(runs.c.ended_at < before, runs.c.status.in_(ENDED)).limit(most)
        return await self._do(lambda connection: [RoundId(row.id, row.round) for row in connection.execute(old)])

    async def remove(self, run_ids: Sequence[str]) -> None:
        """Remove runs that are over, with all that belongs to them."""

        def remove(connection: sa.Connection) -> None:
            over = sa.select(runs.c.id).where(runs.c.id.in_(run_ids), runs.c.status.in_(ENDED))
            ids = list(connection.execute(over).scalars())
            for table, column in (
                (outbox, outbox.c.run),
                (claims, claims.c.run),
                (charges, charges.c.run),
                (runs, runs.c.id),
            ):
                connection.execute(sa.delete(table).where(column.in_(ids)))

        await self._do(remove)

    # The thread

    async def _read(self, query: sa.Select[Any]) -> list[StoredRun]:
        return await self._do(lambda connection: _all_readable(connection.execute(query)))

    async def _set(self, run_id: str, values: dict[str, Any]) -> None:
        await self._do(lambda connection: connection.execute(sa.update(runs).where(runs.c.id == run_id).values(values)))

    async def _do(self, work: Callable[[sa.Connection], T], patience: float = PATIENCE, *, last: bool = False) -> T:
        """Run `work` in a transaction; again for up to `patience` seconds while the database refuses."""
        if self._closed:
            raise StoreFailed("the run database was closed; nothing was done")
        self._closed = last
        loop = asyncio.get_running_loop()
        until, wait = loop.time() + patience, 0.1
        while True:
            item: _Work[T] = _Work(work, loop.create_future(), loop, last)
            self._work.put(item)
            try:
                return await item.future
            except StoreFailed:
                if loop.time() + wait > until:
                    raise
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5.0)

    def _serve(self) -> None:
        over = False
        while not over:
            together = [self._work.get()]
            while len(together) < MOST_TOGETHER and not self._work.empty():
                together.append(self._work.get())
            self._carry_out(together)
            over = any(item.last for item in together)

    def _carry_out(self, together: list["_Work[Any]"]) -> None:
        try:
            with self._engine.begin() as connection:
                results = [item.work(connection) for item in together]
        except sa.exc.OperationalError as error:
            # The database refuses, and would refuse each of them: nobody waits for the others' turn to be told.
            translated = _translated(error)
            for item in together:
                item.settle(error=translated)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            if len(together) > 1:
                for item in together:
                    self._carry_out([item])
                return
            together[0].settle(error=_translated(error))
        else:
            for item, result in zip(together, results, strict=True):
                item.settle(result)


@dataclass(frozen=True, slots=True)
class _Work(Generic[T]):
    work: Callable[[sa.Connection], T]
    future: "asyncio.Future[T]"
    loop: asyncio.AbstractEventLoop
    last: bool = False

    def settle(self, result: Any = None, error: Exception | None = None) -> None:
        def settle() -> None:
            if self.future.done():  # cancelled: what was asked for was done all the same
                return
            if error is None:
                self.future.set_result(result)
            else:
                self.future.set_exception(error)

        self.loop.call_soon_threadsafe(settle)


def _translated(error: Exception) -> Exception:
    if not isinstance(error, sa.exc.DBAPIError):
        return error
    log.warning("store.refused", error=type(error.orig).__name__, why=str(error.orig))
    translated = failure(error, "the run database cannot be written")
    translated.__cause__ = error
    return translated


def day_start(now: float) -> float:
    """When the day of `now` began, in UTC, which is when quotas and budgets of a day begin anew."""
    return now - now % 86_400


_NO_CRASHES = {"stuck": 0, "blamed": 0, "steps_seen": 0, "paused": False}
_COUNTED = ("calls", "input_tokens", "output_tokens", "unmetered")

_NEXT_TURN = sa.select(sa.func.coalesce(sa.func.max(runs.c.turn), 0) + 1).scalar_subquery()

# Made once: SQLAlchemy then finds the compiled statement by identity.
_CLAIM = sa.insert(claims)
_ACCEPT = sa.insert(runs)
_SENDING = sa.insert(outbox)
_SENT = (
    sa.update(outbox)
    .where(outbox.c.key == sa.bindparam("b_key"))
    .values(state="sent", ref=sa.bindparam("ref"), at=sa.bindparam("at"))
)


def _claimed(connection: sa.Connection, key: str) -> str | None:
    return connection.execute(sa.select(claims.c.run).where(claims.c.key == key)).scalar()


def _over_quota(connection: sa.Connection, invocation: Invocation, quotas: Quotas, since: float) -> OverQuota | None:
    place = invocation.place
    workspace = [runs.c.surface == place.surface, runs.c.tenant == place.tenant, runs.c.created_at >= since]
    limits: tuple[tuple[Literal["person", "channel", "workspace"], int, list[Any]], ...] = (
        ("person", quotas.person, [runs.c.author == invocation.author]),
        ("channel", quotas.channel, [runs.c.channel == place.channel]),
        ("workspace", quotas.workspace, []),
    )
    for whom, limit, those in limits:
        if limit and _count(connection, *workspace, *those) >= limit:
            return OverQuota(whom, limit)
    return None


def _count(connection: sa.Connection, *where: Any) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(runs).where(*where)).scalar_one())


def _new_run(invocation: Invocation, brief: Brief, now: float) -> dict[str, Any]:
    # Texts of attachments are in the brief; they are not kept twice.
    bare = replace(invocation, attachments=tuple(replace(file, text="") for file in invocation.attachments))
    place = invocation.place
    return {
        "id": invocation.key,
        "round": 1,
        "status": "accepted",
        "surface": place.surface,
        "tenant": place.tenant,
        "channel": place.channel,
        "author": invocation.author,
        "invocation": json.dumps(dump(bare)),
        "brief": json.dumps(dump(brief)),
        "boots": 0,
        **_NO_CRASHES,
        "cost": 0.0,
        **dict.fromkeys(_COUNTED, 0),
        "created_at": now,
    }


def _stored(row: Any) -> StoredRun:
    return StoredRun(
        id=row.id,
        round=row.round,
        status=row.status,
        invocation=load(Invocation, json.loads(row.invocation)),
        brief=load(Brief, json.loads(row.brief)),
        thread=None if row.thread is None else load(ThreadRef, json.loads(row.thread)),
        boots=row.boots,
        stuck=row.stuck,
        blamed=row.blamed,
        steps_seen=row.steps_seen,
        stop_by=row.stop_by,
        steps={} if row.steps is None else json.loads(row.steps),
        events=[] if row.events is None else json.loads(row.events),
        paused=row.paused,
        receipt=RunReceipt(row.calls, row.input_tokens, row.output_tokens, row.cost, unmetered=row.unmetered),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _readable(row: Any) -> StoredRun | None:
    """The run, or None where another version wrote what this one cannot read. The error would quote it, so it is not
    shown."""
    try:
        return _stored(row)
    except (ValidationError, ValueError) as error:
        log.error("run.unreadable", run=row.id, error=type(error).__name__)
        return None


def _all_readable(rows: Iterable[Any]) -> list[StoredRun]:
    return [stored for row in rows if (stored := _readable(row)) is not None]


def _here(place: Place) -> sa.Select[Any]:
    at = (runs.c.surface == place.surface, runs.c.tenant == place.tenant, runs.c.channel == place.channel)
    return sa.select(runs).where(*at).order_by(runs.c.created_at.desc())


def _posted(row: Any) -> Posted:
    ref = None if row.ref is None else load(MessageRef, json.loads(row.ref))
    return Posted(row.key, row.state, ref)


def read_runs(engine: sa.Engine, run_id: str | None = None, most: int = 50) -> list[StoredRun]:
    """Runs for whoever only looks, newest first; all of them, or those whose id begins with `run_id`.

    Raises `StoreFailed`.
    """
    query = sa.select(runs).order_by(runs.c.created_at.desc()).limit(most)
    if run_id is not None:
        query = query.where(runs.c.id.startswith(run_id, autoescape=True))
    try:
        with engine.connect() as connection:
            return _all_readable(connection.execute(query))
    except sa.exc.DBAPIError as error:
        raise failure(error, f"the run database {engine.url.database} cannot be read") from error


def database_of(folder: Path) -> Path:
    """The file with our own tables in a folder of run databases."""
    return folder / "runs.sqlite"
