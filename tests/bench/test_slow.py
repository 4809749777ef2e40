"""The short form of `make bench-slow`: fewer peers, and no judgement of a single poll on a busy machine."""

import pytest

from tests.bench.slow import LIMIT_S, PATIENCE_S, watch_polls

KINDS = {"some of each": (120, 120, 40)}


@pytest.mark.timeout(120)
def test_polls_are_answered_while_peers_are_slow() -> None:
    seen = {}
    for _, way, polls in watch_polls(KINDS, 3.0):
        seen[way.name] = polls
    assert list(seen) == ["nginx", "gunicorn alone"]
    for polls in seen.values():
        assert polls.median_s < LIMIT_S
        assert polls.worst_s < PATIENCE_S
