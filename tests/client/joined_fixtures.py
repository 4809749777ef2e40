"""Fixtures for tests of the updater's edges: a scripted portal, a vendor, a base that joined.

A folder's conftest.py imports those it needs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import ScriptedPortal
from tests.vendor import Vendor


@pytest.fixture
def scripted() -> Iterator[ScriptedPortal]:
    """A portal that answers as it is told."""
    with ScriptedPortal() as portal:
        yield portal


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    """A vendor without a release."""
    return Vendor(tmp_path)


@pytest.fixture
def joined(tmp_path: Path, scripted: ScriptedPortal, vendor: Vendor) -> Iterator[JoinedBase]:
    """A base that joined ``scripted``, with no engine yet."""
    base = JoinedBase(tmp_path / "base", scripted, vendor)
    yield base
    base.close()


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    """Puts logging back after a command that set it up."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
