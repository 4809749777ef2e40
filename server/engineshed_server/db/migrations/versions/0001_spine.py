"""The tables of the first release.

Additive: the previous version's code works with the result.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from engineshed_server.db import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("created", types.UtcDateTime(), nullable=False),
        sa.Column("revoked", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "audit",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=400), nullable=False),
        sa.Column("details", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "engines",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("group_name", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("host_name", sa.String(length=200), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("version_at", types.UtcDateTime(), nullable=False),
        sa.Column("enrolled", types.UtcDateTime(), nullable=False),
        sa.Column("revoked", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engines")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "enrol_tokens",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("group_name", sa.String(length=64), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("expires", types.UtcDateTime(), nullable=False),
        sa.Column("created", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrol_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_enrol_tokens_token_hash")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "floors",
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("product", name=op.f("pk_floors")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "notes",
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("length_bytes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("arrived", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_notes")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "order_keys",
        sa.Column("keyid", sa.String(length=64), nullable=False),
        sa.Column("public", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("keyid", name=op.f("pk_order_keys")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "portal",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("portal_id", sa.String(length=24), nullable=False),
        sa.Column("generation", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_portal")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "releases",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("version_key", sa.String(length=200), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("arrived", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_releases")),
        sa.UniqueConstraint("product", "version_key", name=op.f("uq_releases_product_version_key")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "repositories",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("seen", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.Column("expires", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_repositories")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "throttles",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed", types.UtcDateTime(), nullable=False),
        sa.Column("wait_until", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_throttles")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("engine_id", sa.String(length=24), nullable=False),
        sa.Column("keyid", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("do", sa.String(length=32), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("open_engine", sa.String(length=24), nullable=True),
        sa.Column("envelope", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.Column("issued", types.UtcDateTime(), nullable=False),
        sa.Column("accept_before", types.UtcDateTime(), nullable=False),
        sa.Column("closed", types.UtcDateTime(), nullable=True),
        sa.Column("answer", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["engine_id"], ["engines.id"], name=op.f("fk_orders_engine_id_engines")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("engine_id", "keyid", "seq", name=op.f("uq_orders_engine_id_keyid_seq")),
        sa.UniqueConstraint("open_engine", name=op.f("uq_orders_open_engine")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "packages",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("release_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sha1", sa.String(length=40), nullable=False),
        sa.Column("length_bytes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("custom", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("published", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name=op.f("fk_packages_release_id_releases")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packages")),
        sa.UniqueConstraint("path", name=op.f("uq_packages_path")),
        sa.UniqueConstraint("release_id", "platform", name=op.f("uq_packages_release_id_platform")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    with op.batch_alter_table("packages", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_packages_sha256"), ["sha256"], unique=False)

    op.create_table(
        "presence",
        sa.Column("engine_id", sa.String(length=24), nullable=False),
        sa.Column("seen", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("measured_version", sa.String(length=64), nullable=True),
        sa.Column("updater_version", sa.String(length=64), nullable=False),
        sa.Column("updater_state", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.String(length=24), nullable=True),
        sa.Column("health", sa.String(length=16), nullable=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("boot", sa.String(length=64), nullable=False),
        sa.Column("boots", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.Column("skipped", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.Column("attributes", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=True),
        sa.ForeignKeyConstraint(["engine_id"], ["engines.id"], name=op.f("fk_presence_engine_id_engines")),
        sa.PrimaryKeyConstraint("engine_id", name=op.f("pk_presence")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    op.create_table(
        "reports",
        sa.Column("engine_id", sa.String(length=24), nullable=False),
        sa.Column("attempt", sa.String(length=24), nullable=False),
        sa.Column("order_id", sa.String(length=24), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.Column("from_version", sa.String(length=64), nullable=True),
        sa.Column("to_version", sa.String(length=64), nullable=True),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("measured_version", sa.String(length=64), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("probed", sa.Boolean(), nullable=False),
        sa.Column("updater_version", sa.String(length=64), nullable=False),
        sa.Column("steps", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.Column("update_log", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.Column("engine_log", sa.Text().with_variant(mysql.LONGTEXT(), "mariadb"), nullable=False),
        sa.Column("started", types.UtcDateTime(), nullable=False),
        sa.Column("ended", types.UtcDateTime(), nullable=False),
        sa.Column("received", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["engine_id"], ["engines.id"], name=op.f("fk_reports_engine_id_engines")),
        sa.PrimaryKeyConstraint("engine_id", "attempt", name=op.f("pk_reports")),
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_nopad_bin",
        mariadb_engine="InnoDB",
    )
    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_reports_engine_id_received"), ["engine_id", "received"], unique=False
        )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reports_engine_id_received"))

    op.drop_table("reports")
    op.drop_table("presence")
    with op.batch_alter_table("packages", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_packages_sha256"))

    op.drop_table("packages")
    op.drop_table("orders")
    op.drop_table("throttles")
    op.drop_table("repositories")
    op.drop_table("releases")
    op.drop_table("portal")
    op.drop_table("order_keys")
    op.drop_table("notes")
    op.drop_table("floors")
    op.drop_table("enrol_tokens")
    op.drop_table("engines")
    op.drop_table("audit")
    op.drop_table("api_tokens")
