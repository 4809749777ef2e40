"""One container for all tests here; `tests/conftest.py` sees to it that one worker has them all."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.e2e.allure_releases import cache_folder
from tests.systemd.layers import Layers
from tests.systemd.site import Site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first of them may have to wait for a whole Debian."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    require(sys.platform == "linux" and os.geteuid() == 0, "root on Linux, for a container")
    for program in ("debootstrap", "systemd-nspawn", "nsenter", "unshare"):
        require(shutil.which(program) is not None, program)
    # Not below pytest's own folder, which only root may enter.
    folder = Path(tempfile.mkdtemp(prefix="engineshed-systemd-"))
    try:
        with Layers(cache_folder()) as layers, Site(layers, folder) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
