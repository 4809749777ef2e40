"""Uploads that arrive in pieces.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("token_id", sa.String(length=24), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("sent_metadata", sa.String(length=1024), nullable=False),
        sa.Column("length_bytes", types.BigId, nullable=False),
        sa.Column("offset_bytes", types.BigId, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("not_before", types.UtcDateTime(), nullable=False),
        sa.Column("outcome", types.LongText, nullable=True),
        sa.Column("created", types.UtcDateTime(), nullable=False),
        sa.Column("expires", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["api_tokens.id"], name=op.f("fk_uploads_token_id_api_tokens")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_index(op.f("ix_uploads_state_not_before"), "uploads", ["state", "not_before"], unique=False)
    op.create_index(op.f("ix_uploads_expires"), "uploads", ["expires"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_table("uploads")
