"""Abuse row 13: what is no access token of this portal never becomes one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engineshed_packages.ids import derived_id
from engineshed_server.errors import NotAuthenticated
from engineshed_server.services import access_tokens
from engineshed_server.services.access_tokens import AUDIENCE, TYPE, AccessTokens

KEY = bytes(range(32))
PORTAL = derived_id("ptl", "one")
ENGINE = derived_id("eng", "one")
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


@pytest.fixture
def tokens() -> AccessTokens:
    return AccessTokens(KEY, issuer=PORTAL)


def claims(**changes: object) -> dict[str, object]:
    good = {"iss": PORTAL, "aud": AUDIENCE, "sub": ENGINE, "iat": SECONDS, "exp": SECONDS + 1800}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def forged(
    changes: dict[str, object] | None = None, *, header: dict[str, object] | None = None, key: bytes = KEY
) -> str:
    """A token signed as ours with anything in it; written here, so that no library stands in the way."""
    parts = [{"alg": "HS256", "typ": TYPE, **(header or {})}, claims(**(changes or {}))]
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.new(key, text, hashlib.sha256).digest()).rstrip(b"=")
    return (text + b"." + signature).decode()


def refused(tokens: AccessTokens, token: str, *, now: datetime = NOW) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        tokens.verify(token, now=now)
    return caught.value.code


def test_a_token_of_ours_says_whose_it_is(tokens: AccessTokens) -> None:
    token = tokens.issue(ENGINE, lifetime_s=1800, now=NOW)
    access = tokens.verify(token, now=NOW)
    assert (access.engine_id, access.expires) == (ENGINE, NOW + timedelta(seconds=1800))


def test_the_forging_of_this_test_is_right_where_nothing_is_wrong(tokens: AccessTokens) -> None:
    assert tokens.verify(forged(), now=NOW).engine_id == ENGINE


def test_a_token_is_good_until_the_second_it_expires(tokens: AccessTokens) -> None:
    token = tokens.issue(ENGINE, lifetime_s=60, now=NOW)
    tokens.verify(token, now=NOW + timedelta(seconds=59))
    assert refused(tokens, token, now=NOW + timedelta(seconds=60)) == "access-token-expired"


def test_a_token_remembered_as_good_still_expires(tokens: AccessTokens) -> None:
    token = tokens.issue(ENGINE, lifetime_s=60, now=NOW)
    for _ in range(2):
        tokens.verify(token, now=NOW)
    assert refused(tokens, token, now=NOW + timedelta(hours=1)) == "access-token-expired"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_an_unsigned_token_is_refused(tokens: AccessTokens, algorithm: str) -> None:
    header, payload, _ = forged(header={"alg": algorithm}).split(".")
    assert refused(tokens, f"{header}.{payload}.") == "access-token-refused"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_our_key_under_another_algorithm_is_refused(tokens: AccessTokens, algorithm: str) -> None:
    key = KEY * 2
    token = jwt.encode(claims(), key, algorithm=algorithm, headers={"typ": TYPE})
    assert refused(AccessTokens(key, issuer=PORTAL), token) == "access-token-refused"


def test_a_public_key_passed_off_as_the_secret_is_refused(tokens: AccessTokens) -> None:
    private = Ed25519PrivateKey.generate()
    token = jwt.encode(claims(), private, algorithm="EdDSA", headers={"typ": TYPE})
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert refused(AccessTokens(public, issuer=PORTAL), token) == "access-token-refused"


def test_another_portals_key_is_refused(tokens: AccessTokens) -> None:
    assert refused(tokens, forged(key=b"x" * 32)) == "access-token-refused"


@pytest.mark.parametrize("kind", ["JWT", "engineshed-licence+jwt", "", None, 1])
def test_a_token_of_another_kind_is_refused(tokens: AccessTokens, kind: object) -> None:
    assert refused(tokens, forged(header={"typ": kind})) == "access-token-refused"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": derived_id("ptl", "two")},
        {"iss": [PORTAL]},
        {"aud": "engineshed-person"},
        {"aud": [AUDIENCE, "other"]},
        {"aud": [AUDIENCE]},
        {"sub": "ptl_aaaaaaaaaaaaaaaaaaaa"},
        {"sub": "admin"},
        {"sub": 7},
        {"exp": SECONDS + 1800.5},
        {"exp": str(SECONDS + 1800)},
        {"exp": True},
        {"exp": SECONDS + 86_401},
        {"exp": 10**30},
        {"iat": SECONDS + 3600, "exp": SECONDS + 7200},
        {"iat": SECONDS + 1800},
        {"iat": False},
        {"iat": -(10**30), "exp": -(10**30) + 5},
        {"iat": -62_135_596_900, "exp": -62_135_596_850},
        {"iat": 10**400, "exp": 10**400 + 5},
    ],
)
def test_a_claim_that_is_not_as_we_write_it_is_refused(
    tokens: AccessTokens, changes: dict[str, object]
) -> None:
    assert refused(tokens, forged(changes)) == "access-token-refused"


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "iat", "exp"])
def test_a_token_without_one_of_its_claims_is_refused(tokens: AccessTokens, name: str) -> None:
    assert refused(tokens, forged({name: None})) == "access-token-refused"


def test_an_oversized_token_is_refused_before_it_is_read(tokens: AccessTokens) -> None:
    assert refused(tokens, forged({"padding": "x" * 3000})) == "access-token-too-large"


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "..", "a.b.c.d", "\x00.\x00.\x00", "{}.{}.{}"])
def test_what_is_no_token_at_all_is_refused(tokens: AccessTokens, token: str) -> None:
    assert refused(tokens, token) == "access-token-refused"


def test_a_token_that_is_no_ascii_is_refused(tokens: AccessTokens) -> None:
    assert refused(tokens, "ä.ö.ü") == "access-token-too-large"


def test_a_header_that_nests_too_deeply_is_refused(tokens: AccessTokens) -> None:
    header = base64.urlsafe_b64encode(b"[" * 1400).rstrip(b"=").decode()
    assert refused(tokens, f"{header}.e30.e30") == "access-token-refused"


def test_an_altered_token_is_refused(tokens: AccessTokens) -> None:
    token = tokens.issue(ENGINE, lifetime_s=60, now=NOW)
    header, _, signature = token.split(".")
    payload = forged({"sub": derived_id("eng", "two")}).split(".")[1]
    assert refused(tokens, f"{header}.{payload}.{signature}") == "access-token-refused"


def test_a_lifetime_is_never_longer_than_a_day(tokens: AccessTokens) -> None:
    token = tokens.issue(ENGINE, lifetime_s=10**6, now=NOW)
    assert tokens.verify(token, now=NOW).expires == NOW + timedelta(days=1)


def test_what_is_remembered_is_bounded(tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "MAX_REMEMBERED", 2)
    issued = [tokens.issue(ENGINE, lifetime_s=60 + extra, now=NOW) for extra in range(4)]
    for token in issued:
        tokens.verify(token, now=NOW)
    assert list(tokens._remembered) == issued[2:]


def test_a_short_key_is_a_bug() -> None:
    with pytest.raises(ValueError, match="expected 32"):
        AccessTokens(b"short", issuer=PORTAL)
