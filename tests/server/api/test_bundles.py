"""The upload over HTTP: what is published, what is refused, and that nothing stays behind."""

import hashlib
import io
import json
import logging
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engineshed_server.api.bodies import LEFTOVER_S
from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import UPLOAD_LIMIT_BYTES, PortalUnderTest
from tests.vendor import Vendor


def _incoming(here: PortalUnderTest) -> list[Path]:
    return list(here.portal.folders.incoming.iterdir())


def _published(here: PortalUnderTest) -> list[str]:
    found = json.loads(here.get("/api/v1/releases", token=here.token()).data)
    return [one["version"] for one in found["releases"]]


def test_a_bundle_is_published(here: PortalUnderTest) -> None:
    here.vendor.release("1.0.0")
    bundle = here.vendor.bundle("1.0.0")
    answer = here.put_bundle(bundle)
    values = json.loads(answer.data)
    assert (answer.status_code, values["code"]) == (201, "published")
    assert values["releases"] == [{"product": "sample-engine", "version": "1.0.0", "platforms": ["any"]}]
    assert values["sha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert _published(here) == ["1.0.0"]


def test_the_log_names_what_came_in_which_file(
    here: PortalUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    here.vendor.release("1.0.0")
    bundle = here.vendor.bundle("1.0.0")
    with caplog.at_level(logging.INFO, logger="engineshed_server.services.ingest"):
        here.put_bundle(bundle, name="from-the-vendor.zip")
    (told,) = [vars(record) for record in caplog.records if record.message == "bundle ingested"]
    assert (told["releases"], told["file"]) == ("sample-engine 1.0.0", "from-the-vendor.zip")


def test_the_same_bundle_twice_changes_nothing(here: PortalUnderTest) -> None:
    here.vendor.release("1.0.0")
    bundle = here.vendor.bundle("1.0.0")
    here.put_bundle(bundle)
    again = here.put_bundle(bundle)
    assert (again.status_code, json.loads(again.data)["code"]) == (200, "unchanged")


def test_the_uploaded_file_does_not_stay(here: PortalUnderTest) -> None:
    here.vendor.release("1.0.0")
    here.put_bundle(here.vendor.bundle("1.0.0"))
    assert _incoming(here) == []


def test_a_file_that_is_no_zip_is_refused(here: PortalUnderTest, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"<html>" * 1000)
    answer = here.put_bundle(tmp_path / "x")
    assert (answer.status_code, json.loads(answer.data)["code"]) == (422, "archive-not-zip")
    assert (_incoming(here), _published(here)) == ([], [])


def test_a_strangers_bundle_is_refused(here: PortalUnderTest, tmp_path: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    answer = here.put_bundle(stranger.bundle("1.0.0"))
    assert (answer.status_code, json.loads(answer.data)["code"]) == (422, "metadata-signature")
    assert (_incoming(here), _published(here)) == ([], [])


@pytest.mark.parametrize(("scope", "status"), [(Scope.VIEWER, 403), (Scope.SUPPORT, 201), (Scope.ADMIN, 201)])
def test_only_support_and_admin_may_upload(here: PortalUnderTest, scope: Scope, status: int) -> None:
    here.vendor.release("1.0.0")
    answer = here.put_bundle(here.vendor.bundle("1.0.0"), token=here.token(scope))
    assert answer.status_code == status


def test_an_engine_may_not_upload(here: PortalUnderTest) -> None:
    joined = here.enrol()
    here.vendor.release("1.0.0")
    answer = here.put_bundle(here.vendor.bundle("1.0.0"), token=here.engines[joined.engine])
    assert answer.status_code == 401


class _Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")


def _put_stream(here: PortalUnderTest, stream: io.BytesIO, **environ: str) -> tuple[int, str]:
    answer = here.http.put(
        "/api/v1/bundles/x.zip",
        input_stream=stream,
        headers={"Authorization": f"Bearer {here.token()}"},
        environ_overrides=environ,
        buffered=True,
    )
    return answer.status_code, json.loads(answer.data)["code"]


def test_an_upload_over_the_limit_is_refused_before_a_byte_is_read(here: PortalUnderTest) -> None:
    refused = _put_stream(here, _Unread(), CONTENT_LENGTH=str(UPLOAD_LIMIT_BYTES + 1))
    assert refused == (413, "upload-too-large")
    assert _incoming(here) == []


def test_an_upload_without_a_length_is_refused(here: PortalUnderTest) -> None:
    assert _put_stream(here, _Unread(), CONTENT_LENGTH="") == (411, "length-required")


def test_an_upload_in_chunks_is_refused(here: PortalUnderTest) -> None:
    refused = _put_stream(here, _Unread(), CONTENT_LENGTH="5", HTTP_TRANSFER_ENCODING="chunked")
    assert refused == (411, "length-required")


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "5, 5", "9" * 19])
def test_a_length_that_cannot_be_read_is_refused(here: PortalUnderTest, length: str) -> None:
    assert _put_stream(here, _Unread(), CONTENT_LENGTH=length) == (400, "length-unreadable")


def test_an_upload_cut_short_leaves_nothing(here: PortalUnderTest) -> None:
    assert _put_stream(here, io.BytesIO(b"x" * 10), CONTENT_LENGTH="20") == (400, "body-truncated")
    assert _incoming(here) == []


def test_an_upload_without_a_token_is_refused_before_a_byte_is_read(here: PortalUnderTest) -> None:
    answer = here.http.put(
        "/api/v1/bundles/x.zip", input_stream=_Unread(), environ_overrides={"CONTENT_LENGTH": "5"}
    )
    assert answer.status_code == 401


def test_a_multipart_body_is_refused(here: PortalUnderTest) -> None:
    answer = here.http.put(
        "/api/v1/bundles/x.zip",
        data={"file": (io.BytesIO(b"x"), "x.zip")},
        headers={"Authorization": f"Bearer {here.token()}"},
    )
    assert answer.status_code == 415


@pytest.mark.parametrize("name", ["-x.zip", "a%20b.zip", "%2e%2e", "x" * 201, "a%0ab"])
def test_a_strange_name_is_refused(here: PortalUnderTest, name: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    answer = here.put_bundle(tmp_path / "x", name=name)
    assert (answer.status_code, json.loads(answer.data)["code"]) == (404, "not-found")


def test_what_a_killed_process_left_is_swept_after_a_day(here: PortalUnderTest, tmp_path: Path) -> None:
    old, young = (here.portal.folders.incoming / name for name in ("old.tmp", "young.tmp"))
    for path in (old, young):
        path.touch()
    long_ago = time.time() - LEFTOVER_S - 1
    os.utime(old, (long_ago, long_ago))
    (tmp_path / "x").write_bytes(b"x")
    here.put_bundle(tmp_path / "x")
    assert _incoming(here) == [young]


DISK_FULL = """
import resource, sys
from pathlib import Path
from flask import Flask, request
from engineshed_server.api.bodies import received_file
from engineshed_server.errors import TryLater
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
app = Flask("test")
@app.put("/x")
def x():
    with received_file(request, Path(sys.argv[1]), max_bytes=10**8):
        return "taken"
app.testing = True
try:
    app.test_client().put("/x", data=b"x" * 5_000_000)
except TryLater as err:
    print(err.code, list(Path(sys.argv[1]).iterdir()))
"""


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    # a limit on the size of files: EFBIG arrives where ENOSPC would, in the middle of the body
    assert resource.RLIMIT_FSIZE is not None
    words = [sys.executable, "-c", DISK_FULL, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "disk-full []\n"
