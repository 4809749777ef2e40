"""How an engine stands: the first word that fits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engineshed_server.domain.standing import FAILING, Signs, Standing, stand

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LATE = NOW - timedelta(seconds=1800)
GOOD = Signs(
    barred=None, seen=NOW, late_since=LATE, attempt=False, last_outcome="OK", held=False, behind=False
)
# From what is said first: each is changed into the next as well, and still says its own word.
CHANGES: list[tuple[Standing, dict[str, object]]] = [
    (Standing.REVOKED, {"barred": Standing.REVOKED}),
    (Standing.SILENT, {"seen": None}),
    (Standing.LATE, {"seen": LATE - timedelta(microseconds=1)}),
    (Standing.WORKING, {"attempt": True}),
    (Standing.FAILED, {"last_outcome": "ROLLED_BACK"}),
    (Standing.HELD, {"held": True}),
    (Standing.BEHIND, {"behind": True}),
]


def test_an_engine_without_any_sign_is_up_to_date() -> None:
    assert stand(GOOD) is Standing.GOOD
    assert stand(replace(GOOD, last_outcome=None)) is Standing.GOOD
    assert stand(replace(GOOD, seen=LATE)) is Standing.GOOD


@pytest.mark.parametrize("place", range(len(CHANGES)))
def test_the_first_word_that_fits_is_said_whatever_else_is_so(place: int) -> None:
    word, own = CHANGES[place]
    after: dict[str, object] = {}
    for _, change in reversed(CHANGES[place + 1 :]):
        after |= change
    signs = replace(GOOD, **own)  # type: ignore[arg-type]  # fields by name
    assert stand(signs) is word
    assert stand(replace(signs, **{**after, **own})) is word  # type: ignore[arg-type]


@pytest.mark.parametrize("outcome", FAILING)
def test_whatever_did_not_end_well_has_failed(outcome: str) -> None:
    assert stand(replace(GOOD, last_outcome=outcome)) is Standing.FAILED
