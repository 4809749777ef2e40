"""The newest release for an engine, and who is behind it."""

from __future__ import annotations

import pytest

from engineshed_server.domain.decide import Candidate
from engineshed_server.domain.engine_lists import Installed, Kind
from engineshed_server.domain.newest import is_behind, list_behind, newest_for, rank
from tests.server.domain.test_decide import candidate

KIND = Kind(product="engine", platform="linux-x86_64", channel="stable")


def newest(*candidates: Candidate) -> str | None:
    found = newest_for(candidates, platform=KIND.platform, channel=KIND.channel)
    return None if found is None else found.version.text


def test_the_newest_is_by_version_and_not_by_text() -> None:
    assert newest(candidate("1.9"), candidate("1.10"), candidate("1.2")) == "1.10"
    assert newest() is None


@pytest.mark.parametrize(
    "other",
    [
        candidate("2.0", withdrawn=True),
        candidate("2.0", held=True),
        candidate("2.0", mode="manual"),
        candidate("2.0", floor="3.0"),
        candidate("2.0", platform="windows-x86_64"),
        candidate("2.0", channel="beta"),
    ],
)
def test_what_no_engine_gets_by_itself_is_not_the_newest(other: Candidate) -> None:
    assert newest(candidate("1.0"), other) == "1.0"


@pytest.mark.parametrize(
    ("version", "behind"), [("0.9", True), ("1.0", False), ("1.0.0", False), ("1.1", False), (None, True)]
)
def test_an_engine_is_behind_when_it_is_older_or_there_is_none(version: str | None, behind: bool) -> None:
    target = newest_for([candidate("1.0")], platform=KIND.platform, channel=KIND.channel)
    assert is_behind(version, target) == behind
    assert not is_behind(version, None)


def test_versions_that_are_behind_are_listed_by_kind() -> None:
    product = candidate("1.0").target.product
    kind = Kind(product=product, platform="linux-x86_64", channel="stable")
    other = Kind(product=product, platform="linux-x86_64", channel="beta")
    installed = [
        Installed(kind=one, version=version, state="enrolled", engines=1, online=1)
        for one in (kind, other)
        for version in ("0.9", "1.0", None)
    ]
    (behind,) = list_behind(installed, {product: (candidate("1.0"),)})
    assert (behind.kind, set(behind.versions)) == (kind, {"0.9", None})


def test_a_version_that_cannot_be_read_has_no_rank() -> None:
    assert rank(["1.10", "1.9", None, "not a version at all"]) == ("1.9", "1.10")
