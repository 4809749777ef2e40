"""CI starts from a bare machine: the databases the tests need are there, or are started and ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.server.databases import MARIADB_URL, POSTGRES_URL
from tests.server.jobs.brokers import AMQP_URL

DATABASES = Path(__file__).parents[1] / ".ci" / "databases"
# Prints what it connected to, by the URLs it was given.
CONNECT = f"""
import os, sqlalchemy as sa
import socket, urllib.parse
for name in ({POSTGRES_URL!r}, {MARIADB_URL!r}):
    with sa.create_engine(os.environ[name]).connect() as connection:
        print(connection.dialect.name, connection.scalar(sa.text("SELECT 6 * 7")))
address = urllib.parse.urlsplit(os.environ[{AMQP_URL!r}])
with socket.create_connection((address.hostname, address.port)) as connection:
    connection.sendall(b"AMQP" + bytes((0, 0, 9, 1)))
    connection.settimeout(20)
    print(address.scheme, connection.recv(1) == bytes((1,)))  # it begins with a frame of a method
"""

URLS = (POSTGRES_URL, MARIADB_URL, AMQP_URL)


def environment(**more: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name not in URLS}
    return {**ours, **more}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the servers' users may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_where_no_database_runs_throw_away_ones_are_started_and_ended(open_folder: Path) -> None:
    installed = Path("/usr/lib/postgresql").is_dir() and shutil.which("mariadb-install-db") is not None
    require(installed, "PostgreSQL's and MariaDB's servers")
    require(Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists(), "RabbitMQ's server")
    require(os.geteuid() == 0 and shutil.which("unshare") is not None, "root, for a network of its own")
    command = [DATABASES, sys.executable, "-c", CONNECT]
    # In a network where nobody listens yet.
    alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *map(str, command)]
    done = subprocess.run(
        alone,
        env=environment(TMPDIR=str(open_folder)),
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert (done.returncode, done.stdout) == (0, "postgresql 42\nmariadb 42\namqp True\n"), done.stderr
    assert list(open_folder.iterdir()) == []


@pytest.mark.parametrize("code", [0, 3])
def test_databases_that_were_named_are_used_and_the_commands_code_is_handed_on(code: int) -> None:
    urls = ("postgresql+psycopg://a/b", "mariadb+pymysql://c/d", "amqp://e/f")
    named = environment(**dict(zip(URLS, urls, strict=True)))
    shell = f'echo "${POSTGRES_URL} ${MARIADB_URL} ${AMQP_URL}"; exit {code}'
    done = subprocess.run(
        [DATABASES, "sh", "-c", shell], env=named, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, " ".join(urls) + "\n")
