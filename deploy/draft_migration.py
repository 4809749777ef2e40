"""Drafts a database migration: what the models have and the last migration does not. For developers.

    make migration ARGS="orders get a note"

A scratch database is brought to the last migration and compared with the models; the new file is the next
number in `db/migrations/versions`. It is a draft: read it, and make sure that the previous version's code
works with it.
"""

import re
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from engineshed_server.db import schema
from engineshed_server.db.database import Database
from engineshed_server.db.migrating import migrating


def main(argv: list[str]) -> int:
    message = " ".join(argv).strip()
    if not message:
        print('usage: make migration ARGS="what changes"', file=sys.stderr)
        return 2
    print(draft(message))
    return 0


def draft(message: str) -> Path:
    """Writes the draft and returns its path."""
    versions = schema.MIGRATIONS / "versions"
    number = f"{len(list(versions.glob('[0-9]*.py'))) + 1:04}"
    slug = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")[:40]
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))
    config.set_main_option("file_template", f"{number}_{slug}")
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite+pysqlite:///{folder}/scratch.db")
        try:
            schema.upgrade(database)
            with migrating(database.url) as connection:
                config.attributes[schema.CONNECTION] = connection
                title = message[:1].upper() + message[1:]
                command.revision(config, title, autogenerate=True, rev_id=number)
        finally:
            database.close()
    return versions / f"{number}_{slug}.py"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
