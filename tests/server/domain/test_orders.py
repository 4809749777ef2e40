"""What an administrator may order, and when it is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from engineshed_packages.protocol import Skipped
from engineshed_packages.versions import Version
from engineshed_server.domain.decide import Candidate, EngineFacts, Reason
from engineshed_server.domain.orders import (
    CHANGING,
    WISH_REFUSED,
    Given,
    Wish,
    decide_given,
    find_package,
    has_lapsed,
)
from engineshed_server.domain.stops import Stop
from tests.server.domain.test_decide import ENGINE, NOW, candidate

V1 = Version.parse("1.1")
LATER = NOW + timedelta(days=7)


def skipping(*candidates: Candidate) -> EngineFacts:
    skipped = tuple(Skipped(version=one.target.version, sha256=one.target.sha256) for one in candidates)
    return replace(ENGINE, skipped=skipped)


def found(wish: Wish, *candidates: Candidate, engine: EngineFacts = ENGINE) -> str:
    """Version and platform of what is found, or the code of what speaks against it."""
    answer = find_package(wish, engine, candidates, now=NOW)
    if isinstance(answer, Reason):
        return answer.code
    return f"{answer.target.version} {answer.target.platform}"


@pytest.mark.parametrize(
    ("release", "wish", "code"),
    [
        (candidate("1.1"), {}, "1.1 any"),
        (candidate("1.1", mode="manual"), {}, "1.1 any"),
        (candidate("1.1", channel="beta"), {}, "1.1 any"),
        (candidate("1.2"), {}, "release-unknown"),
        (candidate("1.1", product="portal"), {}, "release-unknown"),
        (candidate("1.1", platform="windows-x86_64"), {}, "other-platform"),
        (candidate("1.1", withdrawn=True), {}, "withdrawn"),
        (candidate("1.1", withdrawn=True), {"although_held": True}, "withdrawn"),
        (candidate("1.1", held=True), {}, "held"),
        (candidate("1.1", held=True), {"although_held": True}, "1.1 any"),
        (candidate("1.1", floor="1.2"), {}, "below-floor"),
        (candidate("1.1", floor="1.2"), {"allow_downgrade": True}, "below-floor"),
        (candidate("1.1", min_version=Version.parse("1.0.5")), {}, "step-needed"),
        (replace(candidate("1.1"), metadata_expires=NOW), {}, "metadata-expired"),
    ],
)
def test_an_install_is_refused_for_what_speaks_against_the_release(
    release: Candidate, wish: dict[str, bool], code: str
) -> None:
    assert found(Wish(version=V1, **wish), release) == code


@pytest.mark.parametrize(
    ("installed", "allowed", "code"),
    [
        ("1.1", False, "not-newer"),
        ("1.1", True, "1.1 any"),
        ("1.2", False, "not-newer"),
        ("1.2", True, "1.1 any"),
    ],
)
def test_an_older_version_or_the_same_again_has_to_be_meant(installed: str, allowed: bool, code: str) -> None:
    engine = replace(ENGINE, version=Version.parse(installed))
    assert found(Wish(version=V1, allow_downgrade=allowed), candidate("1.1"), engine=engine) == code


def test_a_host_without_an_engine_gets_any_version() -> None:
    release = candidate("1.1", min_version=Version.parse("1.0.5"))
    assert found(Wish(version=V1), release, engine=replace(ENGINE, version=None)) == "1.1 any"


def test_what_failed_there_needs_a_retry() -> None:
    bad = candidate("1.1")
    assert found(Wish(version=V1), bad, engine=skipping(bad)) == "skipped"
    assert found(Wish(version=V1, retry=True), bad, engine=skipping(bad)) == "1.1 any"


def test_a_retry_without_a_version_takes_the_newest_that_failed() -> None:
    older, newer, fine = candidate("1.1"), candidate("1.2"), candidate("1.3")
    wish = Wish(version=None, retry=True)
    assert found(wish, older, newer, fine, engine=skipping(older, newer)) == "1.2 any"
    assert found(wish, older, newer, fine) == "nothing-to-retry"


def test_the_package_made_for_the_platform_goes_before_the_one_for_any() -> None:
    both = (candidate("1.1"), candidate("1.1", platform="linux-x86_64"))
    assert found(Wish(version=V1), *both) == "1.1 linux-x86_64"


def test_a_refusal_says_what_to_do() -> None:
    held = replace(candidate("1.1", held=True), hold_reason="fails in Lyon")
    answer = find_package(Wish(version=V1), ENGINE, [held], now=NOW)
    assert isinstance(answer, Reason)
    assert answer.text == "1.1 is on hold (fails in Lyon): let it go first, or order it although held"


def test_every_code_of_a_refusal_is_among_those_that_are_documented() -> None:
    codes = {
        *("below-floor", "held", "metadata-expired", "not-newer", "nothing-to-retry", "other-platform"),
        *("release-unknown", "skipped", "step-needed", "withdrawn"),
    }
    assert set(WISH_REFUSED) == codes


RELEASE = candidate("1.1")


def given(do: str = "install", **changes: object) -> Given:
    order = Given(
        order_id="ord_x",
        do=do,
        given_by="token:tok_x",
        message="please",
        version="1.1" if do == "install" else None,
        sha256=RELEASE.target.sha256 if do == "install" else None,
        although_held=False,
        accept_before=LATER,
    )
    return replace(order, **changes)  # type: ignore[arg-type]  # fields by name


def code(order: Given, *candidates: Candidate, stops: tuple[Stop, ...] = ()) -> tuple[str, str]:
    decision = decide_given(order, ENGINE, candidates, stops=stops, now=NOW)
    return decision.code, decision.reasons[0].code


def test_an_order_that_stands_is_sent_and_says_who_gave_it_and_why() -> None:
    decision = decide_given(given(), ENGINE, [RELEASE], stops=(), now=NOW)
    assert (decision.code, decision.target) == ("ordered", RELEASE.target)
    assert decision.text == "token:tok_x ordered it to install 1.1: please"


@pytest.mark.parametrize(
    ("release", "reason"),
    [
        (replace(RELEASE, held=True), "held"),
        (replace(RELEASE, target=replace(RELEASE.target, withdrawn=True)), "withdrawn"),
        (replace(RELEASE, floor=Version.parse("2.0")), "below-floor"),
        (replace(RELEASE, metadata_expires=NOW), "metadata-expired"),
        (candidate("1.2"), "delisted"),
    ],
)
def test_an_install_waits_while_its_release_may_not_be_installed(release: Candidate, reason: str) -> None:
    assert code(given(), release) == ("order-waits", reason)


def test_an_install_although_held_does_not_wait_for_the_hold() -> None:
    assert code(given(although_held=True), replace(RELEASE, held=True)) == ("ordered", "ordered")


@pytest.mark.parametrize("do", ["install", "rollback", "cancel", "start", "stop", "restart"])
def test_an_emergency_stop_holds_back_what_changes_software_and_nothing_else(do: str) -> None:
    stops = (Stop(product=None, channel=None, reason="it burns"),)
    expected = "emergency-stop" if do in CHANGING else "ordered"
    assert code(given(do), RELEASE, stops=stops)[0] == expected


def test_a_stop_of_the_releases_channel_holds_an_install_for_an_engine_of_another_one_back() -> None:
    beta = replace(RELEASE, target=replace(RELEASE.target, channel="beta"))
    stops = (Stop(product=None, channel="beta", reason="it burns"),)
    assert code(given(), beta, stops=stops) == ("emergency-stop", "emergency-stop")
    assert code(given("rollback"), beta, stops=stops)[0] == "ordered"


def test_an_order_lapses_unless_an_engine_is_at_work_on_it() -> None:
    moments = (LATER - timedelta(seconds=1), LATER)
    assert [has_lapsed(given(), at_work=False, now=now) for now in moments] == [False, True]
    assert not has_lapsed(given(), at_work=True, now=LATER)
