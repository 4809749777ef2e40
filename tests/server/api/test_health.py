"""Alive, and what it is; ready: see test_readyz."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engineshed_packages import __version__
from tests.server.api.conftest import PortalUnderTest


def test_a_living_process_says_so(here: PortalUnderTest) -> None:
    answer = here.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "good"})


@contextmanager
def _moved_away(folder: Path) -> Iterator[None]:
    away = folder.rename(folder.with_name("away"))
    yield
    away.rename(folder)


def test_a_portal_that_is_not_ready_is_still_alive(here: PortalUnderTest) -> None:
    with _moved_away(here.portal.folders.data):
        assert here.get("/readyz").status_code == 503
        assert here.get("/healthz").status_code == 200


def test_the_version_is_told(here: PortalUnderTest) -> None:
    assert here.get("/version").json == {"name": "engineshed-server", "version": __version__, "protocol": 1}
