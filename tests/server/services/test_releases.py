from __future__ import annotations

import pytest

from engineshed_packages.bundle import open_bundle
from engineshed_packages.repository.releases import ReleaseChange
from engineshed_server.errors import NotFound
from engineshed_server.services import releases
from tests.server.portals import House
from tests.server.statements import counted
from tests.vendor import PRODUCT


def test_releases_are_listed_the_newest_first(house: House) -> None:
    for version in ("1.9.0", "1.10.0"):
        house.publish(version)
    assert [one.version for one in releases.list_releases(house.portal)] == ["1.10.0", "1.9.0"]


def test_a_release_has_one_target_per_platform_with_its_sha1(house: House) -> None:
    house.vendor.release("1.0.0", platforms=("windows-x86_64", "linux-x86_64"))
    house.ingest("1.0.0")
    release = releases.show_release(house.portal, PRODUCT, version="1.0.0")
    assert [target.platform for target in release.targets] == ["linux-x86_64", "windows-x86_64"]
    assert [len(package.sha1) for package in release.packages] == [40, 40]


def test_a_release_is_found_in_another_spelling(house: House) -> None:
    house.publish("1.0.0")
    assert releases.show_release(house.portal, PRODUCT, version="1.0").version == "1.0.0"


@pytest.mark.parametrize(
    ("product", "version"), [(PRODUCT, "2.0"), ("other", "1.0.0"), (PRODUCT, "not a version")]
)
def test_what_is_not_published_is_not_found(house: House, product: str, version: str) -> None:
    house.publish("1.0.0")
    with pytest.raises(NotFound) as caught:
        releases.show_release(house.portal, product, version=version)
    assert caught.value.code == "release-unknown"


def test_a_withdrawn_release_is_still_listed_as_such(house: House) -> None:
    house.publish("1.0.0")
    house.vendor.change("1.0.0", ReleaseChange(withdrawn=True))
    house.ingest("1.0.0")
    assert releases.list_releases(house.portal)[0].targets[0].withdrawn


def test_a_known_package_is_found_without_sql(house: House) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    with counted(house.portal.database) as statements:
        assert releases.find_target(house.portal, target.download_name) is not None
    assert statements == []


def test_a_package_another_process_has_just_published_is_found(house: House) -> None:
    late = house.reopen()
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    package = releases.find_target(late.portal, target.download_name)
    late.portal.close()
    assert package is not None
    assert package.listed == target


@pytest.mark.parametrize(
    "name",
    ["", "x", "../../secrets/order.pem", "{path}", "0000.{file}", "a/b/c/" + "d" * 5000, "%s", "\x00"],
)
def test_a_name_that_is_no_packages_finds_nothing(house: House, name: str) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    folder, _, file = target.path.rpartition("/")
    asked = name.format(path=target.path, file=file) if "{" in name else name
    assert releases.find_target(house.portal, asked) is None
    assert releases.find_target(house.portal, f"{folder}/{asked}") is None


def test_published_metadata_is_found_by_name(house: House) -> None:
    house.publish("1.0.0")
    path = releases.find_metadata(house.portal, "timestamp.json")
    assert path is not None
    assert path.read_bytes() == house.portal.metadata.timestamp()


def test_the_newest_release_is_one_that_was_not_withdrawn_on_hold_or_not(house: House) -> None:
    for version in ("1.9.0", "1.10.0"):
        house.publish(version)
    house.vendor.change("1.10.0", ReleaseChange(withdrawn=True, message='as "withdrawn": 0 says'))
    house.ingest("1.10.0")
    newest = releases.find_newest_release(house.portal, PRODUCT)
    assert newest is not None
    assert newest.version == "1.9.0"
    house.vendor.change("1.9.0", ReleaseChange(message='not "withdrawn": 1'))
    house.ingest("1.9.0")
    assert releases.find_newest_release(house.portal, PRODUCT) is not None
    assert releases.find_newest_release(house.portal, "other") is None


def test_releases_of_one_product_come_in_pages_with_the_same_number_of_statements(house: House) -> None:
    for version in ("1.0.0", "1.2.0", "1.10.0"):
        house.vendor.release(version, platforms=("linux-x86_64", "windows-x86_64"))
        house.ingest(version)
    with counted(house.portal.database) as statements:
        first = releases.page_releases(house.portal, limit=2, product=PRODUCT)
    assert ([one.version for one in first.releases], first.after) == (["1.10.0", "1.2.0"], (PRODUCT, "1.2.0"))
    assert [len(one.packages) for one in first.releases] == [2, 2]
    assert len(statements) == 2
    rest = releases.page_releases(house.portal, limit=2, product=PRODUCT, after=first.after)
    assert ([one.version for one in rest.releases], rest.after) == (["1.0.0"], None)
    assert releases.page_releases(house.portal, limit=2, product="other").releases == ()
    assert releases.list_products(house.portal) == (PRODUCT,)


def test_version_txt_is_that_of_the_bundle(house: House) -> None:
    house.vendor.release("1.0.0", platforms=("windows-x86_64", "linux-x86_64"))
    bundle = house.vendor.bundle("1.0.0")
    house.ingest_file(bundle)
    release = releases.show_release(house.portal, PRODUCT, version="1.0.0")
    with open_bundle(bundle) as opened:
        assert release.version_txt.decode() == opened.version_txt()
