"""/readyz over HTTP: who sees what, and what a broken disk comes to; services/test_readiness has the rest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from engineshed_packages.jsontext import Json
from engineshed_server.services.api_tokens import Scope
from engineshed_server.services.readiness import NO_SPACE_BYTES
from tests.server.api.conftest import PortalUnderTest, portal_under_test
from tests.small_disk import SmallDisk, small_disk
from tests.vendor import Vendor

AFAR = "203.0.113.9"
LIMIT_BYTES = 8_000_000


def asked(
    here: PortalUnderTest, path: str = "/readyz?verbose", *, peer: str = "127.0.0.1", token: str | None = None
) -> TestResponse:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return here.http.get(path, headers=headers, environ_overrides={"REMOTE_ADDR": peer}, buffered=True)


def told(answer: TestResponse) -> tuple[int, str, dict[str, Json]]:
    """Status code, status, and by name what fails."""
    values = answer.json
    assert values is not None
    failing = {check["name"]: check["status"] for check in values["checks"] if not check["ok"]}
    return answer.status_code, values["status"], failing


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "data", 16_000_000) as made:
        yield made


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A volume on *folder* that is mounted read-only, which binds root too."""
    with small_disk(folder, 1_000_000):
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield


@contextmanager
def replaced_by_a_file(folder: Path) -> Iterator[None]:
    away = folder.rename(folder.with_name("away"))
    folder.write_bytes(b"")
    yield
    folder.unlink()
    away.rename(folder)


def test_each_check_is_told_with_what_was_found(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    answer = asked(here)
    assert told(answer) == (200, "good", {})
    assert answer.json is not None
    for check in answer.json["checks"]:
        assert list(check) == ["name", "ok", "status", "detail", "remedy"]
        assert (check["ok"], check["status"], check["remedy"]) == (True, "good", None)


def test_without_verbose_it_is_yes_or_no_for_everybody(here: PortalUnderTest) -> None:
    for peer in ("127.0.0.1", AFAR):
        assert asked(here, "/readyz", peer=peer).json == {"status": "good"}


def test_a_stranger_hears_yes_or_no_also_when_asking_for_more(here: PortalUnderTest) -> None:
    for token in (None, "nonsense", here.token(Scope.SUPPORT)):
        answer = asked(here, peer=AFAR, token=token)
        assert (answer.status_code, answer.json) == (200, {"status": "good"})


def test_a_viewers_token_sees_all_from_anywhere(here: PortalUnderTest) -> None:
    assert told(asked(here, peer=AFAR, token=here.token(Scope.VIEWER))) == (200, "good", {})


def test_a_degraded_portal_tells_monitors_and_goes_on_for_all_others(here: PortalUnderTest) -> None:
    here.portal.folders.order_key.unlink()
    assert told(asked(here)) == (200, "degraded", {"order-key": "degraded"})
    assert asked(here, "/readyz").json == {"status": "good"}


def test_a_folder_of_uploads_that_cannot_be_written_degrades(here: PortalUnderTest) -> None:
    with read_only(here.portal.folders.incoming):
        assert told(asked(here)) == (200, "degraded", {"incoming": "degraded"})


def test_packages_that_can_only_be_read_are_served(here: PortalUnderTest) -> None:
    with read_only(here.portal.folders.blobs):
        assert told(asked(here)) == (200, "degraded", {"blobs": "degraded"})


def test_without_the_folder_of_packages_nobody_should_come(here: PortalUnderTest) -> None:
    with replaced_by_a_file(here.portal.folders.blobs):
        assert told(asked(here)) == (503, "bad", {"blobs": "bad"})
        assert asked(here, "/readyz", peer=AFAR).json == {"status": "bad"}


def test_without_its_data_folder_nobody_should_come(here: PortalUnderTest) -> None:
    with replaced_by_a_file(here.portal.folders.data):
        status, _, failing = told(asked(here))
    assert (status, failing["data-folder"]) == (503, "bad")


def test_less_space_than_uploads_must_leave_degrades_and_none_at_all_is_bad(
    disk: SmallDisk, tmp_path: Path, vendor: Vendor
) -> None:
    with ExitStack() as stack:
        settings = {"limits__free_bytes": LIMIT_BYTES}
        here = stack.enter_context(portal_under_test(tmp_path, vendor, **settings))
        assert told(asked(here)) == (200, "good", {})
        disk.fill(leaving_bytes=LIMIT_BYTES // 2)
        assert told(asked(here)) == (200, "degraded", {"disk": "degraded"})
        disk.make_room()
        disk.fill(leaving_bytes=NO_SPACE_BYTES // 2)
        assert told(asked(here)) == (503, "bad", {"disk": "bad"})
        disk.make_room()
        assert told(asked(here)) == (200, "good", {})


def test_what_fails_is_in_the_metrics_too(here: PortalUnderTest) -> None:
    here.portal.folders.order_key.unlink()
    lines = here.get("/metrics").text.splitlines()
    assert 'engineshed_check_ok{check="order-key"} 0.0' in lines
    assert 'engineshed_check_ok{check="database"} 1.0' in lines
