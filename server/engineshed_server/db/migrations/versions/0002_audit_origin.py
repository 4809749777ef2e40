"""The audit says from where a change came, and what was before and after it.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("audit") as audit:
        audit.add_column(sa.Column("address", sa.String(length=64), nullable=True))
        audit.add_column(sa.Column("request", sa.String(length=64), nullable=True))
        audit.add_column(sa.Column("before", types.LongText, nullable=True))
        audit.add_column(sa.Column("after", types.LongText, nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("audit") as audit:
        for name in ("after", "before", "request", "address"):
            audit.drop_column(name)
