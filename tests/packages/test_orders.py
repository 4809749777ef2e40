"""Every rule by which an engine accepts or refuses an order, each with its own code."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engineshed_packages.enrolment import OrderKey
from engineshed_packages.errors import OrderRefused
from engineshed_packages.ids import new_id
from engineshed_packages.order_keys import load_order_signer, make_order_key
from engineshed_packages.orders import (
    PAYLOAD_TYPE,
    Accepted,
    EngineFacts,
    Order,
    Package,
    SignedOrder,
    Window,
    accept_order,
    sign_order,
    verify_order,
)
from engineshed_packages.target import Target, target_path
from engineshed_packages.versions import Version

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
PORTAL = new_id("ptl")
ENGINE = new_id("eng")
PATH = target_path("sample-engine", Version.parse("1.1.0"), "any")


def a_target(**changes: object) -> Target:
    fields: dict[str, object] = {
        "path": PATH,
        "length_bytes": 1000,
        "sha256": "ab" * 32,
        "product": "sample-engine",
        "version": Version.parse("1.1.0"),
        "platform": "any",
        "manifest_sha256": "cd" * 32,
        "disk_bytes": 4000,
        "published": NOW,
    }
    return Target(**{**fields, **changes})  # type: ignore[arg-type]  # a table of fields for the cases below


def an_order(**changes: object) -> Order:
    order = Order(
        portal=PORTAL,
        engine=ENGINE,
        id=new_id("ord"),
        seq=5,
        issued=NOW,
        accept_before=NOW + timedelta(hours=24),
        do="install",
        package=Package(path=PATH, length_bytes=1000, sha256="ab" * 32, version=Version.parse("1.1.0")),
    )
    return replace(order, **changes)  # type: ignore[arg-type]  # a table of fields for the cases below


def facts(**changes: object) -> EngineFacts:
    known = EngineFacts(
        portal=PORTAL,
        engine=ENGINE,
        product="sample-engine",
        platform="linux-x86_64",
        installed=Version.parse("1.0.0"),
        accepted={"k1": Accepted(seq=4, id=new_id("ord"))},
    )
    return replace(known, **changes)  # type: ignore[arg-type]  # a table of fields for the cases below


def code_of(order: Order, target: Target | None, known: EngineFacts, now: datetime = NOW) -> str:
    with pytest.raises(OrderRefused) as refusal:
        accept_order(SignedOrder(order=order, keyid="k1"), target, facts=known, now=now)
    return refusal.value.code


def test_an_order_that_satisfies_every_rule_is_accepted() -> None:
    accept_order(SignedOrder(order=an_order(), keyid="k1"), a_target(), facts=facts(), now=NOW)


V1, V09, V2 = Version.parse("1.0.0"), Version.parse("0.9"), Version.parse("2.0")
OTHER_PACKAGE = Package(path=PATH, length_bytes=1001, sha256="ab" * 32, version=Version.parse("1.1.0"))
OTHER_DIGEST = Package(path=PATH, length_bytes=1000, sha256="ac" * 32, version=Version.parse("1.1.0"))
WINDOWS_PATH = target_path("sample-engine", Version.parse("1.1.0"), "windows-x86_64")
WINDOWS_TARGET = a_target(platform="windows-x86_64", path=WINDOWS_PATH)
FOR_WINDOWS = Package(path=WINDOWS_PATH, length_bytes=1000, sha256="ab" * 32, version=Version.parse("1.1.0"))
OTHER_VERSION = Package(path=PATH, length_bytes=1000, sha256="ab" * 32, version=V2)


@pytest.mark.parametrize(
    ("code", "order", "target", "known"),
    [
        ("order-other-portal", an_order(portal=new_id("ptl")), a_target(), facts()),
        ("order-other-engine", an_order(engine=new_id("eng")), a_target(), facts()),
        ("order-expired", an_order(accept_before=NOW), a_target(), facts()),
        ("order-replayed", an_order(seq=4), a_target(), facts()),
        ("order-replayed", an_order(seq=3), a_target(), facts()),
        ("order-unsupported", an_order(do="dance"), a_target(), facts()),
        ("order-unreadable", an_order(package=None), a_target(), facts()),
        ("order-target-unknown", an_order(), None, facts()),
        ("order-target-mismatch", an_order(package=OTHER_PACKAGE), a_target(), facts()),
        ("order-target-mismatch", an_order(package=OTHER_DIGEST), a_target(), facts()),
        ("order-target-mismatch", an_order(package=OTHER_VERSION), a_target(), facts()),
        ("order-other-product", an_order(), a_target(), facts(product="another")),
        ("order-other-platform", an_order(package=FOR_WINDOWS), WINDOWS_TARGET, facts()),
        ("order-withdrawn", an_order(), a_target(withdrawn=True), facts()),
        ("order-not-newer", an_order(), a_target(), facts(installed=Version.parse("1.1"))),
        ("order-not-newer", an_order(), a_target(), facts(installed=V2)),
        ("order-below-floor", an_order(), a_target(), facts(floors={"sample-engine": V2})),
        (
            "order-below-floor",
            an_order(allow_downgrade=True),
            a_target(),
            facts(installed=Version.parse("3"), floors={"sample-engine": V2}),
        ),
        ("order-min-version", an_order(), a_target(min_version=Version.parse("1.0.5")), facts()),
        ("order-skipped", an_order(), a_target(), facts(skipped=frozenset({"ab" * 32}))),
    ],
)
def test_each_broken_rule_refuses_with_its_own_code(
    code: str, order: Order, target: Target | None, known: EngineFacts
) -> None:
    assert code_of(order, target, known) == code


def test_the_order_accepted_last_may_come_again() -> None:
    order = an_order(seq=4)
    known = facts(accepted={"k1": Accepted(seq=4, id=order.id)})
    accept_order(SignedOrder(order=order, keyid="k1"), a_target(), facts=known, now=NOW)


def test_seq_is_counted_under_each_key_alone() -> None:
    accept_order(SignedOrder(order=an_order(seq=1), keyid="k2"), a_target(), facts=facts(), now=NOW)


def test_a_downgrade_is_accepted_when_ordered_and_not_below_the_floor() -> None:
    known = facts(installed=V2, floors={"sample-engine": V1})
    order = an_order(allow_downgrade=True)
    accept_order(SignedOrder(order=order, keyid="k1"), a_target(), facts=known, now=NOW)


def test_retry_overrides_the_skip_list() -> None:
    known = facts(skipped=frozenset({"ab" * 32}))
    accept_order(SignedOrder(order=an_order(retry=True), keyid="k1"), a_target(), facts=known, now=NOW)


@pytest.fixture(scope="module")
def key() -> tuple[bytes, OrderKey]:
    return make_order_key()


def test_a_signed_order_is_read_back_whole(key: tuple[bytes, OrderKey]) -> None:
    pem, public = key
    order = an_order(
        window=Window(opens=NOW, closes=NOW + timedelta(hours=2)),
        start_before=NOW + timedelta(hours=3),
        offline_start=True,
        retry=True,
        allow_downgrade=True,
        next_keys=(public,),
        next_portals=("https://portal.example",),
        message="Grüße",
        extra={"later": [1, {"a": "b"}]},
    )
    signer, _ = load_order_signer(pem)
    signed = verify_order(sign_order(order, signer), [public])
    assert signed == SignedOrder(order=order, keyid=public.keyid)


def test_verifying_leaves_the_envelope_as_it_was(key: tuple[bytes, OrderKey]) -> None:
    pem, public = key
    envelope = sign_order(an_order(), load_order_signer(pem)[0])
    before = json.dumps(envelope)
    verify_order(envelope, [public])
    verify_order(envelope, [public])
    assert json.dumps(envelope) == before


def test_another_portals_key_is_refused(key: tuple[bytes, OrderKey]) -> None:
    pem, _ = key
    with pytest.raises(OrderRefused) as refusal:
        verify_order(sign_order(an_order(), load_order_signer(pem)[0]), [make_order_key()[1]])
    assert refusal.value.code == "order-signature"


def test_an_altered_payload_is_refused(key: tuple[bytes, OrderKey]) -> None:
    pem, public = key
    envelope = sign_order(an_order(), load_order_signer(pem)[0])
    envelope["payload"] = base64.b64encode(an_order(seq=99).to_bytes()).decode()
    with pytest.raises(OrderRefused) as refusal:
        verify_order(envelope, [public])
    assert refusal.value.code == "order-signature"


def test_a_stranger_cannot_sign_under_the_portals_keyid(key: tuple[bytes, OrderKey]) -> None:
    _, public = key
    stranger, _ = make_order_key()
    envelope = sign_order(an_order(), load_order_signer(stranger)[0])
    envelope["signatures"] = [{**envelope["signatures"][0], "keyid": public.keyid}]  # type: ignore[dict-item,index]  # a DSSE envelope has this shape
    with pytest.raises(OrderRefused) as refusal:
        verify_order(envelope, [public])
    assert refusal.value.code == "order-signature"


def test_a_licence_signed_by_the_same_key_is_no_order(key: tuple[bytes, OrderKey]) -> None:
    pem, public = key
    envelope = sign_order(an_order(), load_order_signer(pem)[0])
    envelope["payloadType"] = "application/vnd.engineshed.licence+json"
    with pytest.raises(OrderRefused) as refusal:
        verify_order(envelope, [public])
    assert refusal.value.code == "order-payload-type"


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {"payload": 5, "payloadType": PAYLOAD_TYPE, "signatures": []},
        {"payload": "!!!", "payloadType": PAYLOAD_TYPE, "signatures": []},
        {"payload": "e30=", "payloadType": PAYLOAD_TYPE, "signatures": [{"keyid": "a", "sig": "*"}]},
        {"payload": "e30=", "payloadType": PAYLOAD_TYPE, "signatures": [{}] * 9},
        {"payload": "e30=", "payloadType": PAYLOAD_TYPE, "signatures": "abc"},
    ],
)
def test_an_envelope_that_cannot_be_read_is_refused(
    envelope: dict[str, object], key: tuple[bytes, OrderKey]
) -> None:
    with pytest.raises(OrderRefused) as refusal:
        verify_order(envelope, [key[1]])  # type: ignore[arg-type]  # hostile JSON on purpose
    assert refusal.value.code == "order-unreadable"


def test_an_unsigned_envelope_is_refused(key: tuple[bytes, OrderKey]) -> None:
    envelope = {"payload": "e30=", "payloadType": PAYLOAD_TYPE, "signatures": []}
    with pytest.raises(OrderRefused) as refusal:
        verify_order(envelope, [key[1]])  # type: ignore[arg-type]  # an empty list is a list of Json
    assert refusal.value.code == "order-signature"


@pytest.mark.parametrize("name", ["portal", "engine", "id", "seq", "accept_before", "do"])
def test_a_signed_order_without_a_needed_claim_is_refused(name: str, key: tuple[bytes, OrderKey]) -> None:
    claims = json.loads(an_order().to_bytes())
    del claims[name]
    with pytest.raises(OrderRefused) as refusal:
        Order.from_bytes(json.dumps(claims).encode())
    assert refusal.value.code == "order-unreadable"
