"""What the tests of several modules begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A vendor and a running portal, one for each module."""
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site
