"""The socket a portal listens on, made by whoever must know its address before the portal runs."""

from __future__ import annotations

import socket
import sys

from engineshed_server.errors import SettingsRefused

BACKLOG = 1024
SILENCE_S = 30


def listen(bind: str) -> socket.socket:
    """A listening TCP socket on ``host:port``; port 0 takes a free one.

    Raises:
        SettingsRefused: the address is in use, not one of this machine's, or not allowed.
    """
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    except OSError as err:
        fault = f"web.bind is {bind}: {err.strerror or err}; choose a free address of this machine"
        raise SettingsRefused([fault]) from err
    if sys.platform == "linux":
        # A connection is handed out once it has sent something: a silent one costs us nothing (tcp(7)).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SILENCE_S)
    return listener


def address_of(listener: socket.socket) -> str:
    """``http://host:port`` of a listening TCP socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
