"""Engines on hold, notes of them, groups and channels that somebody made; reports are found by their time.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_NAMED = ("engine_groups", "engine_channels")


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("engines") as engines:
        engines.add_column(sa.Column("hold_reason", sa.String(length=500), nullable=True))
        engines.add_column(sa.Column("notes", sa.String(length=2000), nullable=False, server_default=""))
    for table in _NAMED:
        op.create_table(
            table,
            sa.Column("name", sa.String(length=64), nullable=False),
            sa.Column("created", types.UtcDateTime(), nullable=False),
            sa.PrimaryKeyConstraint("name", name=op.f(f"pk_{table}")),
            mariadb_charset="utf8mb4",
            mariadb_collate="utf8mb4_nopad_bin",
            mariadb_engine="InnoDB",
        )
    op.create_index(op.f("ix_reports_received"), "reports", ["received"])


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_reports_received"), "reports")
    for table in reversed(_NAMED):
        op.drop_table(table)
    with op.batch_alter_table("engines") as engines:
        engines.drop_column("notes")
        engines.drop_column("hold_reason")
