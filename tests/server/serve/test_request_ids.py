"""One id ties together what a request did: its answer, its lines in the log, its row in the audit."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.running import RunningPortal

TRACE = "trace-0123456789"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path)
    portal.start()
    yield portal
    portal.end()


def put_bundle(here: RunningPortal, bundle: Path) -> tuple[int, str | None]:
    headers = {"Authorization": f"Bearer {here.token}", "X-Request-ID": TRACE}
    with closing(here.connect()) as connection:
        connection.request("PUT", "/api/v1/bundles/x.zip", bundle.read_bytes(), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["X-Request-ID"]


def lines_of(here: RunningPortal) -> list[str]:
    return [line for line in here.log.read_text("utf-8").splitlines() if f"request={TRACE}" in line]


def test_what_an_upload_did_is_found_by_its_id(here: RunningPortal) -> None:
    here.vendor.release("1.0.0")
    assert put_bundle(here, here.vendor.bundle("1.0.0")) == (201, TRACE)
    lines = lines_of(here)
    assert any(" request method=PUT" in line and "status=201" in line for line in lines), lines
    assert any("engineshed_server.services" in line for line in lines), lines
    every = json.loads(here.get("/api/v1/audit", Authorization=f"Bearer {here.token}")[1])["entries"]
    assert TRACE in {entry["request"] for entry in every}


def test_a_refused_upload_is_found_by_its_id_too(here: RunningPortal, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no bundle")
    assert put_bundle(here, tmp_path / "x") == (422, TRACE)
    assert any("status=422" in line and "code=archive-not-zip" in line for line in lines_of(here))
