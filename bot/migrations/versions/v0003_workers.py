"""What several processes on one database need to know of each other."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables, and a column for whose a run is."""
    op.add_column("runs", sa.Column("owner", sa.Text))
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("token", "plan", "role")),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("since", "seen", "open")),
    )
    op.create_table(
        "takeovers",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True),
        sa.Column("worker", sa.Text, primary_key=True),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Double, primary_key=True),
    )
    op.create_table(
        "paces",
        sa.Column("place", sa.Text, primary_key=True),
        sa.Column("full_at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("paces", "takeovers", "workers"):
        op.drop_table(table)
    op.drop_column("runs", "owner")
