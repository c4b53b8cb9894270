"""Runs, claimed keys and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "claims",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_index("ix_claims_run", "claims", ["run"])
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("round", "boots", "stuck", "blamed", "steps_seen", "turn")
        ),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("status", "surface", "tenant", "channel", "author", "invocation", "brief")
        ),
        *(sa.Column(name, sa.Text) for name in ("thread", "stop_by", "steps", "events")),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("calls", "input_tokens", "output_tokens", "unmetered")
        ),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("cost", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        *(sa.Column(name, sa.Double) for name in ("started_at", "ended_at")),
    )
    op.create_index("runs_by_status", "runs", ["status", "turn"])
    op.create_index("runs_by_place", "runs", ["surface", "tenant", "channel", "created_at"])
    op.create_index("runs_by_author", "runs", ["surface", "tenant", "author", "created_at"])
    op.create_index("runs_by_time", "runs", ["created_at"])
    op.create_index("runs_by_turn", "runs", ["turn"])
    op.create_table(
        "charges",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("charged", "at")),
    )
    op.create_index("ix_charges_at", "charges", ["at"])
    op.create_table(
        "outbox",
        sa.Column("key", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("run", "state")),
        *(sa.Column(name, sa.Text) for name in ("ref", "error")),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_index("ix_outbox_run", "outbox", ["run"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("outbox", "charges", "runs", "claims"):
        op.drop_table(table)
