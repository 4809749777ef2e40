"""Alembic's migrations; run by ``engineshed_server.db.schema``."""
