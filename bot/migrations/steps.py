"""The way from an older schema to the present one: Alembic's migrations in `versions`, one after the other."""

from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from bot.errors import StoreUnusable


def take_steps(connection: sa.Connection, at: str | None) -> None:
    """Bring a schema `at` some revision up to date; None has nothing yet. Raises `StoreUnusable` for a schema that is
    newer than this code."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    script = ScriptDirectory.from_config(config)
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
