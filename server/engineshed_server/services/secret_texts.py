"""Secrets that are handed out once and stored as hashes: made, hashed, compared.

160 random bits in base32 behind a word that tells people, and scanners of leaked secrets, what it is. A
plain SHA-256 is enough for random secrets of that length: there is nothing to guess.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

SECRET_BYTES = 20  # 160 bit


def new_secret(word: str) -> str:
    """A fresh secret, as ``engineshed-join-`` and 32 characters for the *word* ``join``."""
    return f"engineshed-{word}-{base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode('ascii').lower()}"


def hash_secret(secret: str) -> str:
    """What is stored of *secret*: its SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_secret(secret: str, secret_hash: str) -> bool:
    """Whether *secret* is the one with that hash; takes the same time for every wrong one."""
    return hmac.compare_digest(hash_secret(secret), secret_hash)


def derived_key(key: bytes, purpose: str) -> bytes:
    """Another key, for *purpose*: who knows it learns nothing of *key*."""
    return hmac.digest(key, f"engineshed {purpose}".encode(), "sha256")
