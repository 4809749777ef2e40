"""A hold says why, and emergency stops have a table.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("releases") as releases:
        releases.add_column(sa.Column("hold_reason", sa.String(length=500), nullable=True))
    op.create_table(
        "stops",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("product", sa.String(length=64), nullable=True),
        sa.Column("channel", sa.String(length=64), nullable=True),
        sa.Column("on_scope", sa.String(length=130), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("began", types.UtcDateTime(), nullable=False),
        sa.Column("began_by", sa.String(length=200), nullable=False),
        sa.Column("ended", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stops")),
        sa.UniqueConstraint("on_scope", name=op.f("uq_stops_on_scope")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("stops")
    with op.batch_alter_table("releases") as releases:
        releases.drop_column("hold_reason")
