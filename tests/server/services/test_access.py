from __future__ import annotations

import statistics
import time
from datetime import timedelta

import pytest

from engineshed_packages.enrolment import TokenRequest
from engineshed_packages.ids import derived_id
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAuthenticated
from engineshed_server.services import access, engines
from tests.server.portals import House
from tests.server.statements import counted


def test_a_secret_is_exchanged_for_a_token_that_proves_the_engine(house: House) -> None:
    engine = house.enrol()
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    answer = access.issue(house.portal, request, now=house.now)
    assert answer.expires_s == house.portal.settings.access_token_s
    assert access.verify_engine(house.portal, answer.access_token, now=house.now) == engine.engine


def test_a_token_lasts_as_long_as_the_answer_says(house: House) -> None:
    engine = house.enrol()
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    answer = access.issue(house.portal, request, now=house.now)
    house.now += timedelta(seconds=answer.expires_s)
    with pytest.raises(NotAuthenticated) as caught:
        access.verify_engine(house.portal, answer.access_token, now=house.now)
    assert caught.value.code == "access-token-expired"


def test_an_unknown_engine_and_a_wrong_secret_are_refused_alike(house: House) -> None:
    engine = house.enrol()
    codes = []
    for name, secret in ((engine.engine, "wrong"), (derived_id("eng", "nobody"), engine.secret)):
        with pytest.raises(NotAuthenticated) as caught:
            access.issue(house.portal, TokenRequest(engine=name, secret=secret), now=house.now)
        codes.append(caught.value.code)
    assert codes == ["engine-secret-wrong"] * 2


def test_an_unknown_engine_and_a_wrong_secret_cost_the_same(house: House) -> None:
    """No early return tells a guesser that an engine exists; measured in turn, so that load hits both."""
    engine = house.enrol()
    for boot in range(10):
        house.poll(engine, boot=f"boot-{boot}")
        house.portal.presence.flush(house.portal.database)
    names = {"known": engine.engine, "unknown": derived_id("eng", "nobody")}
    work: dict[str, list[str]] = {}
    took_s: dict[str, list[float]] = {name: [] for name in names}
    for number in range(60):
        for name, engine_id in names.items():
            request = TokenRequest(engine=engine_id, secret="wrong")
            with counted(house.portal.database) as statements:
                began = time.perf_counter()
                with pytest.raises(NotAuthenticated):
                    access.issue(house.portal, request, now=house.now)
                took_s[name].append(time.perf_counter() - began)
            if number == 0:
                work[name] = statements
    assert work["known"] == work["unknown"]
    known, unknown = (statistics.median(took_s[name]) for name in names)
    assert 0.6 < known / unknown < 1.67


def test_one_engines_secret_is_not_anothers(house: House) -> None:
    one, two = house.enrol(), house.enrol()
    with pytest.raises(NotAuthenticated):
        access.issue(house.portal, TokenRequest(engine=one.engine, secret=two.secret), now=house.now)


def test_a_revoked_engine_gets_no_token(house: House) -> None:
    engine = house.enrol()
    engines.revoke_engine(house.portal, engine.engine, actor=Actor("test"), now=house.now)
    with pytest.raises(NotAuthenticated) as caught:
        access.issue(house.portal, TokenRequest(engine=engine.engine, secret=engine.secret), now=house.now)
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
