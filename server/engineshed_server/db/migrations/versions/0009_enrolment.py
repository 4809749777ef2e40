"""Enrolment tokens with terms, engines that wait for approval or take another's place.

Additive: the previous version's code works with the result, so what it does not write has a default.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TOKENS = ("name", "product", "networks", "needs_approval", "replaces", "uses", "revoked")
_ENGINES = ("secret_no", "token_id", "address", "two_hosts_since")


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("enrol_tokens") as tokens:
        tokens.add_column(sa.Column("name", sa.String(length=200), nullable=False, server_default=""))
        tokens.add_column(sa.Column("product", sa.String(length=64), nullable=True))
        tokens.add_column(sa.Column("networks", sa.String(length=1000), nullable=False, server_default=""))
        tokens.add_column(sa.Column("needs_approval", sa.Boolean(), nullable=False, server_default="0"))
        tokens.add_column(sa.Column("replaces", sa.String(length=24), nullable=True))
        tokens.add_column(sa.Column("uses", sa.Integer(), nullable=True))
        tokens.add_column(sa.Column("revoked", types.UtcDateTime(), nullable=True))
    op.execute("UPDATE enrol_tokens SET uses = uses_left")
    with op.batch_alter_table("engines") as engines:
        engines.add_column(sa.Column("secret_no", sa.Integer(), nullable=False, server_default="1"))
        engines.add_column(sa.Column("token_id", sa.String(length=24), nullable=True))
        engines.add_column(sa.Column("address", sa.String(length=64), nullable=True))
        engines.add_column(sa.Column("two_hosts_since", types.UtcDateTime(), nullable=True))
        engines.create_index(op.f("ix_engines_state"), ["state"])
    with op.batch_alter_table("presence") as presence:
        presence.add_column(sa.Column("address", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Take back. Who waits for approval, or was refused it, is revoked: the version before knows no more."""
    op.execute("UPDATE engines SET state = 'revoked' WHERE state IN ('waiting', 'rejected')")
    with op.batch_alter_table("presence") as presence:
        presence.drop_column("address")
    with op.batch_alter_table("engines") as engines:
        engines.drop_index(op.f("ix_engines_state"))
        for name in reversed(_ENGINES):
            engines.drop_column(name)
    with op.batch_alter_table("enrol_tokens") as tokens:
        for name in reversed(_TOKENS):
            tokens.drop_column(name)
