"""An API token may end by itself, and shows roughly when it was last used.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("api_tokens") as tokens:
        tokens.add_column(sa.Column("expires", types.UtcDateTime(), nullable=True))
        tokens.add_column(sa.Column("used", types.UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("api_tokens") as tokens:
        tokens.drop_column("used")
        tokens.drop_column("expires")
