"""The TUF tree over HTTP: metadata for everybody, packages and notes with a token."""

import hashlib
import json
import shutil

import pytest

from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import PortalUnderTest

METADATA = "/repo/v1/vendor/metadata"
TARGETS = "/repo/v1/vendor/targets"


def _target(here: PortalUnderTest) -> str:
    found = json.loads(here.get("/api/v1/releases", token=here.token()).data)
    return str(found["releases"][0]["packages"][0]["download_name"])


def test_metadata_is_the_vendors_byte_for_byte(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    published = {path.name for path in here.portal.folders.metadata.iterdir()}
    assert "timestamp.json" in published
    for name in published:
        vendors = (here.vendor.repository.folder / "metadata" / name).read_bytes()
        assert here.get(f"{METADATA}/{name}").data == vendors


def test_the_timestamp_is_asked_for_again_and_the_rest_kept(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    assert here.get(f"{METADATA}/timestamp.json").headers["Cache-Control"] == "no-cache"
    assert "immutable" in here.get(f"{METADATA}/1.root.json").headers["Cache-Control"]


def test_an_unchanged_timestamp_costs_no_body(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    etag = here.get(f"{METADATA}/timestamp.json").headers["ETag"]
    answer = here.get(f"{METADATA}/timestamp.json", If_None_Match=etag)
    assert (answer.status_code, answer.data) == (304, b"")


def test_the_timestamps_tag_changes_with_the_next_release(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    before = here.get(f"{METADATA}/timestamp.json").headers["ETag"]
    here.publish("1.1.0")
    assert here.get(f"{METADATA}/timestamp.json", If_None_Match=before).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["2.root.json", "..%2ftrusted_root.json", "%2e%2e/x.json", ".json", "root.json%00", "a" * 300 + ".json"],
)
def test_unknown_metadata_is_not_found(here: PortalUnderTest, name: str) -> None:
    here.publish("1.0.0")
    assert here.get(f"{METADATA}/{name}").status_code == 404


def test_a_package_needs_a_token(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    assert here.get(f"{TARGETS}/{_target(here)}").status_code == 401


def test_an_engine_gets_the_package(here: PortalUnderTest) -> None:
    joined = here.enrol()
    here.publish("1.0.0")
    name = _target(here)
    answer = here.get(f"{TARGETS}/{name}", token=here.engines[joined.engine])
    assert answer.status_code == 200
    assert hashlib.sha256(answer.data).hexdigest() in name


def test_an_operator_gets_a_range_of_the_package(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    path, token = f"{TARGETS}/{_target(here)}", here.token(Scope.VIEWER)
    whole = here.get(path, token=token)
    part = here.get(path, token=token, Range="bytes=100-", If_Range=whole.headers["ETag"])
    assert (part.status_code, part.data) == (206, whole.data[100:])


def test_a_package_may_be_kept_but_not_by_shared_caches(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    answer = here.get(f"{TARGETS}/{_target(here)}", token=here.token())
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_a_package_whose_bytes_were_lost_is_told_apart_from_an_unknown_one(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    path, token = f"{TARGETS}/{_target(here)}", here.token(Scope.VIEWER)
    shutil.rmtree(here.portal.folders.blobs)
    answer = here.get(path, token=token)
    assert (answer.status_code, json.loads(answer.data)["code"]) == (404, "bytes-missing")


def _notes(here: PortalUnderTest) -> dict[str, str]:
    here.vendor.release("1.0.0", terms=ReleaseTerms(notes=here.vendor.notes()))
    assert here.put_bundle(here.vendor.bundle("1.0.0")).status_code == 201
    shown = here.get("/api/v1/releases/sample-engine/1.0.0", token=here.token())
    notes: dict[str, str] = json.loads(shown.data)["notes"]
    return notes


def test_an_operator_gets_the_notes_byte_for_byte_as_a_file(here: PortalUnderTest) -> None:
    notes = _notes(here)
    answer = here.get(f"{TARGETS}/{notes['download_name']}", token=here.token(Scope.VIEWER))
    assert hashlib.sha256(answer.data).hexdigest() == notes["sha256"]
    assert answer.headers["Content-Type"] == "application/json"
    # what a vendor wrote is never run in a portal's name
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="sample-engine-1.0.0-notes.json"'


def test_notes_need_a_token(here: PortalUnderTest) -> None:
    assert here.get(f"{TARGETS}/{_notes(here)['download_name']}").status_code == 401


def test_a_release_without_notes_says_so(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    shown = here.get("/api/v1/releases/sample-engine/1.0.0", token=here.token())
    assert json.loads(shown.data)["notes"] is None


@pytest.mark.parametrize("name", ["x/1.0.0/y.zip", "../../engineshed.db", "sample-engine/1.0.0/", "%00"])
def test_an_unknown_package_is_not_found(here: PortalUnderTest, name: str) -> None:
    here.publish("1.0.0")
    assert here.get(f"{TARGETS}/{name}", token=here.token()).status_code == 404
