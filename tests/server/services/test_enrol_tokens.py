from __future__ import annotations

import json
from datetime import timedelta

import pytest

from engineshed_packages.enrolment import EnrolLine
from engineshed_packages.ids import derived_id
from engineshed_server.db import audit
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotFound, Refused
from engineshed_server.services import enrol_tokens
from engineshed_server.services.enrol_tokens import EnrolTerms, NewEnrolToken
from tests.server.portals import House
from tests.vendor import PRODUCT

ADMIN = Actor("token:tok_admin", address="198.51.100.7", request="req-1")


def make(house: House, **terms: object) -> NewEnrolToken:
    wanted = EnrolTerms(**terms)  # type: ignore[arg-type]  # what does not fit fails in the test itself
    return enrol_tokens.create_enrol_token(house.portal, wanted, actor=ADMIN, now=house.now)


def test_a_token_is_shown_on_its_terms_and_without_itself(house: House) -> None:
    made = make(
        house,
        name="hosts in Berlin",
        group="berlin",
        product=PRODUCT,
        networks=("::ffff:10.0.0.0/104",),
        needs_approval=True,
        uses=20,
        expires_s=7 * 86400,
    )
    shown = enrol_tokens.show_enrol_token(house.portal, made.token.token_id, now=house.now)
    assert shown == made.token
    assert (shown.name, shown.group, shown.product) == ("hosts in Berlin", "berlin", PRODUCT)
    assert (shown.networks, shown.needs_approval, shown.replaces) == (("10.0.0.0/8",), True, None)
    assert (shown.uses, shown.uses_left, shown.expires) == (20, 20, house.now + timedelta(days=7))
    assert made.line.token not in repr(made)


def test_the_line_names_the_product_the_token_is_for(house: House) -> None:
    line = EnrolLine.parse(make(house, product=PRODUCT).line.text())
    assert line.product == PRODUCT
    assert EnrolLine.parse(make(house).line.text()).product is None


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"networks": ("10.0.0.1/8",)}, "network-unreadable"),
        ({"networks": tuple(f"10.{one}.0.0/16" for one in range(21))}, "networks-too-many"),
        ({"group": "A b"}, "group-name"),
        ({"group": ""}, "group-name"),
        ({"product": "No Product"}, "enrol-token-terms"),
        ({"name": "n" * 201}, "enrol-token-terms"),
        ({"name": "two\nlines"}, "enrol-token-terms"),
        ({"replaces": derived_id("eng", "x"), "uses": 2}, "enrol-token-terms"),
        ({"replaces": derived_id("eng", "x"), "group": "berlin"}, "enrol-token-terms"),
        ({"replaces": derived_id("eng", "x"), "product": PRODUCT}, "enrol-token-terms"),
    ],
)
def test_terms_that_make_no_sense_are_refused(house: House, terms: dict[str, object], code: str) -> None:
    with pytest.raises(Refused) as caught:
        make(house, **terms)
    assert caught.value.code == code


def test_a_token_for_the_place_of_an_engine_takes_its_group_and_product(house: House) -> None:
    engine = house.enrol(group="berlin")
    made = make(house, replaces=engine.engine)
    assert (made.token.group, made.token.product) == ("berlin", PRODUCT)
    assert made.token.replaces == engine.engine


def test_a_token_for_the_place_of_nobody_is_refused(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        make(house, replaces=derived_id("eng", "nobody"))
    assert caught.value.code == "engine-unknown"


def test_tokens_are_listed_in_pages(house: House) -> None:
    made = {make(house).token.token_id for _ in range(3)}
    first = enrol_tokens.list_enrol_tokens(house.portal, now=house.now, limit=2)
    second = enrol_tokens.list_enrol_tokens(house.portal, now=house.now, limit=2, cursor=first.next_cursor)
    assert {one.token_id for one in (*first.tokens, *second.tokens)} == made
    assert (first.next_cursor is None, second.next_cursor) == (False, None)


def test_the_newest_tokens_are_listed_a_page_at_a_time(house: House) -> None:
    made = sorted(make(house).token.token_id for _ in range(3))
    house.tick()
    made.append(make(house).token.token_id)
    first = enrol_tokens.newest_enrol_tokens(house.portal, now=house.now, limit=2)
    second = enrol_tokens.newest_enrol_tokens(house.portal, now=house.now, limit=2, after=first.after)
    assert [one.token_id for one in (*first.tokens, *second.tokens)] == made[::-1]
    assert (first.after is None, second.after) == (False, None)


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_has_a_size_that_makes_sense(house: House, limit: int) -> None:
    with pytest.raises(Refused) as caught:
        enrol_tokens.list_enrol_tokens(house.portal, now=house.now, limit=limit)
    assert caught.value.code == "page-limit"


def test_it_is_told_why_nobody_can_join_any_more(house: House) -> None:
    def state_of(token_id: str, **later: float) -> str:
        at = house.now + timedelta(**later)
        return enrol_tokens.show_enrol_token(house.portal, token_id, now=at).state

    token_id = make(house, expires_s=60).token.token_id
    assert (state_of(token_id), state_of(token_id, seconds=60)) == ("good", "expired")
    house.enrol()
    (used,) = (
        one for one in enrol_tokens.list_enrol_tokens(house.portal, now=house.now).tokens if not one.uses_left
    )
    assert used.state == "used"
    enrol_tokens.revoke_enrol_token(house.portal, token_id, actor=ADMIN, now=house.now)
    assert state_of(token_id) == "revoked"


def test_a_token_is_revoked_once(house: House) -> None:
    token_id = make(house).token.token_id
    done = [
        enrol_tokens.revoke_enrol_token(house.portal, token_id, actor=ADMIN, now=house.now) for _ in range(2)
    ]
    assert done == [True, False]
    assert house.audited().count("enrol-token-revoked") == 1


def test_an_unknown_token_is_told(house: House) -> None:
    with pytest.raises(NotFound) as shown:
        enrol_tokens.show_enrol_token(house.portal, "tok_x", now=house.now)
    with pytest.raises(NotFound) as revoked:
        enrol_tokens.revoke_enrol_token(house.portal, "tok_x", actor=ADMIN, now=house.now)
    assert (shown.value.code, revoked.value.code) == ("no-such-enrol-token",) * 2


def test_the_audit_says_who_made_it_from_where_and_on_what_terms(house: House) -> None:
    made = make(house, name="ci", networks=("10.0.0.0/8",), uses=3)
    with house.portal.database.read() as session:
        record = audit.list_audit(session)[-1]
    assert (record.action, record.subject, record.actor) == (
        "enrol-token-created",
        made.token.token_id,
        ADMIN,
    )
    assert record.after is not None
    after = json.loads(record.after)
    assert (after["name"], after["networks"], after["uses"]) == ("ci", "10.0.0.0/8", 3)
    assert made.line.token not in record.after
