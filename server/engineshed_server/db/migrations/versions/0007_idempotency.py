"""What was answered to requests that carry an Idempotency-Key, for a day.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.String(length=24), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.String(length=24), nullable=False),
        sa.Column("claimed", types.UtcDateTime(), nullable=False),
        sa.Column("sealed", types.LongText, nullable=True),
        sa.PrimaryKeyConstraint("owner", "key_hash", name=op.f("pk_idempotency")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_index(op.f("ix_idempotency_claimed"), "idempotency", ["claimed"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("idempotency")
