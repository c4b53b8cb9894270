"""Removal: a run's posts and all that is kept of it go, whatever happens to the process in between."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
import structlog

from adapters.port import Invocation, MessageRef, SendError, ThreadRef, Unknown, Unreadable
from bot import notices
from bot.courier import Courier
from bot.errors import StoreFailed
from bot.inserts import insert_new
from bot.line import AGAIN_SECONDS, Line
from bot.rounds import RoundId
from bot.rows import claim, claimed
from bot.schema import removals, runs
from bot.store import Store
from bot.stored import Posted, StoredRun
from bot.transactions import AT_ONCE
from bot.tries import BREAKS, guarded
from teams.wire import dump, load

log = structlog.get_logger()


class Record(Protocol):
    """What is recorded of runs beside our own tables; `bot.runs.DurableRuns` is one."""

    async def delete(self, rounds: Sequence[RoundId]) -> None:
        """Remove all that was recorded of runs; each with its last round. Raises `StoreFailed`."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A run that is to go, and the gesture that asked for it."""

    run: str
    invocation: Invocation


class Jobs(Protocol):
    """Who does what, where several processes could; `bot.sharing.Sharing` is one."""

    async def mine(self, job: str) -> bool:
        """Whether a job is this process' to do."""

    async def done(self, job: str) -> None:
        """Let go of a job."""


class Removals:
    """The removals of this process. A run under way goes when it is over."""

    def __init__(self, store: Store, courier: Courier, record: Record, line: Line, jobs: Jobs | None = None) -> None:
        self._store, self._courier, self._record, self._line, self._jobs = store, courier, record, line, jobs
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    async def ask(self, run: StoredRun, invocation: Invocation) -> bool:
        """Commit that a run goes; what is under way of it is asked to stop, and what was not begun never is. False
        where the gesture was carried out before. Raises `StoreFailed`."""
        now, this = self._store.now(), runs.c.id == run.id
        row = {"run": run.id, "invocation": json.dumps(dump(invocation)), "at": now}
        stop = {"stop_by": sa.func.coalesce(runs.c.stop_by, invocation.author)}

        def ask(connection: sa.Connection) -> bool:
            if claimed(connection, invocation.key) is not None or not insert_new(connection, removals, row):
                return False
            claim(connection, invocation.key, run.id, now)
            # How it stands is looked at twice.
            connection.execute(sa.select(runs.c.id).where(this).with_for_update())
            begun = sa.update(runs).where(this, runs.c.status == "running")
            waits = sa.update(runs).where(this, runs.c.status == "accepted")
            connection.execute(begun.values(stop))
            connection.execute(waits.values({**stop, "status": "stopped", "ended_at": now}))
            return True

        asked = await self._store.do(ask, AT_ONCE)
        if asked:
            self._begin(Removal(run.id, invocation))
        return asked

    async def take_up(self) -> None:
        """Go on with what a process before this one did not live to remove. Raises `StoreFailed`."""
        query = sa.select(removals).order_by(removals.c.at)
        rows = await self._store.do(lambda connection: list(connection.execute(query)))
        for row in rows:
            self._begin(Removal(row.run, load(Invocation, json.loads(row.invocation))))

    async def settled(self) -> None:
        """Wait until all that can be removed now is."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    def _begin(self, removal: Removal) -> None:
        if removal.run in self._tasks:
            return
        task = self._tasks[removal.run] = self._line.spawn(self._until_done(removal), f"remove {removal.run}")
        task.add_done_callback(lambda _: self._tasks.pop(removal.run))

    async def _until_done(self, removal: Removal) -> None:
        job = f"remove {removal.run}"
        while True:
            try:
                if self._jobs is None:
                    await self._carry_out(removal)
                elif await self._jobs.mine(job):
                    await self._carry_out(removal)
                    await self._jobs.done(job)
                return
            except StoreFailed as error:
                log.error("run.not_removed", run=removal.run, why=str(error), again_in=AGAIN_SECONDS)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _carry_out(self, removal: Removal) -> None:
        run = await self._store.get(removal.run)
        if run is not None:
            await self._line.left([run.round_id])
            run = await self._store.get(removal.run)
        if run is None:
            await self._store.remove([removal.run], keep_claims=True)
            return
        if not run.ended or run.invocation.place.surface not in self._courier.fronts:
            # Its front end is not served now. It goes at a start with it.
            log.error("run.removal_waits", run=run.id, front_end=run.invocation.place.surface)
            return
        gone, errors = await self._posts_removed(run)
        # Ours last: they are what the others are found by.
        await self._record.delete([run.round_id])
        await self._store.remove([run.id], keep_claims=True)
        log.info("run.removed", run=run.id, posts=gone, posts_kept=len(errors))
        await self._courier.notify(removal.invocation, notices.deleted(run.brief.topic, gone, errors))

    async def _posts_removed(self, run: StoredRun) -> tuple[int, list[SendError]]:
        """Take away what stands of a run, the root last; how many posts are gone, and why others are not."""
        posts = await self._store.posts_of(run.id)
        gone, errors = 0, list[SendError]()
        for post in sorted(posts.values(), key=lambda post: post.key.endswith("/root")):
            ref = post.ref if post.state == "sent" else await self._found(run, post)
            error = await self._courier.remove(ref) if isinstance(ref, MessageRef) else ref
            gone += error is None and ref is not None
            errors += [] if error is None else [error]
        return gone, errors

    async def _found(self, run: StoredRun, post: Posted) -> MessageRef | SendError | None:
        """Where a post stands whose sending had no known end; an error where that cannot be told."""
        if post.state != "sending":
            return None
        front = self._courier.fronts[run.invocation.place.surface]
        if run.thread is not None:
            found = await guarded(front.find(run.thread, post.key), BREAKS)
            return Unknown(found.reason) if isinstance(found, Unreadable) else found
        thread = await guarded(front.find_thread(run.invocation, post.key), BREAKS)
        if isinstance(thread, ThreadRef):
            return MessageRef(thread, (thread.root or thread.thread,))
        return Unknown(thread.reason) if isinstance(thread, Unreadable) else thread
