"""Postgres: connections made the way runs need them.

A half-open connection is found within half a minute (TCP keepalives), a process that hangs in a transaction loses it,
and nobody waits for a lock longer than chat platforms wait for us.
"""

from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import StrDumper
from pydantic import SecretStr
from sqlalchemy.engine.interfaces import IsolationLevel

POOL = 3
"""Connections for our own tables: one thread writes, and others are for a moment only."""

STEPS_POOL = 5
"""Connections for DBOS' tables, as on SQLite."""

_PARAMETERS = {
    "application_name": "panelist",
    "client_encoding": "utf8",
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
"""What a connection is made with where the URL does not say otherwise (libpq, "Parameter Key Words")."""

_OURS = {"lock_timeout": "2s", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "15s"}
_TOKENS = {**_OURS, "synchronous_commit": "off"}
"""Where the server fails, a token that was taken may be there again; nobody waits for a disk for one."""

_STEPS = {"idle_in_transaction_session_timeout": "60s"}


def postgres_engine(url: SecretStr, *, looks_first: bool = False) -> sa.Engine:
    """An engine for our own tables. With `looks_first` a connection is tried before it is used, for whoever does not
    try again by itself where the server was started anew meanwhile."""
    return _engine(url, _OURS, pool_size=POOL, max_overflow=0, pool_timeout=10, pool_pre_ping=looks_first)


def postgres_tokens_engine(url: SecretStr) -> sa.Engine:
    """An engine for what all processes take from the same rows, each statement by itself: none is held longer."""
    return _engine(url, _TOKENS, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=1, pool_timeout=10)


def postgres_reader(url: SecretStr) -> sa.Engine:
    """An engine that only reads."""
    return _engine(url, {"default_transaction_read_only": "on"}, poolclass=sa.NullPool)


def postgres_steps_engine(url: SecretStr) -> sa.Engine:
    """An engine for DBOS' tables, which are in a schema of their own."""
    engine = _engine(url, _STEPS, pool_size=STEPS_POOL, max_overflow=0, pool_timeout=60)

    @sa.event.listens_for(engine, "handle_error")
    def away(context: sa.engine.ExceptionContext) -> None:
        # DBOS tells by libpq's words whether to wait, and does not know all of those for a server that is away. What
        # cannot be recorded would be asked, and paid for, again.
        if context.connection is None and isinstance(context.original_exception, psycopg.OperationalError):
            context.is_disconnect = True

    return engine


def parameters(url: SecretStr) -> dict[str, Any]:
    """What a connection is made with, by libpq's names. Raises `psycopg.ProgrammingError` for what is no URL."""
    return _PARAMETERS | conninfo_to_dict(url.get_secret_value())


def named(url: SecretStr) -> str:
    """Which database a URL names, without user and password."""
    given = parameters(url)
    name = given.get("dbname") or given.get("user") or "of the default user"
    return f"{name} on {given.get('host') or given.get('hostaddr') or 'this machine'}"


def _engine(
    url: SecretStr, session: dict[str, str], isolation_level: IsolationLevel = "READ COMMITTED", **pool: Any
) -> sa.Engine:
    # The engine's own URL has no password, so nothing can print one.
    shown = sa.URL.create("postgresql+psycopg", database=named(url))
    engine = sa.create_engine(
        shown, isolation_level=isolation_level, use_native_hstore=False, hide_parameters=True, **pool
    )

    @sa.event.listens_for(engine, "do_connect")
    def by_url(_: Any, __: Any, ___: Any, arguments: dict[str, Any]) -> None:
        arguments.update(parameters(url))

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: psycopg.Connection[Any], _: Any) -> None:
        connection.adapters.register_dumper(str, _TextWithoutNul)
        # Not as `options` of the connection: poolers in between refuse those.
        settings = ", ".join("set_config(%s, %s, false)" for _ in session)
        connection.execute(f"SELECT {settings}".encode(), [word for pair in session.items() for word in pair])
        connection.commit()

    return engine


class _TextWithoutNul(StrDumper):
    """Postgres' text holds every character but NUL, which nobody meant to write."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)
