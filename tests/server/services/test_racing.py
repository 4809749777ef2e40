from __future__ import annotations

import pytest

from engineshed_server.errors import Raced, TryLater
from engineshed_server.services.racing import TRIES, run_again_when_raced


class UseCase:
    """Loses its race as often as it is told."""

    def __init__(self, losses: int) -> None:
        self.losses = losses
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.losses:
            raise Raced("database-raced", "lost")
        return "done"


def test_a_use_case_that_lost_is_run_again() -> None:
    use_case = UseCase(TRIES - 1)
    assert run_again_when_raced(use_case) == "done"
    assert use_case.calls == TRIES


def test_one_that_always_loses_is_given_up() -> None:
    use_case = UseCase(TRIES)
    with pytest.raises(Raced):
        run_again_when_raced(use_case)
    assert use_case.calls == TRIES


def test_any_other_error_is_not_tried_again() -> None:
    calls = []

    def away() -> None:
        calls.append(1)
        raise TryLater("database-unavailable", "away")

    with pytest.raises(TryLater):
        run_again_when_raced(away)
    assert len(calls) == 1
