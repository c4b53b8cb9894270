"""Settings of places, feedback, removals, departures; runs are found by their thread."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NEW = {
    "place_settings": (("surface", "tenant", "channel"), ("profile", "pillars", "by")),
    "feedback": (("run", "part", "author"), ("verdict",)),
    "removals": (("run",), ("invocation",)),
    "departures": (("surface", "tenant"), ()),
}
"""The keys and the other texts of each new table; all have a time."""


def upgrade() -> None:
    """Make the tables, and take each run's thread id from the thread that it has."""
    for table, (keys, texts) in NEW.items():
        op.create_table(
            table,
            *(sa.Column(name, sa.Text, primary_key=True) for name in keys),
            *(sa.Column(name, sa.Text, nullable=False) for name in texts),
            sa.Column("at", sa.Double, nullable=False),
        )
    op.add_column("runs", sa.Column("thread_id", sa.Text))
    runs = sa.table("runs", sa.column("id"), sa.column("thread"), sa.column("thread_id"))
    connection = op.get_bind()
    opened = connection.execute(sa.select(runs.c.id, runs.c.thread).where(runs.c.thread.is_not(None))).all()
    for run in opened:
        values = {"thread_id": json.loads(run.thread)["thread"]}
        connection.execute(sa.update(runs).where(runs.c.id == run.id).values(values))
    op.create_index("runs_by_thread", "runs", ["surface", "tenant", "channel", "thread_id", "created_at"])


def downgrade() -> None:
    """Drop the tables and the thread ids."""
    op.drop_index("runs_by_thread", "runs")
    op.drop_column("runs", "thread_id")
    for table in reversed(NEW):
        op.drop_table(table)
