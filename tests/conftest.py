"""What all tests share: how a test says that this machine lacks something.

`require(condition, reason)` skips where a developer's machine has no Java, no npm, no root. Under
`REQUIRE_ALL=1`, which CI sets, a skip of any kind is a failure: a test that never runs must not look like one
that passed.
"""

import os
from collections.abc import Generator

import pytest

# xdist carries no type information, hence what is made of its class is unchecked as well.
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Folders and files whose tests share what is dear to make: one worker has them all.
SHARED = (
    "tests/systemd/",
    "tests/e2e/test_adopting.py",
    "tests/e2e/test_joining.py",
    "tests/e2e/test_orders.py",
    "tests/e2e/test_portal_changes.py",
)


class _Schedule(LoadScopeScheduling):  # type: ignore[misc]  # its base is unchecked, see above
    """Like xdist's ``load``, one test after the other to whoever is free, but for the shared folders.

    Its own ``loadgroup`` writes into node ids, which pytest since 9 makes anew each time.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in SHARED if nodeid.startswith(folder)), nodeid)


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
