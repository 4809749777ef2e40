"""Access tokens of engines: the only module that knows they are JWTs.

To the engine a token is an opaque text. Here it is HS256 with one random key of this portal. The library
proves the signature; everything else is checked here, because it does not: the type in the header, the
size before anything is parsed, the whole lifetime, and the time, which is an argument. The algorithm is
pinned, so that neither ``none`` nor a public key passed off as a secret is ever tried (CVE-2022-29217).

Verified tokens are remembered: a poll costs no HMAC. What is remembered still expires, and whether the
engine is revoked is asked elsewhere, each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import jwt

from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.ids import check_id
from engineshed_server.errors import NotAuthenticated

ALGORITHM = "HS256"
TYPE = "engineshed-access+jwt"
AUDIENCE = "engineshed-engine"
KEY_BYTES = 32
MAX_TOKEN_BYTES = 2048
MAX_LIFETIME_S = 86400
CLOCK_SKEW_S = 60  # two web hosts of one portal may disagree by that much
MAX_REMEMBERED = 20_000
_CLAIMS = ("iss", "aud", "sub", "iat", "exp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A token whose signature and claims were found right.

    Attributes:
        expires: its ``exp``.
        secret_no: which of the engine's secrets it was bought with.
        generation: of the database when it was issued; a memory older than that does not know the engine.
    """

    engine_id: str
    expires: datetime
    secret_no: int = 1
    generation: int = 0


def _refused(message: str) -> NotAuthenticated:
    return NotAuthenticated(
        "access-token-refused", f"the access token is refused: {message}; ask for a new one"
    )


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as err:
        raise _refused("its times are out of this world") from err


class AccessTokens:
    """Issues and verifies the access tokens of one portal.

    Args:
        key: 32 random bytes that never leave the portal.
        issuer: the portal's id.
    """

    def __init__(self, key: bytes, *, issuer: str) -> None:
        if len(key) < KEY_BYTES:
            raise ValueError(f"the key of the access tokens has {len(key)} bytes, expected {KEY_BYTES}")
        self._key = key
        self._issuer = issuer
        self._remembered: OrderedDict[str, Access] = OrderedDict()
        self._lock = threading.Lock()

    def issue(
        self, engine_id: str, *, lifetime_s: int, now: datetime, secret_no: int = 1, generation: int = 0
    ) -> str:
        """A new token for *engine_id*, good for *lifetime_s* seconds from *now*."""
        issued = int(now.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": engine_id,
            "iat": issued,
            "exp": issued + min(lifetime_s, MAX_LIFETIME_S),
            "sec": secret_no,
            "gen": generation,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"typ": TYPE})

    def verify(self, token: str, *, now: datetime) -> Access:
        """What *token* says, when it is ours and good at *now*.

        Raises:
            NotAuthenticated: codes ``access-token-too-large``, ``access-token-refused`` and
                ``access-token-expired``.
        """
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise NotAuthenticated(
                "access-token-too-large", f"an access token has at most {MAX_TOKEN_BYTES} ASCII characters"
            )
        access = self.recall(token)
        if access is None:
            access = self._read(token, now=now)
            self._remember(token, access)
        if now >= access.expires:
            raise NotAuthenticated("access-token-expired", "the access token has expired: ask for a new one")
        return access

    def _read(self, token: str, *, now: datetime) -> Access:
        try:
            decoded = jwt.decode_complete(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                # Times are compared below with the caller's clock, not with the library's.
                options={
                    "require": list(_CLAIMS),
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.InvalidTokenError as err:
            raise _refused(str(err)[:200]) from err
        if decoded["header"].get("typ") != TYPE:
            raise _refused("it is a token of another kind")
        return self._check_claims(decoded["payload"], now=now)

    @staticmethod
    def _check_claims(claims: Mapping[str, object], *, now: datetime) -> Access:
        issued, expires, audience = claims["iat"], claims["exp"], claims["aud"]
        if audience != AUDIENCE:
            raise _refused("it is for more than one audience")
        # type() and not isinstance(): true is an int to Python.
        if type(issued) is not int or type(expires) is not int:
            raise _refused("its times are no whole numbers")
        if not 0 < expires - issued <= MAX_LIFETIME_S:
            raise _refused(f"it is good for {expires - issued} seconds, at most {MAX_LIFETIME_S} are issued")
        if issued > now.timestamp() + CLOCK_SKEW_S:
            raise _refused("it was issued in the future")
        try:
            engine_id = check_id("eng", claims["sub"])
        except ProtocolRefused as err:
            raise _refused("its subject is no engine") from err
        # Tokens of the version before this one name neither; they bought theirs with the first secret.
        secret_no, generation = claims.get("sec", 1), claims.get("gen", 0)
        if type(secret_no) is not int or type(generation) is not int:
            raise _refused("its numbers are no whole numbers")
        return Access(
            engine_id=engine_id, expires=_moment(expires), secret_no=secret_no, generation=generation
        )

    def recall(self, token: str) -> Access | None:
        """What *token* was found to say before, which may be over by now; None: it was not verified yet."""
        with self._lock:
            access = self._remembered.get(token)
            if access is not None:
                self._remembered.move_to_end(token)
            return access

    def _remember(self, token: str, access: Access) -> None:
        with self._lock:
            self._remembered[token] = access
            while len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
