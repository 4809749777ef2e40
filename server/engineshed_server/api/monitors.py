"""Who may look inside: programs that monitor, by their address (``metrics.allow``) or by an API token.

Behind a web server in front that ``web.proxies`` does not name, every request comes from that server's
address, most often from loopback. So an address counts only when it is sure whose it is: a request that came
forwarded by somebody unknown has none.
"""

from __future__ import annotations

from flask import Request

from engineshed_server.api import forwarded, tokens
from engineshed_server.api.context import client_address, portal
from engineshed_server.api.forwarded import came_through_proxy
from engineshed_server.errors import NotAuthenticated, ServerError
from engineshed_server.services.api_tokens import READERS
from engineshed_server.settings.networks import parse_address

_FORWARDED = (forwarded.HEADER, "Forwarded", "X-Real-IP")


def check_monitor(request: Request) -> None:
    """Let a monitor through.

    Raises:
        NotAuthenticated: code ``monitor-unknown``, or as ``tokens.operator``. NotAllowed.
    """
    if _is_allowed_address(request):
        return
    if "Authorization" not in request.headers:
        raise NotAuthenticated(
            "monitor-unknown",
            f"{client_address()} is not in metrics.allow, or came through a web server that web.proxies does "
            "not name, and no token came along: name it there, or send Authorization: Bearer with a token of "
            "scope viewer (engineshed-server token create)",
        )
    tokens.operator(request, READERS)


def is_monitor(request: Request) -> bool:
    """Whether ``check_monitor`` lets it through."""
    try:
        check_monitor(request)
    except ServerError:
        return False
    return True


def _is_allowed_address(request: Request) -> bool:
    settings = portal().settings
    peer, header = request.remote_addr or "", request.headers.get(forwarded.HEADER)
    is_forwarded = any(name in request.headers for name in _FORWARDED)
    if is_forwarded and not came_through_proxy(peer, header, proxies=settings.proxies):
        return False
    address = parse_address(client_address())
    return address is not None and any(address in network for network in settings.metrics_allow)
