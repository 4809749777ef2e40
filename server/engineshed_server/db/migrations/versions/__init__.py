"""One file per migration; the names give the order to people, ``down_revision`` to alembic."""
