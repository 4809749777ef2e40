"""The vendor's new keys arrive in a bundle: published as one step, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_packages import files
from engineshed_packages.metadata import View, verify_view
from engineshed_packages.sources import FolderSource
from engineshed_server.services import ingest
from engineshed_server.storage import published
from tests.packages.forgery import rotate
from tests.server.portals import House
from tests.vendor import PRODUCT


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def seen_by_an_engine(house: House) -> View:
    return verify_view(
        FolderSource(house.portal.metadata.folder.parent),
        cache=house.vendor.folder / "updater",
        trusted_root=house.vendor.root,
        now=house.now,
    )


@pytest.mark.parametrize("role", ["root", "targets", "online", PRODUCT])
def test_a_portal_follows_to_the_new_key_and_its_engines_too(house: House, role: str) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    done = rotate(house.vendor, role).published
    told = house.ingest_file(house.vendor.metadata_bundle())
    assert (told.code, told.added_metadata) == ("published", True)
    assert seen_by_an_engine(house).root_version == done.root.version
    house.publish("1.1.0")
    assert [target.version.text for target in seen_by_an_engine(house).targets] == ["1.0.0", "1.1.0"]
    assert house.order(engine).package is not None


@pytest.mark.parametrize("dies_at", ["2.root.json", "timestamp.json"])
def test_killed_between_the_root_and_the_timestamp_the_next_start_takes_the_root_back(
    house: House, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    """No engine would take the old timestamp under the new root."""
    house.publish("1.0.0")
    rotate(house.vendor, "online")
    bundle = house.vendor.metadata_bundle()

    def mortal(path: Path, data: bytes) -> None:
        if path.name == dies_at:
            raise Killed
        files.write_file(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(published, "write_file", mortal)
        with pytest.raises(Killed):
            house.ingest_file(bundle)
    again = house.reopen()
    ingest.recover(again.portal, now=again.now)
    assert seen_by_an_engine(again).root_version == 1
    assert again.ingest_file(bundle).code == "published"
    assert seen_by_an_engine(again).root_version == 2


def test_a_bundle_of_before_the_new_keys_adds_no_metadata(house: House) -> None:
    house.publish("1.0.0")
    house.vendor.release("1.1.0")
    older = house.vendor.bundle("1.1.0")
    rotate(house.vendor, "online")
    house.ingest_file(house.vendor.metadata_bundle())
    told = house.ingest_file(older)
    assert (told.added_metadata, [one.version for one in told.releases]) == (False, ["1.1.0"])
    assert seen_by_an_engine(house).root_version == 2
