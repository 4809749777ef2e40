"""The portal's private order keys: made, stored as PEM, turned into a signer.

Only servers sign orders, so only here is ``cryptography`` needed, and it is imported when called:
the engine verifies without it. Source: RFC 8032 (Ed25519), RFC 5208 (PKCS #8).
"""

from __future__ import annotations

from securesystemslib.signer import CryptoSigner, Signer, SSlibKey

from engineshed_packages.enrolment import OrderKey
from engineshed_packages.errors import KeyUnusable


def make_order_key() -> tuple[bytes, OrderKey]:
    """Draw a new key pair: the private key as unencrypted PKCS #8 PEM, and the public key.

    The PEM is to be stored 0600: the portal must sign without a person at hand.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, OrderKey(public=private.public_key().public_bytes_raw())


def load_order_signer(pem: bytes) -> tuple[Signer, OrderKey]:
    """Read a private order key.

    Raises:
        KeyUnusable: code ``order-key-unreadable``.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as err:
        raise KeyUnusable("order-key-unreadable", f"the order key is no readable PEM file: {err}") from err
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyUnusable(
            "order-key-unreadable", f"the order key is {type(private).__name__}, expected Ed25519"
        )
    key = OrderKey(public=private.public_key().public_bytes_raw())
    public = SSlibKey(key.keyid, "ed25519", "ed25519", {"public": key.public.hex()})
    return CryptoSigner(private, public), key
