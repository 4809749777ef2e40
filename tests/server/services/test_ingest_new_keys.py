"""The vendor's new keys arrive in a bundle: published as one step, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_packages import files
from engineshed_packages.metadata import View, verify_view
from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_packages.sources import FolderSource
from engineshed_packages.versions import Version
from engineshed_server.errors import Conflict
from engineshed_server.services import ingest, releases
from engineshed_server.storage import published
from tests.packages.forgery import rotate
from tests.server.portals import House
from tests.vendor import PRODUCT, Vendor


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


def poisoned(house: House, tmp_path: Path) -> Vendor:
    """A portal with a thief's 1.1.0, notes and floor; the vendor has replaced the keys he stole."""
    house.publish("1.0.0")
    thief = house.vendor.copy(tmp_path / "thief")
    terms = ReleaseTerms(floor=Version.parse("1.1.0"), notes=thief.notes("Trust me."))
    thief.release("1.1.0", files={"evil": b"evil"}, terms=terms)
    house.ingest_file(thief.bundle("1.1.0"))
    for role in (PRODUCT, "online"):
        rotate(house.vendor, role)
    return thief


@pytest.mark.parametrize("first", ["the metadata alone", "the release at once"])
def test_a_version_that_a_thief_had_used_is_taken_from_the_vendor_under_new_keys(
    house: House, tmp_path: Path, first: str
) -> None:
    poisoned(house, tmp_path)
    engine = house.enrol(version="0.9")
    if first == "the metadata alone":
        house.ingest_file(house.vendor.metadata_bundle())
        assert [one.version for one in releases.list_releases(house.portal)] == ["1.0.0"]
    target = house.vendor.release("1.1.0", terms=ReleaseTerms(notes=house.vendor.notes()))
    done = house.ingest("1.1.0")
    assert [one.version for one in done.releases] == ["1.1.0"]
    order = house.order(engine, version="0.9")
    assert order.package is not None
    assert order.package.sha256 == target.sha256
    newest = releases.list_releases(house.portal)[0]
    assert newest.notes is not None
    assert "backup" in releases.read_notes(house.portal, newest.notes).languages["en"].message
    assert house.ingest("1.1.0").code == "unchanged"


def test_a_floor_that_a_thief_raised_is_forgotten_under_new_keys(house: House, tmp_path: Path) -> None:
    poisoned(house, tmp_path)
    engine = house.enrol(version="0.9")
    house.ingest_file(house.vendor.metadata_bundle())
    order = house.order(engine, version="0.9")
    assert order.package is not None
    assert order.package.version.text == "1.0.0"
    assert "product-keys-changed" in house.audited()


def test_other_bytes_of_a_version_are_a_conflict_while_the_same_keys_sign(
    house: House, tmp_path: Path
) -> None:
    house.publish("1.0.0")
    other = house.vendor.copy(tmp_path / "other")
    other.release("1.1.0", files={"other": b"other"})
    house.ingest_file(other.bundle("1.1.0"))
    house.vendor.release("1.1.0")
    house.vendor.release("1.2.0")
    with pytest.raises(Conflict) as caught:
        house.ingest("1.1.0")
    assert caught.value.code == "release-other-bytes"


def test_a_bundle_of_before_the_new_keys_adds_no_metadata(house: House) -> None:
    house.publish("1.0.0")
    house.vendor.release("1.1.0")
    older = house.vendor.bundle("1.1.0")
    rotate(house.vendor, "online")
    house.ingest_file(house.vendor.metadata_bundle())
    told = house.ingest_file(older)
    assert (told.added_metadata, [one.version for one in told.releases]) == (False, ["1.1.0"])
    assert seen_by_an_engine(house).root_version == 2
