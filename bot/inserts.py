"""Inserts that another process may make at the same moment: SQLite and Postgres have them, each in a dialect."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless there is one with its key; whether it was inserted."""
    return connection.execute(_new(connection.dialect.name, table), row).rowcount > 0


def put(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or set all its columns where there is one with its key."""
    connection.execute(_put(connection.dialect.name, table, tuple(row)), row)


# Made once: SQLAlchemy then finds the compiled statement by identity.
@lru_cache(maxsize=64)
def _new(dialect: str, table: sa.Table) -> sa.Insert:
    insert: sa.Insert = _insert(dialect, table).on_conflict_do_nothing()
    return insert.execution_options(preserve_rowcount=True)


@lru_cache(maxsize=64)
def _put(dialect: str, table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    insert = _insert(dialect, table)
    key = [column.name for column in table.primary_key]
    fresh = {name: insert.excluded[name] for name in names if name not in key}
    put: sa.Insert = insert.on_conflict_do_update(index_elements=key, set_=fresh)
    return put


def _insert(dialect: str, table: sa.Table) -> Any:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
