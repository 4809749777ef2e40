from __future__ import annotations

from dataclasses import replace

from engineshed_packages.versions import Version
from engineshed_server.db import releases
from engineshed_server.db.database import Database
from tests.server.db.rows import NOW
from tests.server.domain.test_decide import target


def stored(database: Database, path: str) -> releases.PackageRecord:
    with database.read() as session:
        found = releases.find_package(session, path)
    assert found is not None
    return found


def test_a_package_comes_back_with_all_its_terms(database: Database) -> None:
    one = target("1.1", floor=Version.parse("1.0"), message="read the notes", severity="critical")
    with database.write() as session:
        releases.add_package(session, one, sha1="c" * 40, now=NOW)
    record = stored(database, one.path)
    assert (record.target, record.state, record.published) == (one, releases.ARRIVING, None)


def test_two_packages_of_a_version_are_one_release(database: Database) -> None:
    with database.write() as session:
        for platform in ("linux-x86_64", "windows-x86_64"):
            releases.add_package(session, target("1.1", platform=platform), sha1="c" * 40, now=NOW)
        assert len(releases.list_packages(session)) == 2


def test_packages_are_listed_the_newest_version_first(database: Database) -> None:
    with database.write() as session:
        for version in ("1.9", "1.10", "1.2"):
            releases.add_package(session, target(version), sha1="c" * 40, now=NOW)
        listed = releases.list_packages(session)
    assert [record.target.version.text for record in listed] == ["1.10", "1.9", "1.2"]


def test_a_package_is_published_once(database: Database) -> None:
    one = target("1.1")
    with database.write() as session:
        releases.add_package(session, one, sha1="c" * 40, now=NOW)
    record = stored(database, one.path)
    with database.write() as session:
        assert releases.publish_package(session, record, target=one, now=NOW)
        assert not releases.publish_package(session, record, target=one, now=NOW)
    assert stored(database, one.path).published == NOW


def test_terms_change_only_when_they_differ(database: Database) -> None:
    one = target("1.1")
    with database.write() as session:
        releases.add_package(session, one, sha1="c" * 40, now=NOW)
    record = stored(database, one.path)
    with database.write() as session:
        assert not releases.change_terms(session, record, target=one)
        assert releases.change_terms(session, record, target=replace(one, withdrawn=True))
    assert stored(database, one.path).target.withdrawn


def test_a_delisted_package_keeps_its_first_publication(database: Database) -> None:
    one = target("1.1")
    with database.write() as session:
        releases.add_package(session, one, sha1="c" * 40, now=NOW)
        releases.publish_package(session, releases.list_packages(session)[0], target=one, now=NOW)
        assert releases.delist_package(session, releases.list_packages(session)[0])
    record = stored(database, one.path)
    assert (record.state, record.published) == (releases.DELISTED, NOW)


def test_a_package_takes_the_place_of_one_of_the_same_version(database: Database) -> None:
    """As when the keys that signed the first were stolen."""
    first, second = target("1.1"), replace(target("1.1.0"), sha256="e" * 64)
    for one in (first, second):
        with database.write() as session:
            releases.add_package(session, one, sha1="c" * 40, now=NOW)
            releases.publish_package(session, releases.list_packages(session)[0], target=one, now=NOW)
    with database.read() as session:
        (record,) = releases.list_packages(session)
    assert (record.target, record.state) == (second, releases.PUBLISHED)
