"""Passwords of people: argon2id, and the same time whether or not there is such a person.

One is worked on at a time in each process: a hash costs 19 MiB and some 30 ms, and whoever sends guesses
from everywhere must not get a gigabyte of the portal's memory for it. Who cannot wait for his turn is told to
come again. What is looked up to judge a guess is looked up within the turn: guesses that arrive together are
counted one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from engineshed_server.errors import Refused, TryLater

MIN_CHARS = 12  # NIST SP 800-63B asks for 8, and for 15 where nothing else is asked for
MAX_CHARS = 200
TURN_S = 10.0
# OWASP's least: more would be memory that an attacker can make the portal take.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_turn = threading.Lock()


@contextmanager
def turn() -> Iterator[None]:
    """The only one of this process that works on passwords.

    Raises:
        TryLater: code ``login-busy``.
    """
    if not _turn.acquire(timeout=TURN_S):
        raise TryLater("login-busy", "too many people log in at this moment: try again in some seconds")
    try:
        yield
    finally:
        _turn.release()


def check_password(password: str, *, user_name: str) -> None:
    """Refuse a new password that is too short, too long, or the user's own name.

    Raises:
        Refused: code ``password-weak``.
    """
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise Refused(
            "password-weak",
            f"the password has {len(password)} characters, expected {MIN_CHARS} to {MAX_CHARS}: "
            "a few words in a row are easy to keep",
        )
    if len(set(password)) < MIN_CHARS // 3 or user_name in password.lower():
        raise Refused("password-weak", "the password is a name or nearly one character: choose a few words")


def hash_password(password: str) -> str:
    """What is stored of *password*; to be called within ``turn``."""
    return _HASHER.hash(password)


def is_password(password: str, password_hash: str | None) -> bool:
    """Whether *password* is the one with that hash, None for nobody's; takes the same time for both.

    To be called within ``turn``.
    """
    try:
        right = _HASHER.verify(_nobodys() if password_hash is None else password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
    return right and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with other costs than are asked for now."""
    return _HASHER.check_needs_rehash(password_hash)


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody's password")
