"""Hosts for the tests of the machine and its steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client.host import Host, Warehouse, stock


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Packages 1.0.0 and 1.1.0, built once."""
    return stock(tmp_path_factory.mktemp("warehouse"))


@pytest.fixture
def bare(tmp_path: Path, warehouse: Warehouse) -> Host:
    """A host without an engine."""
    return Host(tmp_path / "base", warehouse)


@pytest.fixture
def host(bare: Host) -> Host:
    """A host whose engine 1.0.0 runs and has a customer."""
    bare.install("1.0.0")
    bare.customise()
    return bare
