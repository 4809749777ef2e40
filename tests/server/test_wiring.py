from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from engineshed_packages.locks import exclusive
from engineshed_server.errors import SetupRefused
from engineshed_server.services import releases
from engineshed_server.settings import Settings
from engineshed_server.wiring import open_portal, start_background
from tests.server.portals import House, MakePortal, settings_for
from tests.server.services.test_ingest_kills import Killed, kill_at


def refusal(settings: Settings) -> str:
    with pytest.raises(SetupRefused) as caught:
        open_portal(settings)
    return caught.value.code


def test_a_folder_without_a_portal_is_refused(tmp_path: Path) -> None:
    assert refusal(settings_for(tmp_path)) == "setup-missing"


@pytest.mark.parametrize("name", ["trusted_root.json", "secrets/access.key"])
def test_a_portal_that_lacks_a_file_is_refused(house: House, name: str) -> None:
    (house.portal.folders.data / name).unlink()
    assert refusal(house.portal.settings) == "setup-missing"


def test_an_order_key_that_is_gone_or_cannot_be_read_is_refused(house: House) -> None:
    house.portal.folders.order_key.write_bytes(b"not a key")
    assert refusal(house.portal.settings) == "order-key-lost"
    house.portal.folders.order_key.unlink()
    assert refusal(house.portal.settings) == "order-key-lost"


def test_a_ca_file_that_is_not_there_is_refused(house: House, tmp_path: Path) -> None:
    flags = {"portal__ca_file": str(tmp_path / "absent.pem")}
    assert refusal(settings_for(house.portal.folders.data, **flags)) == "setup-ca-file"


def test_a_database_that_needs_an_upgrade_is_refused(house: House) -> None:
    with house.portal.database.write() as session:
        session.execute(text("DELETE FROM alembic_version"))
    assert refusal(house.portal.settings) == "database-outdated"


def test_an_opened_portal_knows_its_releases_at_once(house: House) -> None:
    house.publish("1.0.0")
    other = house.reopen()
    assert other.portal.snapshot.current().candidates != {}
    other.portal.close()


def test_a_serving_process_finishes_what_a_killed_ingest_left(house: House) -> None:
    house.vendor.release("1.0.0")
    with pytest.raises(Killed):
        house.ingest("1.0.0", reached=kill_at("timestamp-written"))
    start_background(house.portal).stop()
    assert [release.version for release in releases.list_releases(house.portal)] == ["1.0.0"]


def test_a_serving_process_does_not_wait_for_an_ingest(house: House) -> None:
    with exclusive(house.portal.folders.ingest_lock, wait_s=0):
        start_background(house.portal).stop()


def test_each_thread_may_look_while_it_writes_and_so_may_the_background(make_portal: MakePortal) -> None:
    database = make_portal(web__threads=16).portal.database
    with ExitStack() as stack:
        for _ in range(2 * 16 + 2):
            stack.enter_context(database.read()).execute(text("SELECT 1"))
