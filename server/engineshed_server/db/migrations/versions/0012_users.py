"""People who log in: users, their sessions, links that make an owner; uploads may be a person's.

Additive: the previous version's code works with the result, apart from uploads that a person has begun.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engineshed_server.db import types

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# As 0006 made it: SQLite makes a table anew to change it, also where only the SQL is printed.
_UPLOADS = sa.Table(
    "uploads",
    sa.MetaData(),
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
    sa.ForeignKeyConstraint(["token_id"], ["api_tokens.id"], name="fk_uploads_token_id_api_tokens"),
    sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    sa.Index("ix_uploads_state_not_before", "state", "not_before"),
    sa.Index("ix_uploads_expires", "expires"),
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created", types.UtcDateTime(), nullable=False),
        sa.Column("password_set", types.UtcDateTime(), nullable=False),
        sa.Column("disabled", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("created", types.UtcDateTime(), nullable=False),
        sa.Column("seen", types.UtcDateTime(), nullable=False),
        sa.Column("expires", types.UtcDateTime(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("user_agent", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["user_name"], ["users.name"], name=op.f("fk_sessions_user_name_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sessions_token_hash")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    for column in ("user_name", "seen", "expires"):
        op.create_index(op.f(f"ix_sessions_{column}"), "sessions", [column], unique=False)
    op.create_table(
        "owner_links",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created", types.UtcDateTime(), nullable=False),
        sa.Column("expires", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_owner_links")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    with op.batch_alter_table("uploads", copy_from=_UPLOADS) as uploads:
        uploads.alter_column("token_id", existing_type=sa.String(length=24), nullable=True)
        uploads.add_column(sa.Column("user_name", sa.String(length=64), nullable=True))
        uploads.create_foreign_key(op.f("fk_uploads_user_name_users"), "users", ["user_name"], ["name"])


def downgrade() -> None:
    """Take back: uploads that a person has begun are gone with it."""
    op.execute("DELETE FROM uploads WHERE token_id IS NULL")
    with op.batch_alter_table("uploads") as uploads:
        uploads.drop_constraint(op.f("fk_uploads_user_name_users"), type_="foreignkey")
        uploads.drop_column("user_name")
        uploads.alter_column("token_id", existing_type=sa.String(length=24), nullable=False)
    op.drop_table("owner_links")
    op.drop_table("sessions")
    op.drop_table("users")
