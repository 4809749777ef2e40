"""Commands run in this process: logging is put back afterwards."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _logging_is_put_back(quiet_logging: None) -> None:
    """Every command sets up logging."""
