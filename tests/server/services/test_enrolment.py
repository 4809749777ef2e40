from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from engineshed_packages.enrolment import EnrolAnswer, fingerprint
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAuthenticated, Refused, ServerError, TryLater
from engineshed_server.services import engines
from engineshed_server.services.api_tokens import Scope, create_api_token
from engineshed_server.services.enrolment import (
    FREE_FAILURES,
    MAX_WAIT_S,
    EnrolToken,
    create_enrol_token,
    enrol,
)
from tests.server.databases import everything_in
from tests.server.portals import House, MakePortal, enrol_request


def make_token(house: House, **changes: object) -> EnrolToken:
    terms = {
        "group": "default",
        "uses": 1,
        "expires_s": 3600,
        "actor": Actor("test"),
        "now": house.now,
        **changes,
    }
    return create_enrol_token(house.portal, **terms)  # type: ignore[arg-type]  # terms by name


def join(house: House, token: str, *, address: str = "192.0.2.1") -> EnrolAnswer:
    return enrol(house.portal, enrol_request(token), address=address, now=house.now)


def refusal(house: House, token: str, *, address: str = "192.0.2.1") -> str:
    with pytest.raises(ServerError) as caught:
        join(house, token, address=address)
    return caught.value.code


def test_the_line_carries_all_a_host_must_know(house: House) -> None:
    line = make_token(house).line
    assert line.portal == house.portal.settings.public_url
    assert line.order_key == house.portal.identity.order_key.fingerprint
    assert line.standby == house.portal.identity.standby_key.fingerprint
    assert line.ca is None


def test_the_line_carries_the_fingerprint_of_the_ca(make_portal: MakePortal, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(b"a certificate")
    house = make_portal(portal__ca_file=str(ca_file))
    assert make_token(house).line.ca == fingerprint(b"a certificate")


def test_a_token_has_160_bit_and_is_shown_once(house: House) -> None:
    made = make_token(house)
    assert len(made.line.token.rpartition("-")[2]) == 32
    assert made.line.token not in repr(made)


def test_neither_token_nor_secret_is_stored(house: House) -> None:
    made = make_token(house)
    answer = join(house, made.line.token)
    stored = everything_in(house.portal.database)
    assert answer.engine in stored
    assert made.line.token not in stored
    assert answer.secret not in stored


def test_an_engine_gets_an_identity_and_both_order_keys(house: House) -> None:
    answer = join(house, make_token(house).line.token)
    identity = house.portal.identity
    assert answer.order_keys == (identity.order_key, identity.standby_key)
    assert (answer.portal, answer.portals) == (identity.portal_id, (house.portal.settings.public_url,))
    line = engines.show_engine(house.portal, answer.engine).line
    assert (line.group, line.host_name, line.version, line.state) == (
        "default",
        "engine-host",
        "0.9",
        "enrolled",
    )


def test_a_used_token_is_refused(house: House) -> None:
    token = make_token(house).line.token
    join(house, token)
    assert refusal(house, token) == "enrol-token-used"


def test_an_expired_token_is_refused(house: House) -> None:
    token = make_token(house).line.token
    house.now += timedelta(hours=1)
    assert refusal(house, token) == "enrol-token-expired"


def test_a_wrong_token_is_refused(house: House) -> None:
    assert refusal(house, "engineshed-join-guessed") == "enrol-token-unknown"


def test_an_api_token_is_no_enrolment_token(house: House) -> None:
    made = create_api_token(house.portal, name="x", scope=Scope.ADMIN, actor=Actor("test"), now=house.now)
    assert refusal(house, made.secret) == "enrol-token-unknown"


def test_a_token_joins_as_many_engines_as_it_says(house: House) -> None:
    token = make_token(house, uses=2).line.token
    assert join(house, token).engine != join(house, token).engine
    assert refusal(house, token) == "enrol-token-used"


def test_of_many_hosts_with_the_last_use_one_joins(house: House) -> None:
    token = make_token(house).line.token
    joined: list[str] = []
    refused: list[str] = []

    def one(number: int) -> None:
        try:
            joined.append(join(house, token, address=f"192.0.2.{number}").engine)
        except NotAuthenticated as err:
            refused.append(err.code)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(joined), refused) == (1, ["enrol-token-used"] * 4)


def fail(house: House, times: int) -> None:
    for _ in range(times):
        with pytest.raises(NotAuthenticated):
            join(house, "wrong")


def test_guessing_is_delayed_after_some_failures(house: House) -> None:
    fail(house, FREE_FAILURES + 1)
    with pytest.raises(TryLater) as caught:
        join(house, "wrong")
    assert (caught.value.code, caught.value.retry_after_s) == ("enrol-delayed", 2)


def test_the_delay_grows_up_to_a_limit(house: House) -> None:
    waits = []
    fail(house, FREE_FAILURES)
    for _ in range(13):
        fail(house, 1)
        with pytest.raises(TryLater) as caught:
            join(house, "wrong")
        waits.append(caught.value.retry_after_s - 1)
        house.now += timedelta(seconds=waits[-1])
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == MAX_WAIT_S


def test_one_who_guesses_keeps_no_good_token_from_joining(house: House) -> None:
    token = make_token(house).line.token
    fail(house, FREE_FAILURES + 1)
    join(house, token)
    assert refusal(house, "wrong") == "enrol-delayed"


def test_a_token_that_is_used_up_waits_like_a_wrong_one(house: House) -> None:
    token = make_token(house).line.token
    join(house, token)
    fail(house, FREE_FAILURES + 1)
    assert refusal(house, token) == "enrol-delayed"


def test_a_token_that_has_expired_waits_like_a_wrong_one(house: House) -> None:
    token = make_token(house, expires_s=1).line.token
    house.tick()
    fail(house, FREE_FAILURES + 1)
    assert refusal(house, token) == "enrol-delayed"


def test_another_address_does_not_have_to_wait(house: House) -> None:
    fail(house, FREE_FAILURES + 1)
    join(house, make_token(house).line.token, address="192.0.2.2")


def test_failures_are_forgotten_after_an_hour_without_any(house: House) -> None:
    fail(house, FREE_FAILURES + 1)
    house.now += timedelta(hours=1, seconds=1)
    fail(house, FREE_FAILURES)


def test_all_processes_count_together(house: House) -> None:
    other = house.reopen()
    fail(house, FREE_FAILURES)
    fail(other, 1)
    assert refusal(house, "wrong") == "enrol-delayed"
    other.portal.close()


def test_joining_and_failing_leave_rows_in_the_audit(house: House) -> None:
    join(house, make_token(house).line.token)
    fail(house, 1)
    assert house.audited()[1:] == ["enrol-token-created", "engine-enrolled", "enrolment-failed"]


@pytest.mark.parametrize(
    "terms",
    [{"uses": 0}, {"uses": 10**9}, {"expires_s": 0}, {"expires_s": 10**9}, {"group": "A b"}, {"group": ""}],
)
def test_terms_that_make_no_sense_are_refused(house: House, terms: dict[str, object]) -> None:
    with pytest.raises(Refused) as caught:
        make_token(house, **terms)
    assert caught.value.code == "enrol-token-terms"
