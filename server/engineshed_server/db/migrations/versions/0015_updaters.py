"""Orders and reports say when they are about the updater, and not about its engine.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLES = ("orders", "reports")


def upgrade() -> None:
    """Apply."""
    for table in _TABLES:
        op.add_column(table, sa.Column("product", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Take back."""
    for table in reversed(_TABLES):
        with op.batch_alter_table(table) as changed:
            changed.drop_column("product")
