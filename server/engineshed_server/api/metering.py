"""What of requests and answers is counted, and as what; see ``domain.metrics``."""

from __future__ import annotations

from flask import Request

from engineshed_packages.protocol import PollAnswer
from engineshed_server.api.context import portal
from engineshed_server.api.files import Sent
from engineshed_server.domain import metrics
from engineshed_server.domain.metrics import Cell, Meters

_POLL = "protocol.poll"
_UPLOADS = frozenset({"bundles", "uploads"})
_SENDS = frozenset({"PATCH", "POST", "PUT"})


def count_poll(meters: Meters, answer: PollAnswer) -> None:
    """A poll that was answered."""
    outcome = metrics.NO_NEWS if answer.order is None else metrics.ORDER
    meters.count(metrics.POLLS, outcome, answer.code)


def quiet_polls(meters: Meters, code: str) -> Cell:
    """Where polls are counted that were answered with *code* and without news."""
    return meters.cell(metrics.POLLS, metrics.NO_NEWS, code)


def count_request(request: Request, status: int, *, problem: str | None) -> None:
    """A request the web framework has answered; *problem* is the code of what was wrong."""
    meters = portal().meters
    if request.endpoint == _POLL:
        if problem is not None:
            meters.count(metrics.POLLS, metrics.REFUSED, problem)
        return
    if problem is not None and request.blueprint in _UPLOADS and request.method in _SENDS:
        meters.count(metrics.UPLOADS_REFUSED, problem)
    rule = request.url_rule
    # Where no route was found, address and method are the peer's own words.
    route, method = (metrics.NO_ROUTE, metrics.NO_ROUTE) if rule is None else (rule.rule, request.method)
    meters.count(metrics.REQUESTS, route, method, f"{status // 100}xx")


def count_download(sent: Sent) -> None:
    """A package, or a part of it, is being sent."""
    meters = portal().meters
    sender = metrics.FRONT if sent.by_front else metrics.PORTAL
    meters.count(metrics.DOWNLOADS, sender, metrics.WHOLE if sent.whole else metrics.PART)
    meters.count(metrics.DOWNLOAD_BYTES, sender, by=sent.count_bytes)
