"""Fixtures of the server's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.portals import House, make_portal


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An initialised, open portal without any release, and its vendor."""
    made = make_portal(tmp_path)
    yield made
    made.portal.close()
