"""One transaction, carried out once: what the database undid is run again, and a commit whose answer was lost is asked
after."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import sqlalchemy as sa

from bot.postgres_errors import is_transient

T = TypeVar("T")

TRIES = 4
"""How often a transaction is run that the database undid, for a deadlock or for a connection that had died before."""

UNDECIDED_SECONDS = 2.0
"""How long a transaction may still be under way on the server once its connection is gone here."""


Begin = Callable[[], AbstractContextManager[sa.Connection]]
"""Begins a transaction that is committed at the end of the block, and rolled back where that raises."""


def committed(engine: sa.Engine, work: Callable[[sa.Connection], T], begin: Begin) -> T:
    """What `work` gives in a transaction that is committed; it may be run more than once. `begin` is asked for a
    transaction each time, `engine` for what became of one whose connection broke.

    Raises SQLAlchemy's errors, and what `work` does.
    """
    number: str | None = None
    tries = 0
    while True:
        tries += 1
        try:
            with begin() as connection:
                result = work(connection)
                number = _number(connection)
            return result
        except sa.exc.DBAPIError as error:
            # With a number the server was asked to commit, and may have done so before the connection broke.
            if number is not None and error.connection_invalidated and _was_committed(engine, number):
                return result
            number = None
            if tries == TRIES or not is_transient(error):
                raise


def _number(connection: sa.Connection) -> str | None:
    """What Postgres knows the transaction by, if it has written anything."""
    if connection.dialect.name != "postgresql":
        return None
    number: str | None = connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()::text").scalar()
    return number


def _was_committed(engine: sa.Engine, number: str) -> bool:
    until = time.monotonic() + UNDECIDED_SECONDS
    while True:
        with engine.connect() as connection:
            status = connection.exec_driver_sql("SELECT pg_xact_status(%s::xid8)", (number,)).scalar()
        if status != "in progress" or time.monotonic() > until:
            return status == "committed"
        time.sleep(0.05)
