from __future__ import annotations

import re
from datetime import timedelta

from engineshed_server.services.about import show_about
from engineshed_server.services.libraries import installed_libraries
from tests.server.databases import DatabaseKind
from tests.server.portals import House

NAMES = {
    DatabaseKind.SQLITE: "SQLite",
    DatabaseKind.POSTGRESQL: "PostgreSQL",
    DatabaseKind.MARIADB: "MariaDB",
}


def test_the_database_says_what_it_is(house: House, database_kind: DatabaseKind) -> None:
    told = show_about(house.portal, now=house.now).database
    assert re.match(rf"{NAMES[database_kind]} \d+\.\d+", told)


def test_before_the_first_bundle_there_are_no_roles(house: House) -> None:
    about = show_about(house.portal, now=house.now)
    assert (about.roles, about.fault) == ((), None)


def test_each_role_has_its_version_and_its_days_left(house: House) -> None:
    house.publish("1.0.0")
    about = show_about(house.portal, now=house.now)
    assert [role.name for role in about.roles][:3] == ["root", "timestamp", "snapshot"]
    last = about.roles[1]
    assert last.days_left == (last.expires - house.now) / timedelta(days=1)
    assert last.days_left > 0
    later = show_about(house.portal, now=last.expires + timedelta(days=2)).roles[1]
    assert (later.version, later.days_left) == (last.version, -2)


def test_metadata_that_cannot_be_read_is_told_and_the_rest_is_there(house: House) -> None:
    house.publish("1.0.0")
    (house.portal.metadata.folder / "timestamp.json").write_text("{")
    about = show_about(house.portal, now=house.now)
    assert about.roles == ()
    assert about.fault is not None
    assert about.portal_id == house.portal.identity.portal_id


def test_the_libraries_are_those_of_the_portal_with_what_they_need() -> None:
    found = {library.name.lower(): library for library in installed_libraries()}
    assert {"flask", "werkzeug", "sqlalchemy", "tuf", "argon2-cffi"} <= set(found)  # werkzeug by flask
    assert {"engineshed", "pytest", "playwright"} & set(found) == set()
    assert all(re.match(r"\d", library.version) for library in found.values())
    assert found["flask"].licence == "BSD-3-Clause"
    assert [name for name, library in found.items() if library.licence is None] == []
