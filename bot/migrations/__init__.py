"""The database's schema, brought up to date at start by Alembic's migrations in `versions`."""

from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from bot.database import failure
from bot.errors import StoreUnusable

_MIGRATING = 7000
"""The advisory lock of whoever changes the schema."""


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
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    script = ScriptDirectory.from_config(config)
    at = MigrationContext.configure(connection).get_current_revision()
    if at == script.get_current_head():
        return
    known = {revision.revision for revision in script.walk_revisions()}
    if at is not None and at not in known:
        raise StoreUnusable(
            f"the run database {connection.engine.url.database} was written by a newer version of panelist (schema"
            f" {at}); install that version again, or set another PANELIST_HOME or DATABASE_URL"
        )

    def steps(revision: object, _: object) -> object:
        return script._upgrade_revs("head", revision)  # type: ignore[arg-type]

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True, render_as_batch=True)
        environment.run_migrations()
