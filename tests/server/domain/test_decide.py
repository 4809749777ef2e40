from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engineshed_packages.protocol import Skipped
from engineshed_packages.target import Target, target_path
from engineshed_packages.versions import Version
from engineshed_server.domain.decide import Candidate, Decision, EngineFacts, decide
from engineshed_server.domain.stops import Stop

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
ENGINE = EngineFacts(
    product="manager", platform="linux-x86_64", version=Version.parse("1.0"), channel="stable"
)


def target(version: str, *, product: str = "manager", platform: str = "any", **terms: object) -> Target:
    parsed = Version.parse(version)
    digest = hashlib.sha256(f"{product} {version} {platform}".encode()).hexdigest()
    made = Target(
        path=target_path(product, parsed, platform),
        length_bytes=10,
        sha256=digest,
        product=product,
        version=parsed,
        platform=platform,
        manifest_sha256="0" * 64,
        disk_bytes=10,
        published=NOW,
    )
    return replace(made, **terms)  # type: ignore[arg-type]  # fields by name, checked by Target itself


def candidate(version: str, *, held: bool = False, floor: str | None = None, **terms: object) -> Candidate:
    return Candidate(
        target=target(version, **terms),  # type: ignore[arg-type]  # as above
        held=held,
        floor=None if floor is None else Version.parse(floor),
        metadata_expires=NOW + timedelta(days=1),
    )


def ask(*candidates: Candidate, engine: EngineFacts = ENGINE, now: datetime = NOW) -> Decision:
    return decide(engine, candidates, now=now)


def chosen(decision: Decision) -> str | None:
    return None if decision.target is None else decision.target.version.text


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_the_newest_release_is_offered() -> None:
    decision = ask(candidate("1.9"), candidate("1.10"), candidate("1.2"))
    assert (decision.code, chosen(decision)) == ("offer", "1.10")


def test_every_candidate_gets_its_reason_newest_first() -> None:
    decision = ask(candidate("0.9"), candidate("1.1"), candidate("1.2"), candidate("1.3", withdrawn=True))
    assert codes(decision) == ["withdrawn", "fits", "older-than-chosen", "not-newer"]


def test_no_release_at_all_is_said() -> None:
    assert ask().code == "no-release"


def test_another_products_releases_are_not_even_considered() -> None:
    decision = ask(candidate("2.0", product="portal"))
    assert (decision.code, decision.reasons) == ("no-release", ())


def test_an_engine_with_the_newest_is_up_to_date() -> None:
    decision = ask(candidate("1.0"), candidate("0.9"))
    assert (decision.code, decision.target) == ("up-to-date", None)


def test_the_same_version_in_another_spelling_is_not_newer() -> None:
    assert ask(candidate("1.0.0")).code == "up-to-date"


def test_a_release_for_another_channel_leaves_the_engine_up_to_date() -> None:
    decision = ask(candidate("1.1", channel="beta"))
    assert (decision.code, codes(decision)) == ("up-to-date", ["other-channel"])


def test_an_engine_of_that_channel_gets_it() -> None:
    decision = ask(candidate("1.1", channel="beta"), engine=replace(ENGINE, channel="beta"))
    assert chosen(decision) == "1.1"


@pytest.mark.parametrize(
    ("newest", "code"),
    [
        (candidate("1.2", withdrawn=True), "withdrawn"),
        (candidate("1.2", held=True), "held"),
        (candidate("1.2", mode="manual"), "not-automatic"),
        (candidate("1.2", min_version=Version.parse("1.1")), "step-needed"),
        (candidate("1.2", floor="1.3"), "below-floor"),
        (candidate("1.2", platform="windows-x86_64"), "other-platform"),
    ],
)
def test_what_speaks_against_a_release_is_its_reason(newest: Candidate, code: str) -> None:
    decision = ask(newest)
    assert (chosen(decision), codes(decision)) == (None, [code])


def test_what_stands_in_the_way_of_an_update_is_said_first() -> None:
    decision = ask(candidate("1.2", held=True), candidate("1.0"))
    assert decision.code == "nothing-fits"
    assert "on hold" in decision.text


def test_an_older_release_that_fits_is_offered_when_the_newest_does_not() -> None:
    assert chosen(ask(candidate("1.2", withdrawn=True), candidate("1.1"))) == "1.1"


def test_a_release_that_needs_a_step_is_reached_by_the_step() -> None:
    releases = (candidate("3.0", min_version=Version.parse("2.0")), candidate("2.0"))
    assert chosen(ask(*releases)) == "2.0"
    assert chosen(ask(*releases, engine=replace(ENGINE, version=Version.parse("2.0")))) == "3.0"


def test_a_release_that_failed_on_the_engine_is_not_offered_again() -> None:
    bad = candidate("1.2")
    skipped = (Skipped(version=bad.target.version, sha256=bad.target.sha256),)
    decision = ask(bad, candidate("1.1"), engine=replace(ENGINE, skipped=skipped))
    assert (chosen(decision), codes(decision)) == ("1.1", ["skipped", "fits"])


def test_the_package_for_the_platform_comes_before_the_one_for_any() -> None:
    decision = ask(candidate("1.1"), candidate("1.1", platform="linux-x86_64"))
    assert decision.target is not None
    assert decision.target.platform == "linux-x86_64"


def test_an_absent_engine_may_be_offered_a_release_without_the_step_before() -> None:
    absent = replace(ENGINE, version=None)
    assert chosen(ask(candidate("3.0", min_version=Version.parse("2.0")), engine=absent)) == "3.0"


def test_nothing_is_offered_once_the_metadata_has_expired() -> None:
    decision = ask(candidate("1.1"), now=NOW + timedelta(days=1))
    assert (decision.code, codes(decision)) == ("nothing-fits", ["metadata-expired"])


def test_a_reason_names_version_and_platform() -> None:
    assert ask(candidate("1.2", held=True)).reasons[0].text == "1.2 (any): it is on hold on this portal"


def test_an_engine_that_is_not_installed_yet_is_spoken_of_as_such() -> None:
    bare = replace(ENGINE, version=None)
    texts = [
        ask(candidate("1.1"), engine=bare).text,
        ask(candidate("1.1", channel="beta"), engine=bare).text,
        ask(candidate("1.1", withdrawn=True), engine=bare).text,
    ]
    assert texts == [
        "no manager is installed, it should be 1.1",
        "no manager is installed, and none is meant for this engine",
        "no manager is installed: 1.1 (any): the vendor withdrew it",
    ]


def test_the_vendors_reason_for_a_withdrawal_is_told() -> None:
    text = ask(candidate("1.1", withdrawn=True, message="Does not start.")).text
    assert text == "manager 1.0 stays: 1.1 (any): the vendor withdrew it: Does not start."


def test_a_release_on_the_skip_list_is_said_to_wait_for_a_retry() -> None:
    one = candidate("1.1")
    skipped = (Skipped(version=one.target.version, sha256=one.target.sha256),)
    text = ask(one, engine=replace(ENGINE, skipped=skipped)).text
    assert text.endswith(
        "it failed or was taken back on this engine before: it waits for an order that says retry"
    )


def test_nothing_is_offered_under_an_emergency_stop_and_it_is_said_why() -> None:
    stop = Stop(product="manager", channel=None, reason="1.1 eats its logs")
    decision = decide(ENGINE, [candidate("1.1"), candidate("1.0")], stops=[stop], now=NOW)
    assert (decision.code, decision.target, codes(decision)) == (
        "emergency-stop",
        None,
        ["emergency-stop", "not-newer"],
    )
    assert "1.1 eats its logs" in decision.text


def test_a_stop_of_the_releases_channel_holds_an_engine_of_another_one_back_too() -> None:
    beta = replace(ENGINE, channel="beta")
    stops = [Stop(product=None, channel="beta", reason="no beta today")]
    assert decide(beta, [candidate("1.1", channel="beta")], stops=stops, now=NOW).code == "emergency-stop"
    assert chosen(decide(ENGINE, [candidate("1.1")], stops=stops, now=NOW)) == "1.1"


def test_an_engine_that_is_up_to_date_is_that_under_a_stop_too() -> None:
    stops = [Stop(product=None, channel=None, reason="all")]
    assert decide(ENGINE, [candidate("1.0")], stops=stops, now=NOW).code == "up-to-date"


def test_a_hold_says_why() -> None:
    held = replace(candidate("1.2", held=True), hold_reason="fails in Lyon")
    assert ask(held).reasons[0].text == "1.2 (any): it is on hold on this portal: fails in Lyon"
