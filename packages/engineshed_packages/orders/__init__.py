"""The portal's order: what one engine does, and when. See ``docs/protocol.md``.

The vendor's metadata says what is genuine; an order can only choose among that, or tell the engine to start,
to stop, to go back to what it has. ``verify_order`` proves who signed, ``accept_order`` holds the order
against what the engine knows; each rule refuses with a code of its own, and none reads a clock or a file.
"""

from engineshed_packages.orders.envelope import (
    MAX_SIGNATURES,
    PAYLOAD_TYPE,
    SignedOrder,
    sign_order,
    verify_order,
)
from engineshed_packages.orders.order import (
    CANCEL,
    COLLECT_LOGS,
    CONFIGURE,
    INSTALL,
    MAX_PAYLOAD_BYTES,
    RESTART,
    ROLLBACK,
    START,
    STOP,
    VERBS,
    Order,
    Package,
    Window,
)
from engineshed_packages.orders.rules import Accepted, EngineFacts, accept_order

__all__ = [
    "CANCEL",
    "COLLECT_LOGS",
    "CONFIGURE",
    "INSTALL",
    "MAX_PAYLOAD_BYTES",
    "MAX_SIGNATURES",
    "PAYLOAD_TYPE",
    "RESTART",
    "ROLLBACK",
    "START",
    "STOP",
    "VERBS",
    "Accepted",
    "EngineFacts",
    "Order",
    "Package",
    "SignedOrder",
    "Window",
    "accept_order",
    "sign_order",
    "verify_order",
]
