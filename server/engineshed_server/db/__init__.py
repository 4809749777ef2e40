"""The database: the only package that imports SQLAlchemy. Queries by topic; records, not rows, go out."""
