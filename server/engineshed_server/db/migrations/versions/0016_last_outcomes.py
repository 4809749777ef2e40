"""How an engine's last attempt ended is found in the index of its reports, without reading one.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_NARROW = ("engine_id", "received")
_WIDE = (*_NARROW, "ended", "kind", "outcome", "product")


def upgrade() -> None:
    """Apply."""
    op.create_index(op.f(f"ix_reports_{'_'.join(_WIDE)}"), "reports", list(_WIDE))
    op.drop_index(op.f(f"ix_reports_{'_'.join(_NARROW)}"), "reports")


def downgrade() -> None:
    """Take back."""
    op.create_index(op.f(f"ix_reports_{'_'.join(_NARROW)}"), "reports", list(_NARROW))
    op.drop_index(op.f(f"ix_reports_{'_'.join(_WIDE)}"), "reports")
