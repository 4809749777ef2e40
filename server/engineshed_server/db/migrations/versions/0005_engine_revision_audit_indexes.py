"""Engines count their edits; the audit is found by subject, actor and action.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEXES = ("action", "actor", "subject")


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("engines") as engines:
        engines.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    for column in _INDEXES:
        op.create_index(op.f(f"ix_audit_{column}"), "audit", [column])


def downgrade() -> None:
    """Take back."""
    for column in reversed(_INDEXES):
        op.drop_index(op.f(f"ix_audit_{column}"), "audit")
    with op.batch_alter_table("engines") as engines:
        engines.drop_column("revision")
