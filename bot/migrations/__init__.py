"""The database's schema, brought up to date at start.

A database that is new, or up to date, needs no Alembic: a tenth of a second of a start, and 9 MB.
"""

import sqlalchemy as sa

from bot.database import failure
from bot.errors import StoreUnusable
from bot.schema import metadata, runs

HEAD = "0003"
"""The newest revision in `versions`, which makes the tables of `bot.schema`."""

_MIGRATING = 7000
"""The advisory lock of whoever changes the schema."""

_VERSION = sa.table("alembic_version", sa.column("version_num", sa.String))


def migrate(engine: sa.Engine) -> None:
    """Bring the schema up to date, all or nothing. Raises `StoreUnusable`, also for a schema newer than this code."""
    try:
        with engine.begin() as connection:
            _upgrade(connection)
    except sa.exc.DBAPIError as error:
        raise StoreUnusable(str(failure(error, f"the run database {engine.url.database} cannot be used"))) from error


def _upgrade(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Several processes may begin together: one does it, and the others find it done.
        connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING, 0)))
    there = set(sa.inspect(connection).get_table_names())
    at = connection.execute(sa.select(_VERSION.c.version_num)).scalar() if _VERSION.name in there else None
    if at == HEAD:
        return
    if at is None and runs.name not in there:
        _make(connection)
    else:
        from bot.migrations.steps import take_steps

        take_steps(connection, at)


def _make(connection: sa.Connection) -> None:
    """The tables as they are now, and in Alembic's own which revision that is."""
    # Not where somebody else has a table of that name.
    metadata.create_all(connection, checkfirst=False)
    known = sa.Table(
        _VERSION.name, sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True, nullable=False)
    )
    known.create(connection, checkfirst=True)
    connection.execute(sa.insert(_VERSION).values(version_num=HEAD))
