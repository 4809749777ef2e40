"""One portal for all attacks that leave the vendor's keys alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.stage import Engine, Stage

PRODUCTS = 8


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A vendor and a real portal."""
    stage = Stage(tmp_path_factory.mktemp("stage"), products=PRODUCTS)
    with stage.portal:
        yield stage


@pytest.fixture(scope="module")
def engine(stage: Stage) -> Iterator[Engine]:
    """It has seen the newest metadata, and runs 1.0.0; the portal orders 1.1.0."""
    with stage.engine() as engine:
        yield engine
