"""Notes of releases: stored and served like packages, and never a reason to refuse a release."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from engineshed_packages.digests import sha256_file
from engineshed_packages.metadata import NotesFile
from engineshed_packages.notes import MAX_NOTES_BYTES
from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_packages.target import consistent_name
from engineshed_server.errors import Conflict, NotFound, Refused
from engineshed_server.services import releases
from tests.server.portals import House
from tests.server.services.test_ingest_refusals import refusal, rewritten
from tests.vendor import PRODUCT, Vendor, twin_of

PATH = f"{PRODUCT}/1.0.0/{PRODUCT}-1.0.0-notes.json"


def release(house: House) -> Path:
    """The vendor's 1.0.0 with notes; its bundle."""
    house.vendor.release("1.0.0", terms=ReleaseTerms(notes=house.vendor.notes()))
    return house.vendor.bundle("1.0.0")


def shown(house: House) -> NotesFile | None:
    return releases.show_release(house.portal, PRODUCT, version="1.0.0").notes


def stored(house: House) -> Path:
    notes = shown(house)
    assert notes is not None
    found = releases.find_target(house.portal, notes.download_name)
    assert found is not None
    return found.path


def test_the_notes_of_a_release_are_published_with_it(house: House) -> None:
    house.ingest_file(release(house))
    assert stored(house).read_bytes() == house.vendor.notes().read_bytes()
    assert house.audited()[2:4] == ["package-stored", "notes-stored"]


def test_a_release_without_notes_has_none(house: House) -> None:
    house.publish("1.0.0")
    assert shown(house) is None


def test_the_same_bundle_with_notes_twice_changes_nothing(house: House) -> None:
    bundle = release(house)
    house.ingest_file(bundle)
    audited = house.audited()
    assert house.ingest_file(bundle).code == "unchanged"
    assert house.audited() == audited


def test_notes_that_come_with_both_platforms_are_stored_once(house: House) -> None:
    terms = ReleaseTerms(notes=house.vendor.notes())
    house.vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"), terms=terms)
    for platform in ("linux-x86_64", "windows-x86_64"):
        house.ingest_file(house.vendor.bundle("1.0.0", platforms=(platform,)))
    assert stored(house).is_file()
    assert house.audited().count("notes-stored") == 1


def test_notes_that_were_missing_in_a_bundle_come_with_the_next(house: House) -> None:
    whole = release(house)

    def strip(entries: dict[str, bytes]) -> None:
        del entries[notes_name(entries)]

    assert house.ingest_file(rewritten(whole, strip)).code == "published"
    assert shown(house) is None
    assert house.ingest_file(whole).code == "published"
    assert stored(house).is_file()


def notes_name(entries: dict[str, bytes]) -> str:
    return next(name for name in entries if name.endswith("-notes.json"))


def test_an_older_bundle_brings_its_notes_too(house: House) -> None:
    older = release(house)
    house.publish("1.1.0")
    house.ingest_file(older)
    assert stored(house).is_file()


def test_altered_notes_are_refused_and_nothing_is_written(house: House) -> None:
    def alter(entries: dict[str, bytes]) -> None:
        name = notes_name(entries)
        entries[name] = entries[name].replace(b"backup", b"coffee")

    assert refusal(house, rewritten(release(house), alter)) == "content-mismatch"


def test_altered_notes_are_refused_also_when_the_right_ones_are_here(house: House) -> None:
    def alter(entries: dict[str, bytes]) -> None:
        name = notes_name(entries)
        entries[name] = entries[name].replace(b"backup", b"coffee")

    bundle = release(house)
    house.ingest_file(bundle)
    assert refusal(house, rewritten(bundle, alter)) == "content-mismatch"


def test_notes_that_were_lost_come_back_with_their_bundle(house: House) -> None:
    bundle = release(house)
    house.ingest_file(bundle)
    stored(house).unlink()
    notes = shown(house)
    assert notes is not None
    with pytest.raises(NotFound) as caught:
        releases.read_notes(house.portal, notes)
    assert caught.value.code == "bytes-missing"
    house.ingest_file(bundle)
    assert list(releases.read_notes(house.portal, notes).languages) == ["en"]


def test_other_notes_for_a_version_are_a_conflict(house: House, tmp_path: Path) -> None:
    twin = twin_of(house.vendor, tmp_path)
    package = house.vendor.package("1.0.0")
    house.vendor.release("1.0.0", packages=[package], terms=ReleaseTerms(notes=house.vendor.notes()))
    house.ingest("1.0.0")
    twin.release("0.9.0")
    twin.now = house.vendor.now - timedelta(seconds=1)  # the very same package, with its date
    twin.release("1.0.0", packages=[package], terms=ReleaseTerms(notes=twin.notes("Other words.")))
    with pytest.raises(Conflict) as caught:
        house.ingest_file(twin.bundle("1.0.0"))
    assert caught.value.code == "release-other-bytes"
    assert PATH in caught.value.message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"format": 2, "pages": []}', "notes-format-unknown"),
        (b"# no JSON", "notes-unreadable"),
        (b" " * (MAX_NOTES_BYTES + 1), "file-too-large"),
    ],
)
def test_notes_this_version_cannot_read_are_served_and_not_shown(
    house: House, tmp_path: Path, content: bytes, code: str
) -> None:
    file = tmp_path / "later.json"
    file.write_bytes(content)
    house.vendor.release("1.0.0")
    sign_notes(house.vendor, file, path=PATH)
    done = house.ingest("1.0.0")
    assert done.code == "published"
    assert done.notices[0].startswith(f"{PATH} was stored, but cannot be shown here: ")
    assert stored(house).read_bytes() == content
    notes = shown(house)
    assert notes is not None
    with pytest.raises(Refused) as caught:
        releases.read_notes(house.portal, notes)
    assert caught.value.code == code


def sign_notes(vendor: Vendor, file: Path, *, path: str) -> None:
    """Give the published release notes past the vendor's own checks, as a later version's tools may."""
    sha256 = sha256_file(file)
    with vendor.repository.draft() as draft:
        role = draft.change(draft.base.role_for(path))
        vendor.repository.add_file(draft, consistent_name(path, sha256), file)
        role.targets[path] = TargetFile(file.stat().st_size, {"sha256": sha256}, path)
        for target in role.targets.values():
            if target.custom is not None:
                target.unrecognized_fields["custom"] = {**target.custom, "notes": path}
        vendor.repository.publish(draft, vendor.keys, vendor.tick())
