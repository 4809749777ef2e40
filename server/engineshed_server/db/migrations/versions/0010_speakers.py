"""Which keys sign a product's releases is remembered: when they are replaced, their floor and packages go.

Additive: the version before works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "speakers",
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("speakers", types.LongText, nullable=False),
        sa.PrimaryKeyConstraint("product", name=op.f("pk_speakers")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("speakers")
