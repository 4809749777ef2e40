"""The order's envelope: who signed it, and that nothing in it was altered.

DSSE (source: secure-systems-lab/dsse, protocol v1.0.2) around the JSON payload, signed with the portal's
Ed25519 order key. Verifying needs no compiled code.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Signature, Signer, SSlibKey

from engineshed_packages.enrolment import OrderKey
from engineshed_packages.errors import OrderRefused
from engineshed_packages.jsontext import Fields, Json
from engineshed_packages.orders.order import MAX_PAYLOAD_BYTES, Order

PAYLOAD_TYPE = "application/vnd.engineshed.order+json"
MAX_SIGNATURES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOrder:
    """An order whose signature was verified, and the ``keyid`` that made it."""

    order: Order
    keyid: str


def _verifier(key: OrderKey) -> SSlibKey:
    return SSlibKey(key.keyid, "ed25519", "ed25519", {"public": key.public.hex()})


def sign_order(order: Order, signer: Signer) -> dict[str, Json]:
    """Wrap *order* in a DSSE envelope signed by *signer* (``order_keys.load_order_signer``)."""
    envelope = Envelope(order.to_bytes(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return dict(envelope.to_dict())


def verify_order(envelope: Mapping[str, Json], keys: Sequence[OrderKey]) -> SignedOrder:
    """Prove that one of *keys* signed *envelope*, and read the order in it.

    The payload is parsed only after its signature and type were found right.

    Raises:
        OrderRefused: code ``order-unreadable``, ``order-payload-type`` or ``order-signature``.
    """
    payload, signatures = _open_envelope(envelope)
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise OrderRefused(
            "order-payload-type",
            f"the payload type is {str(envelope.get('payloadType'))[:80]!r}, expected {PAYLOAD_TYPE!r}",
        )
    try:
        signed_by = Envelope(payload, PAYLOAD_TYPE, signatures).verify([_verifier(key) for key in keys], 1)
    except (VerificationError, ValueError) as err:
        raise OrderRefused(
            "order-signature",
            "the order is not signed by this portal's order key: it was altered, or it is another portal's",
        ) from err
    return SignedOrder(order=Order.from_bytes(payload), keyid=next(iter(signed_by)))


def _open_envelope(envelope: Mapping[str, Json]) -> tuple[bytes, dict[str, Signature]]:
    """The raw payload and the signatures by key; a copy, nothing of *envelope* is changed."""
    fields = Fields(envelope, "order", refusal=OrderRefused)
    text = fields.text("payload", max_chars=MAX_PAYLOAD_BYTES * 4 // 3 + 4)
    signatures = {}
    try:
        for item in fields.objects("signatures", max_items=MAX_SIGNATURES):
            one = Fields(item, "order", refusal=OrderRefused)
            keyid = one.text("keyid", max_chars=64)
            raw = base64.b64decode(one.text("sig"), validate=True)
            signatures[keyid] = Signature(keyid, raw.hex())
        return base64.b64decode(text, validate=True), signatures
    except (binascii.Error, ValueError) as err:
        raise OrderRefused("order-unreadable", f"the order's envelope holds no valid base64: {err}") from err
