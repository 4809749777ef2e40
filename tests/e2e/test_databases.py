"""A portal with several processes on PostgreSQL and on MariaDB, set up as the documents say."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from engineshed_packages.enrolment import EnrolLine, EnrolRequest
from engineshed_packages.errors import PackagesError
from engineshed_packages.transport import HttpClient
from tests.e2e.documented_databases import KINDS, DatabaseUrls, documented_database
from tests.e2e.sample_parties import EngineHost, PortalProcess, SampleVendor

PRODUCT = "sample-engine"
WORKERS = 2
MAX_ANSWER_BYTES = 100_000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> SampleVendor:
    made = SampleVendor(tmp_path_factory.mktemp("support"), products=(PRODUCT,))
    made.release(PRODUCT, "1.0.0")
    return made


@pytest.fixture(scope="module", params=KINDS)
def urls(request: pytest.FixtureRequest) -> Iterator[DatabaseUrls]:
    with documented_database(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def portal(
    tmp_path_factory: pytest.TempPathFactory, vendor: SampleVendor, urls: DatabaseUrls
) -> Iterator[PortalProcess]:
    folder = tmp_path_factory.mktemp("portal")
    made = PortalProcess(
        folder, vendor.root_file, workers=WORKERS, database_url=urls.portal, owner_url=urls.owner
    )
    with made:
        yield made
    assert not list(folder.rglob("engineshed.db*"))
    assert "Traceback" not in made.log.read_text("utf-8")


def test_an_engine_is_brought_to_the_release_that_was_uploaded(
    tmp_path: Path, portal: PortalProcess, vendor: SampleVendor
) -> None:
    assert len(psutil.Process(portal.pid).children(recursive=True)) >= WORKERS
    with EngineHost(tmp_path / "base", product=PRODUCT, root_file=vendor.root_file) as host:
        done = host.enrol(portal.lasting_line)
        assert done.returncode == 0, done.stderr
        done = host.client("install", str(vendor.vendor.bundle("1.0.0", product=PRODUCT)))
        assert done.returncode == 0, done.stderr
        portal.upload(vendor.bundle(PRODUCT, "1.1.0"))
        done = host.client("update")
        assert done.returncode == 0, done.stderr
        shown = portal.engine(host.engine_id)
        explained = portal.run("engine", "explain", host.engine_id)
    newest = shown["attempts"][0]
    assert (newest["outcome"], newest["from"], newest["to"]) == ("OK", "1.0.0", "1.1.0")
    assert shown["version"] == "1.1.0"
    assert "1.1.0 is the newest" in explained


def test_of_many_hosts_at_once_as_many_join_as_the_token_has_uses(portal: PortalProcess) -> None:
    token = EnrolLine.parse(portal.line("--uses", "3")).token

    def join(number: int) -> str:
        request = EnrolRequest(
            token=token,
            product=PRODUCT,
            platform="linux-x86_64",
            version=None,
            host_name=f"host-{number}",
            updater_version="0.1.0",
        )
        try:
            with HttpClient() as client:
                client.post_json(f"{portal.url}/api/v1/enrol", request.to_bytes(), max_bytes=MAX_ANSWER_BYTES)
        except PackagesError as err:
            return err.code
        return "joined"

    with ThreadPoolExecutor(8) as threads:
        answers = sorted(threads.map(join, range(8)))
    assert answers == ["http-401"] * 5 + ["joined"] * 3


def test_the_portals_own_user_finds_the_schema_right_and_may_not_change_it(
    portal: PortalProcess, urls: DatabaseUrls
) -> None:
    assert portal.run("db", "check") == ""
    engine = sa.create_engine(urls.portal, poolclass=sa.NullPool)
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match=r"denied|must be owner"):
        connection.execute(sa.text("DROP TABLE audit"))
