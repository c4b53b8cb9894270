"""What tests of the run database share: a clock that is set by hand, invocations, briefs, stores on a file."""

from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import sqlalchemy as sa

from adapters.port import Attachment, Invocation, Place
from bot.brief import Brief
from bot.database import sqlite_engine
from bot.migrations import migrate
from bot.receipts import RunReceipt
from bot.rounds import RoundId
from bot.runs_at import InFolder, RunsAt
from bot.store import Store
from bot.stored import Accepted, Ending, Quotas
from teams.model import PanelSpec, Perspective, Source

DAY = 86_400.0
NOON = 20_000 * DAY + DAY / 2
"""Noon of some day, in UTC."""

FREE = Quotas()
NOTHING = RunReceipt()
SEATS = tuple(Perspective(key, key.title(), f"Be {key}.") for key in "abc")
SPEC = PanelSpec("test", "Test panel", "for tests", SEATS, quorum=1)
BRIEF = Brief("panel", "Open on Sundays?", SPEC, (Source("notes.md", "The rent is low."),), "a bakery", "bread")
PLACE = Place("memory", "tests", "general")


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def asked(key: str, author: str = "ann", place: Place = PLACE, files: tuple[Attachment, ...] = ()) -> Invocation:
    """Somebody asks for a panel."""
    return Invocation(place, author, "/panel Open on Sundays?", key, "command", files)


@asynccontextmanager
async def store_at(path: Path, clock: Clock | None = None, engine=None, *, lock_seconds: float = 2.0):
    """A store on the file at `path`, its schema up to date; closed when the block ends."""
    if engine is None:
        engine = sqlite_engine(path, lock_seconds=lock_seconds)
        migrate(engine)
    store = Store(engine, clock or Clock())
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def store_in(at: RunsAt, clock: Clock | None = None):
    """A store on either database, its schema up to date; closed when the block ends."""
    engine = at.engine()
    migrate(engine)
    async with store_at(Path(), clock, engine) as store:
        yield store


def altered(at: RunsAt, statement: str, **values) -> None:
    """Change the database behind everybody's back."""
    engine = at.engine()
    with engine.begin() as connection:
        connection.execute(sa.text(statement), values)
    engine.dispose()


@contextmanager
def locked(at: RunsAt):
    """Another program is in a long write, which nobody can pass."""
    engine = sa.create_engine(f"sqlite:///{at.file}") if isinstance(at, InFolder) else at.engine()
    with engine.connect() as connection:
        exclusive = "BEGIN EXCLUSIVE" if isinstance(at, InFolder) else "LOCK TABLE claims, runs"
        connection.exec_driver_sql(exclusive)
        yield
        connection.rollback()
    engine.dispose()


async def accepted(store: Store, *keys: str, **who) -> None:
    """Accept a run for each key, one after the other."""
    for key in keys:
        assert isinstance(await store.accept(asked(key, **who), BRIEF, FREE), Accepted)


async def over(store: Store, key: str, receipt: RunReceipt = NOTHING, *, round_: int = 1) -> None:
    """Begin and end a round of a run that was accepted."""
    assert await store.begin(RoundId(key, round_)) is not None
    await store.end(RoundId(key, round_), Ending("finished", {"expert:a": '{"failure": {}}'}, [], receipt))
