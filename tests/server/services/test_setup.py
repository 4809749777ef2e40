from __future__ import annotations

import json
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engineshed_packages.order_keys import load_order_signer
from engineshed_server.db import portal as portal_rows
from engineshed_server.db import schema
from engineshed_server.db.database import Database
from engineshed_server.errors import SetupRefused
from engineshed_server.services.setup import initialise
from engineshed_server.storage.folders import Folders
from engineshed_server.wiring import open_portal
from tests.server.portals import settings_for
from tests.vendor import Vendor

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    return Vendor(tmp_path).root


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_for_the_portals_user_only(tmp_path: Path, root: bytes) -> None:
    initialise(settings_for(tmp_path / "data"), root=root, now=NOW)
    folders = Folders(tmp_path / "data")
    assert mode(folders.secrets) == 0o700
    assert {mode(path) for path in (folders.access_key, folders.order_key, folders.standby_order_key)} == {
        0o600
    }


def test_the_database_is_for_the_portals_user_only(tmp_path: Path, root: bytes) -> None:
    settings = settings_for(tmp_path / "data")
    initialise(settings, root=root, now=NOW)
    with closing(open_portal(settings)):
        files = list((tmp_path / "data").glob("engineshed.db*"))
        assert (len(files), {mode(path) for path in files}) == (3, {0o600})


def test_the_standby_key_is_written_out_and_its_public_part_kept(tmp_path: Path, root: bytes) -> None:
    made = initialise(settings_for(tmp_path / "data"), root=root, now=NOW)
    _, standby = load_order_signer(made.standby_key.read_bytes())
    made.standby_key.unlink()
    portal = open_portal(settings_for(tmp_path / "data"))
    assert portal.configuration.standby == standby
    assert portal.configuration.active.fingerprint == made.order_key_fingerprint != standby.fingerprint
    portal.close()


def test_a_second_init_changes_nothing(tmp_path: Path, root: bytes) -> None:
    settings = settings_for(tmp_path / "data")
    initialise(settings, root=root, now=NOW)
    before = {path: path.read_bytes() for path in (tmp_path / "data" / "secrets").iterdir()}
    with pytest.raises(SetupRefused) as caught:
        initialise(settings, root=root, now=NOW)
    assert caught.value.code == "setup-exists"
    assert {path: path.read_bytes() for path in (tmp_path / "data" / "secrets").iterdir()} == before


def test_an_init_that_was_killed_before_its_end_may_run_again(
    tmp_path: Path, root: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path / "data")

    def killed(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(portal_rows, "add_portal", killed)
    with pytest.raises(KeyboardInterrupt):
        initialise(settings, root=root, now=NOW)
    monkeypatch.undo()
    made = initialise(settings, root=root, now=NOW)
    portal = open_portal(settings)
    assert portal.identity.portal_id == made.portal_id
    portal.close()


@pytest.mark.parametrize("data", [b"", b"{}", b"<html>", b'{"signed": {"_type": "root"}, "signatures": []}'])
def test_what_is_no_root_is_refused_before_anything_is_made(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SetupRefused) as caught:
        initialise(settings_for(tmp_path / "data"), root=data, now=NOW)
    assert caught.value.code == "setup-root"
    assert not (tmp_path / "data").exists()


def test_other_metadata_than_a_root_is_refused(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path)
    data = (vendor.repository.metadata / "timestamp.json").read_bytes()
    with pytest.raises(SetupRefused) as caught:
        initialise(settings_for(tmp_path / "data"), root=data, now=NOW)
    assert caught.value.code == "setup-root"


def test_an_altered_root_is_refused(tmp_path: Path, root: bytes) -> None:
    document = json.loads(root)
    document["signed"]["version"] = 7
    with pytest.raises(SetupRefused) as caught:
        initialise(settings_for(tmp_path / "data"), root=json.dumps(document).encode(), now=NOW)
    assert caught.value.code == "setup-root"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, root: bytes) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SetupRefused) as caught:
        initialise(settings_for(tmp_path / "file" / "data"), root=root, now=NOW)
    assert caught.value.code == "setup-folder"


def test_the_database_is_made_at_the_newest_schema(tmp_path: Path, root: bytes) -> None:
    settings = settings_for(tmp_path / "data")
    initialise(settings, root=root, now=NOW)
    database = Database(settings.database_url)
    assert schema.check(database) == ()
    database.close()
