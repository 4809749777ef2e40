"""Is it alive, can it serve, what is it: for load balancers, service managers and people.

``/healthz`` says only that a thread answers and touches nothing else. ``/readyz`` looks at everything
that serving needs and says 503 when nobody should be sent here. To monitors (``monitors``) ``?verbose`` tells
each thing that was looked at, and 200 with ``degraded`` when it serves and somebody should look all the same.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, request

from engineshed_packages import __version__
from engineshed_packages.jsontext import Json
from engineshed_packages.protocol import PROTOCOL
from engineshed_server.api.access import EVERYBODY, declare
from engineshed_server.api.arguments import refuse_unknown
from engineshed_server.api.context import json_answer, now, portal
from engineshed_server.api.monitors import is_monitor
from engineshed_server.services.readiness import Check, Status, check_readiness, status_of

routes = Blueprint("health", __name__)


@routes.get("/healthz")
@declare(EVERYBODY)
def healthz() -> Response:
    """The process answers."""
    return json_answer({"status": "good"})


@routes.get("/readyz")
@declare(EVERYBODY)
def readyz() -> Response:
    """The portal can serve: 200, or 503 while something is missing."""
    refuse_unknown(request, frozenset({"verbose"}))
    checks = check_readiness(portal(), now=now())
    found = status_of(checks)
    serves = found is not Status.BAD
    values: dict[str, Json] = {"status": (Status.GOOD if serves else Status.BAD).value}
    if "verbose" in request.args and is_monitor(request):
        values = {"status": found.value, "checks": [_written(check) for check in checks]}
    return json_answer(values, status=HTTPStatus.OK if serves else HTTPStatus.SERVICE_UNAVAILABLE)


def _written(check: Check) -> dict[str, Json]:
    return {
        "name": check.name,
        "ok": check.good,
        "status": check.status.value,
        "detail": check.text,
        "remedy": check.remedy or None,
    }


@routes.get("/version")
@declare(EVERYBODY)
def version() -> Response:
    """The server's version and the protocol it speaks."""
    return json_answer({"name": "engineshed-server", "version": __version__, "protocol": PROTOCOL})
