"""Alive, ready, and what it is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engineshed_packages import __version__
from tests.server.api.conftest import PortalUnderTest


def test_a_living_process_says_so(here: PortalUnderTest) -> None:
    answer = here.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "good"})


def test_a_portal_that_can_serve_is_ready(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    here.portal.snapshot.refresh()
    answer = here.get("/readyz?verbose")
    values = json.loads(answer.data)
    assert (answer.status_code, values["status"]) == (200, "good"), values
    assert all(check["good"] for check in values["checks"])


@contextmanager
def _moved_away(folder: Path) -> Iterator[None]:
    away = folder.rename(folder.with_name("away"))
    yield
    away.rename(folder)


def test_a_portal_without_its_folder_is_not_ready_and_says_why(here: PortalUnderTest) -> None:
    with _moved_away(here.portal.folders.data):
        answer = here.get("/readyz")
    values = json.loads(answer.data)
    assert (answer.status_code, values["status"]) == (503, "bad")
    assert [check["name"] for check in values["checks"] if not check["good"]] != []


def test_a_portal_that_is_not_ready_is_still_alive(here: PortalUnderTest) -> None:
    with _moved_away(here.portal.folders.data):
        assert here.get("/healthz").status_code == 200


def test_the_version_is_told(here: PortalUnderTest) -> None:
    assert here.get("/version").json == {"name": "engineshed-server", "version": __version__, "protocol": 1}
