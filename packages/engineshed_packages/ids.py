"""Identifiers: a three-letter kind, an underscore, 100 random bits in lower-case base32.

``eng_`` engine, ``att_`` attempt, ``ord_`` order, ``ptl_`` portal, ``tok_`` token row, ``req_`` request,
``upl_`` upload, ``job_`` job.
The alphabet survives file names on every system, URLs and being read aloud.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import Literal

from engineshed_packages.errors import ProtocolRefused

Kind = Literal["eng", "att", "ord", "ptl", "tok", "req", "upl", "ses", "job"]

_BODY = re.compile(r"[a-z2-7]{20}", re.ASCII)
_RANDOM_BYTES = 13  # 104 bits, of which 20 base32 characters keep 100


def _write(kind: Kind, raw: bytes) -> str:
    return f"{kind}_{base64.b32encode(raw).decode('ascii').lower()[:20]}"


def new_id(kind: Kind) -> str:
    """Draw a fresh identifier of *kind* from the system's randomness."""
    return _write(kind, secrets.token_bytes(_RANDOM_BYTES))


def derived_id(kind: Kind, *parts: str) -> str:
    """The identifier that *parts* always give: the same input, the same id.

    Used where a repeated event must be counted once, as a refusal of one order for one reason.
    """
    return _write(kind, hashlib.sha256("\0".join(parts).encode("utf-8")).digest())


def check_id(kind: Kind, text: object) -> str:
    """Return *text* when it is an identifier of *kind*.

    Raises:
        ProtocolRefused: code ``id-unreadable``.
    """
    if isinstance(text, str) and text.startswith(f"{kind}_") and _BODY.fullmatch(text[4:]):
        return text
    raise ProtocolRefused(
        "id-unreadable",
        f"found {str(text)[:40]!r}, expected an identifier {kind}_ followed by 20 characters a-z, 2-7",
    )
