"""Administrators give orders: a row without number and signature until the engine polls.

What an updater can do is remembered, and the edits of a release are counted. Additive: the previous
version's code works with the result, as long as no administrator's order is open.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("orders") as orders:
        orders.add_column(sa.Column("origin", sa.String(length=16), nullable=False, server_default="portal"))
        orders.add_column(
            sa.Column("given_by", sa.String(length=200), nullable=False, server_default="portal")
        )
        orders.add_column(sa.Column("message", sa.String(length=500), nullable=False, server_default=""))
        orders.add_column(sa.Column("although_held", sa.Boolean(), nullable=False, server_default="0"))
        orders.add_column(sa.Column("claims", types.LongText, nullable=True))
    with op.batch_alter_table("presence") as presence:
        presence.add_column(sa.Column("capabilities", types.LongText, nullable=True))
    with op.batch_alter_table("releases") as releases:
        releases.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Take back: orders that were never signed are gone with it, no engine knows of them."""
    with op.batch_alter_table("releases") as releases:
        releases.drop_column("revision")
    with op.batch_alter_table("presence") as presence:
        presence.drop_column("capabilities")
    op.execute("DELETE FROM orders WHERE envelope = ''")
    with op.batch_alter_table("orders") as orders:
        for name in ("claims", "although_held", "message", "given_by", "origin"):
            orders.drop_column(name)
