"""Feedback: what people think of the answers and the synthesis of a run, one verdict a person and part."""

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from adapters.port import Invocation
from bot.commands import Rate, Verdict
from bot.database import failure
from bot.delivery import UNSHOWN
from bot.inserts import put
from bot.rows import claim
from bot.schema import feedback, outbox
from bot.transactions import AT_ONCE, Transacting


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody thinks of a part of a run, `expert/<perspective>` or `synthesis`. `at` is seconds since 1970."""

    run: str
    part: str
    author: str
    verdict: Verdict
    at: float


async def note_feedback(database: Transacting, invocation: Invocation, run_id: str, rate: Rate) -> bool:
    """Note a verdict in place of the author's last one on that part; False where the run posted no such part. A gesture
    that comes again changes nothing. Raises `StoreFailed`."""
    now = database.now()
    given = Feedback(run_id, rate.part, invocation.author, rate.verdict, now)

    def note(connection: sa.Connection) -> bool:
        if not _was_posted(connection, run_id, rate.part):
            return False
        if claim(connection, invocation.key, run_id, now):
            put(connection, feedback, asdict(given))
        return True

    return await database.do(note, AT_ONCE)


def _was_posted(connection: sa.Connection, run_id: str, part: str) -> bool:
    # The synthesis of a later round has the round behind it.
    key = outbox.c.key
    this = sa.or_(key == f"{run_id}/{part}", key.startswith(f"{run_id}/{part}/", autoescape=True))
    there = (outbox.c.run == run_id, outbox.c.state == "sent", this, ~key.endswith(UNSHOWN))
    return connection.execute(sa.select(key).where(*there).limit(1)).first() is not None


def read_feedback(engine: sa.Engine, run_id: str) -> tuple[Feedback, ...]:
    """The feedback on one run for whoever only looks, oldest first. Raises `StoreFailed`."""
    query = sa.select(feedback).where(feedback.c.run == run_id).order_by(feedback.c.at)
    try:
        with engine.connect() as connection:
            # A database that a terminal left behind may be older than feedback is.
            if not sa.inspect(connection).has_table(feedback.name):
                return ()
            return tuple(_given(row) for row in connection.execute(query))
    except sa.exc.DBAPIError as error:
        raise failure(error, f"the run database {engine.url.database} cannot be read") from error


def _given(row: Any) -> Feedback:
    return Feedback(row.run, row.part, row.author, row.verdict, row.at)
