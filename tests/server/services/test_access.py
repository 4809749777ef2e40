from __future__ import annotations

from datetime import timedelta

import pytest

from engineshed_packages.enrolment import TokenAnswer, TokenRequest
from engineshed_packages.ids import derived_id
from engineshed_server.db import audit
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAuthenticated, ServerError, Throttled
from engineshed_server.services import access, engines
from engineshed_server.services.guesses import FREE_FAILURES
from engineshed_server.services.secret_texts import is_secret
from tests.server.portals import House
from tests.server.statements import counted


def issue(house: House, request: TokenRequest, *, address: str = "192.0.2.1") -> TokenAnswer:
    return access.issue(house.portal, request, address=address, now=house.now)


def guess(house: House, engine: str, *, address: str = "192.0.2.66", secret: str = "guessed") -> ServerError:
    with pytest.raises(ServerError) as caught:
        issue(house, TokenRequest(engine=engine, secret=secret), address=address)
    return caught.value


def test_a_secret_is_exchanged_for_a_token_that_proves_the_engine(house: House) -> None:
    engine = house.enrol()
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    answer = issue(house, request)
    assert answer.expires_s == house.portal.settings.access_token_s
    assert access.verify_engine(house.portal, answer.access_token, now=house.now) == engine.engine


def test_who_must_not_wait_asks_memory_alone(house: House) -> None:
    engine = house.enrol()
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    answer = issue(house, request)
    token = answer.access_token
    with counted(house.portal.database) as statements:
        assert access.recall_engine(house.portal, token, now=house.now) is None  # not seen before
    assert not statements
    access.verify_engine(house.portal, token, now=house.now)
    with counted(house.portal.database) as statements:
        assert access.recall_engine(house.portal, token, now=house.now) == engine.engine
        over = house.now + timedelta(seconds=answer.expires_s)
        assert access.recall_engine(house.portal, token, now=over) is None
    assert not statements


def test_who_is_revoked_is_refused_from_memory_too(house: House) -> None:
    engine = house.enrol()
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    token = issue(house, request).access_token
    access.verify_engine(house.portal, token, now=house.now)
    engines.revoke_engine(house.portal, engine.engine, actor=Actor("test"), now=house.now)
    house.portal.snapshot.refresh()
    with pytest.raises(NotAuthenticated) as caught:
        access.recall_engine(house.portal, token, now=house.now)
    assert caught.value.code == "engine-revoked"


def test_a_token_lasts_as_long_as_the_answer_says(house: House) -> None:
    engine = house.enrol()
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    answer = issue(house, request)
    house.now += timedelta(seconds=answer.expires_s)
    with pytest.raises(NotAuthenticated) as caught:
        access.verify_engine(house.portal, answer.access_token, now=house.now)
    assert caught.value.code == "access-token-expired"


def test_an_unknown_engine_and_a_wrong_secret_are_refused_alike(house: House) -> None:
    engine = house.enrol()
    codes = []
    for name, secret in ((engine.engine, "wrong"), (derived_id("eng", "nobody"), engine.secret)):
        with pytest.raises(NotAuthenticated) as caught:
            issue(house, TokenRequest(engine=name, secret=secret))
        codes.append(caught.value.code)
    assert codes == ["engine-secret-wrong"] * 2


def test_an_unknown_engine_and_a_wrong_secret_cost_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No early return tells a guesser that an engine exists: the same statements, and a secret compared."""
    engine = house.enrol()
    for boot in range(10):
        house.poll(engine, boot=f"boot-{boot}")
        house.portal.presence.flush(house.portal.database)
    names = {"known": engine.engine, "unknown": derived_id("eng", "nobody")}
    networks = {"known": "192.0.2", "unknown": "198.51.100"}  # nobody guesses twice: that would have to wait
    work: dict[str, list[str]] = {}
    for name, engine_id in names.items():
        compared: list[str] = []

        def noted(secret: str, hashed: str, compared: list[str] = compared) -> bool:
            compared.append(f"a secret of {len(secret)} with a hash of {len(hashed)}")
            return is_secret(secret, hashed)

        monkeypatch.setattr(access, "is_secret", noted)
        request = TokenRequest(engine=engine_id, secret="wrong")
        with counted(house.portal.database) as statements, pytest.raises(NotAuthenticated):
            issue(house, request, address=f"{networks[name]}.1")
        work[name] = [*statements, *compared]
        assert len(compared) == 1
    assert work["known"] == work["unknown"]


def test_guessed_secrets_are_delayed_per_address_and_the_waits_double(house: House) -> None:
    engine = house.enrol().engine
    unknown = derived_id("eng", "nobody")
    told = [guess(house, name).code for name in (engine, unknown) * 3]
    assert told == ["engine-secret-wrong"] * (FREE_FAILURES + 1)
    waits = []
    for _ in range(3):
        delayed = guess(house, engine)
        assert isinstance(delayed, Throttled)
        waits.append((delayed.code, delayed.retry_after_s))
        house.now += timedelta(seconds=delayed.retry_after_s)
        assert guess(house, engine).code == "engine-secret-wrong"
    assert waits == [("token-delayed", 2), ("token-delayed", 3), ("token-delayed", 5)]
    assert guess(house, engine, address="192.0.2.67").code == "engine-secret-wrong"


def test_an_engine_gets_its_token_at_once_whoever_guesses_for_it_even_behind_its_own_address(
    house: House,
) -> None:
    engine = house.enrol()
    for _ in range(FREE_FAILURES + 2):
        guess(house, engine.engine)
    assert guess(house, engine.engine).code == "token-delayed"
    answer = issue(house, TokenRequest(engine=engine.engine, secret=engine.secret), address="192.0.2.66")
    assert access.verify_engine(house.portal, answer.access_token, now=house.now) == engine.engine


def test_guessed_secrets_are_audited_and_those_that_wait_are_not(house: House) -> None:
    engine = house.enrol().engine
    for _ in range(FREE_FAILURES + 3):
        guess(house, engine)
    guess(house, derived_id("eng", "nobody"), address="192.0.2.67")
    with house.portal.database.read() as session:
        rows = [row for row in audit.list_audit(session) if row.action == "engine-secret-wrong"]
    assert [row.subject for row in rows] == [engine] * (FREE_FAILURES + 1) + ["unknown engine"]
    assert {row.actor.address for row in rows[:-1]} == {"192.0.2.66"}


def test_one_engines_secret_is_not_anothers(house: House) -> None:
    one, two = house.enrol(), house.enrol()
    with pytest.raises(NotAuthenticated):
        issue(house, TokenRequest(engine=one.engine, secret=two.secret))


def test_a_revoked_engine_gets_no_token(house: House) -> None:
    engine = house.enrol()
    engines.revoke_engine(house.portal, engine.engine, actor=Actor("test"), now=house.now)
    with pytest.raises(NotAuthenticated) as caught:
        issue(house, TokenRequest(engine=engine.engine, secret=engine.secret))
    assert caught.value.code == "engine-revoked"


def test_a_token_that_is_still_good_is_refused_once_its_engine_is_revoked(house: House) -> None:
    engine = house.enrol()
    token = house.portal.access.issue(engine.engine, lifetime_s=1800, now=house.now)
    access.verify_engine(house.portal, token, now=house.now)
    engines.revoke_engine(house.portal, engine.engine, actor=Actor("test"), now=house.now)
    with pytest.raises(NotAuthenticated) as caught:
        access.verify_engine(house.portal, token, now=house.now)
    assert caught.value.code == "engine-revoked"


def test_a_token_of_another_portal_is_refused(house: House) -> None:
    engine = house.enrol()
    # The same key, as after a copied secrets folder: the issuer still tells them apart.
    key = house.portal.folders.access_key.read_bytes()
    other = type(house.portal.access)(key, issuer=derived_id("ptl", "other"))
    token = other.issue(engine.engine, lifetime_s=60, now=house.now)
    with pytest.raises(NotAuthenticated) as caught:
        access.verify_engine(house.portal, token, now=house.now)
    assert caught.value.code == "access-token-refused"
