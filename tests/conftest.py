"""What all tests share: how a test says that this machine lacks something.

`require(condition, reason)` skips where a developer's machine has no Java, no npm, no root. Under
`REQUIRE_ALL=1`, which CI sets, a skip of any kind is a failure: a test that never runs must not look like one
that passed.

How tests are dealt out to workers and where their folders lie is said here as well; both are for speed alone.
"""

import os
import re
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest

# xdist carries no type information, hence what is made of its class is unchecked as well.
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Folders whose tests share what is dear to make: one worker has them all.
SHARED = ("tests/systemd/",)
_OF_A_MODULE = re.compile(r'fixture\(.*scope="module"')

# All that is written is synchronised, as it must be. On a disk most of a run is waiting for that, and nobody
# cuts the power of a test.
MEMORY = Path("/dev/shm")
# A run keeps 1 GiB, and 1 GiB more for a moment.
MEMORY_BYTES = 4 * 2**30


def pytest_configure() -> None:
    """Puts the tests' folders into memory, where there is enough of it and programs may be run from there."""
    if os.access(MEMORY, os.W_OK):
        volume = os.statvfs(MEMORY)
        if volume.f_bavail * volume.f_frsize >= MEMORY_BYTES and not volume.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@cache
def _is_shared(module: str) -> bool:
    """Whether the file, or the conftest.py beside it, has a fixture for a whole module."""
    path = Path(__file__).parents[1] / module
    sources = (path, path.with_name("conftest.py"))
    return any(file.is_file() and _OF_A_MODULE.search(file.read_text("utf-8")) for file in sources)


class _Schedule(LoadScopeScheduling):  # type: ignore[misc]  # its base is unchecked, see above
    """Like xdist's ``load``, one test after the other to whoever is free, but for what shares.

    Tests with a fixture for their module stay together, or each worker would make one; such modules begin
    first, so that none is left at the end. xdist's own ``loadgroup`` writes into node ids, which pytest since
    9 makes anew each time.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        folder = next((folder for folder in SHARED if nodeid.startswith(folder)), None)
        return folder or (module if _is_shared(module) else nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """How tests are dealt out to workers."""
    return _Schedule(config, log)


def everything_is_required() -> bool:
    return os.environ.get("REQUIRE_ALL") == "1"


def require(condition: bool, reason: str) -> None:
    """Skips the test unless `condition`; fails it instead under `REQUIRE_ALL=1`."""
    if condition:
        return
    if everything_is_required():
        pytest.fail(f"missing on this machine: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns the skip of a test into a failure where everything is required."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and everything_is_required():
        report.outcome = "failed"
        report.longrepr = f"skipped, and REQUIRE_ALL=1 allows no skip: {_skip_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turns the skip of a whole module into a failure where everything is required."""
    report = yield
    if report.skipped and everything_is_required():
        report.outcome = "failed"
        report.longrepr = f"skipped, and REQUIRE_ALL=1 allows no skip: {_skip_reason(report.longrepr)}"
    return report


def _skip_reason(longrepr: object) -> str:
    # pytest gives (path, line, reason) for a skip
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
