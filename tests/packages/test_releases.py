"""Releases: the same bytes again, other bytes, other terms, and what may change later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engineshed_packages.archive import Item, open_archive, write_archive
from engineshed_packages.errors import KeyUnusable, PackagesError, Refused, ReleaseRefused
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms, add_release, change_release
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from tests.packages.forgery import contents
from tests.vendor import PRODUCT, Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


def listed(vendor: Vendor) -> tuple[Target, ...]:
    return vendor.view(vendor.folder / "cache").targets


def refusal(vendor: Vendor, packages: list[Path], terms: ReleaseTerms | None = None) -> str:
    """The code of a release that must not be published, having checked that nothing changed."""
    before = contents(vendor.repository.folder)
    with pytest.raises(PackagesError) as caught:
        add_release(vendor.repository, vendor.keys, packages, terms or ReleaseTerms(), now=vendor.tick())
    assert contents(vendor.repository.folder) == {".lock": b"", **before}
    return caught.value.code


def test_a_release_is_listed_with_its_terms(vendor: Vendor) -> None:
    terms = ReleaseTerms(
        channel="beta",
        severity="critical",
        mode="manual",
        min_version=Version.parse("0.9"),
        floor=Version.parse("0.8"),
        message="Fixes a leak.",
    )
    target = vendor.release("1.0.0", terms=terms)
    assert listed(vendor) == (target,)
    assert (target.channel, target.severity, target.mode) == ("beta", "critical", "manual")
    assert (target.min_version, target.floor) == (Version.parse("0.9"), Version.parse("0.8"))
    assert (target.message, target.withdrawn, target.published) == ("Fixes a leak.", False, vendor.now)


def test_a_package_lies_under_its_digest(vendor: Vendor) -> None:
    target = vendor.release("1.0.0")
    assert vendor.package_bytes(target) == vendor.package("1.0.0").read_bytes()
    assert target.sha256 in target.download_name


def test_a_release_of_several_platforms_is_published_together(vendor: Vendor) -> None:
    vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    assert [target.platform for target in listed(vendor)] == ["linux-x86_64", "windows-x86_64"]


def test_the_same_release_again_changes_nothing(vendor: Vendor) -> None:
    target = vendor.release("1.0.0")
    before = contents(vendor.repository.folder)
    again = add_release(
        vendor.repository, vendor.keys, [vendor.package("1.0.0")], ReleaseTerms(), now=vendor.tick()
    )
    assert again.changed is False
    assert contents(vendor.repository.folder) == before
    assert target.published < vendor.now


def test_a_platform_may_be_added_to_a_release(vendor: Vendor) -> None:
    vendor.release("1.0.0", platforms=("linux-x86_64",))
    vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    assert len(listed(vendor)) == 2


def test_other_bytes_under_a_published_version_are_refused(vendor: Vendor) -> None:
    vendor.release("1.0.0")
    other = vendor.package("1.0.0", files={"new.txt": b"other"})
    assert refusal(vendor, [other]) == "release-other-bytes"


def test_the_same_bytes_under_other_terms_are_refused(vendor: Vendor) -> None:
    vendor.release("1.0.0")
    code = refusal(vendor, [vendor.package("1.0.0")], ReleaseTerms(mode="manual"))
    assert code == "release-published"


def test_a_version_is_not_published_a_second_time_written_otherwise(vendor: Vendor) -> None:
    vendor.release("3.4")
    assert refusal(vendor, [vendor.package("3.4.0")]) == "release-version-text"


def test_packages_of_two_versions_are_no_release(vendor: Vendor) -> None:
    vendor.refresh()
    assert refusal(vendor, [vendor.package("1.0.0"), vendor.package("2.0.0")]) == "release-mixed"


def test_no_package_is_no_release(vendor: Vendor) -> None:
    vendor.refresh()
    assert refusal(vendor, []) == "release-mixed"


def test_the_same_platform_twice_is_no_release(vendor: Vendor) -> None:
    vendor.refresh()
    package = vendor.package("1.0.0")
    assert refusal(vendor, [package, package]) == "release-mixed"


def test_a_product_that_was_not_set_up_is_refused(vendor: Vendor) -> None:
    vendor.refresh()
    assert refusal(vendor, [vendor.package("1.0.0", product="other")]) == "product-unknown"


def test_a_floor_above_the_release_is_refused(vendor: Vendor) -> None:
    vendor.refresh()
    terms = ReleaseTerms(floor=Version.parse("1.0.1"))
    assert refusal(vendor, [vendor.package("1.0.0")], terms) == "release-floor"


def test_a_zip_that_is_no_package_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    vendor.refresh()
    stray = tmp_path / "stray.zip"
    write_archive(stray, [Item.of_bytes("a.txt", b"x")])
    assert refusal(vendor, [stray]) == "package-mismatch"


def test_a_package_that_is_no_zip_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    vendor.refresh()
    stray = tmp_path / "stray.zip"
    stray.write_bytes(b"no zip at all" * 10)
    assert refusal(vendor, [stray]) == "archive-not-zip"


def test_a_package_whose_content_is_not_its_manifests_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    """The zip is sound and all sizes fit; only the digest in the manifest tells."""
    vendor.refresh()
    good, forged = vendor.package("1.0.0"), tmp_path / "forged.zip"
    with open_archive(good) as archive:
        items = [
            Item.of_bytes(entry.name, archive.read(entry.name, max_bytes=10**6), mode=entry.mode)
            for entry in archive.entries
        ]
    items = [Item.of_bytes("VERSION", b"6.6.6") if item.name == "VERSION" else item for item in items]
    write_archive(forged, items)
    assert refusal(vendor, [forged]) == "content-sha256"


def test_a_release_needs_the_products_key(vendor: Vendor) -> None:
    vendor.refresh()
    (vendor.keys.folder / f"product-{PRODUCT}.pem").unlink()
    assert refusal(vendor, [vendor.package("1.0.0")]) == "key-missing"


def test_a_release_needs_neither_root_nor_targets_key(vendor: Vendor) -> None:
    for name in ("root-1.pem", "targets.pem"):
        (vendor.keys.folder / name).unlink()
    vendor.release("1.0.0")
    assert len(listed(vendor)) == 1


# --- notes


def test_notes_are_published_beside_the_package(vendor: Vendor, tmp_path: Path) -> None:
    notes = vendor.notes()
    target = vendor.release("1.0.0", terms=ReleaseTerms(notes=notes))
    assert target.notes == f"{PRODUCT}/1.0.0/{PRODUCT}-1.0.0-notes.json"
    found = vendor.view(tmp_path / "cache").notes[target.notes]
    assert (vendor.repository.targets / found.download_name).read_bytes() == notes.read_bytes()


def test_other_notes_for_a_published_version_are_refused(vendor: Vendor) -> None:
    vendor.release("1.0.0", terms=ReleaseTerms(notes=vendor.notes()))
    others = ReleaseTerms(notes=vendor.notes("Something else."))
    assert refusal(vendor, [vendor.package("1.0.0")], others) == "release-other-bytes"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("# Release 1.0.0", "notes-unreadable"),
        ('{"format": 1, "languages": {}}', "notes-unreadable"),
        ('{"format": 2, "languages": {"en": {"notes": "x"}}}', "notes-format-unknown"),
    ],
)
def test_notes_nobody_could_read_are_refused_and_named(
    vendor: Vendor, tmp_path: Path, content: str, code: str
) -> None:
    vendor.refresh()
    notes = tmp_path / "notes.json"
    notes.write_text(content)
    package = vendor.package("1.0.0")
    with pytest.raises(ReleaseRefused, match=r"notes\.json: "):
        add_release(vendor.repository, vendor.keys, [package], ReleaseTerms(notes=notes), now=vendor.tick())
    assert refusal(vendor, [package], ReleaseTerms(notes=notes)) == code


def test_notes_that_are_not_there_are_refused(vendor: Vendor, tmp_path: Path) -> None:
    vendor.refresh()
    terms = ReleaseTerms(notes=tmp_path / "absent.json")
    assert refusal(vendor, [vendor.package("1.0.0")], terms) == "file-missing"


# --- changing


@pytest.mark.parametrize(
    "change",
    [
        ReleaseChange(channel="beta"),
        ReleaseChange(severity="critical"),
        ReleaseChange(floor=Version.parse("0.5")),
        ReleaseChange(withdrawn=True),
        ReleaseChange(message="Do not use."),
    ],
)
def test_what_may_change_of_a_release_changes_for_all_its_packages_and_nothing_else(
    vendor: Vendor, change: ReleaseChange
) -> None:
    vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    before = listed(vendor)
    vendor.change("1.0.0", change)
    (name,) = (name for name in change.__slots__ if getattr(change, name) not in (None, ()))
    assert listed(vendor) == tuple(replace(target, **{name: getattr(change, name)}) for target in before)


def test_a_withdrawn_release_can_be_offered_again(vendor: Vendor) -> None:
    vendor.release("1.0.0")
    vendor.change("1.0.0", ReleaseChange(withdrawn=True))
    assert vendor.change("1.0.0", ReleaseChange(withdrawn=False)).withdrawn is False


def test_a_change_to_what_is_already_so_publishes_nothing(vendor: Vendor) -> None:
    vendor.release("1.0.0")
    before = contents(vendor.repository.folder)
    vendor.change("1.0.0", ReleaseChange(channel="stable"))
    assert contents(vendor.repository.folder) == before


def test_a_change_of_an_unknown_release_is_refused(vendor: Vendor) -> None:
    with pytest.raises(Refused) as caught:
        vendor.change("9.9.9", ReleaseChange(withdrawn=True))
    assert caught.value.code == "release-unknown"


def test_a_change_needs_the_products_key(vendor: Vendor) -> None:
    vendor.release("1.0.0")
    (vendor.keys.folder / f"product-{PRODUCT}.pem").unlink()
    with pytest.raises(KeyUnusable):
        change_release(
            vendor.repository,
            vendor.keys,
            PRODUCT,
            Version.parse("1.0.0"),
            ReleaseChange(withdrawn=True),
            now=vendor.tick(),
        )
