"""Order keys and portal addresses are configurations; the portal knows which one each engine is at.

Additive: the previous version's code works with the result, as long as no key was changed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply: what every engine knows so far is the first configuration."""
    configurations = op.create_table(
        "configurations",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("active_key", sa.String(length=64), nullable=False),
        sa.Column("standby_key", sa.String(length=64), nullable=False),
        sa.Column("portals", types.LongText, nullable=True),
        sa.Column("created", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_configurations")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    keys = sa.table("order_keys", sa.column("public"), sa.column("role"), sa.column("created"))
    active, standby = keys.alias("active"), keys.alias("standby")
    the_standby = sa.select(standby.c.public).where(standby.c.role == sa.literal_column("'standby'"))
    number: sa.ColumnElement[int] = sa.literal_column("1")
    first = sa.select(number, active.c.public, the_standby.scalar_subquery(), active.c.created).where(
        active.c.role == sa.literal_column("'active'")
    )
    names = ["number", "active_key", "standby_key", "created"]
    op.execute(sa.insert(configurations).from_select(names, first))
    with op.batch_alter_table("engines") as engines:
        engines.add_column(sa.Column("configuration", sa.Integer(), nullable=False, server_default="1"))
    with op.batch_alter_table("orders") as orders:
        orders.add_column(sa.Column("configuration", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Take back: orders to change keys and addresses are gone with it."""
    op.execute("DELETE FROM orders WHERE configuration IS NOT NULL")
    with op.batch_alter_table("orders") as orders:
        orders.drop_column("configuration")
    with op.batch_alter_table("engines") as engines:
        engines.drop_column("configuration")
    op.drop_table("configurations")
