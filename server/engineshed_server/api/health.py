"""Is it alive, can it serve, what is it: for load balancers, service managers and people.

``/healthz`` says only that a thread answers and touches nothing else. ``/readyz`` looks at everything
that serving needs and says 503 when one thing is missing; ``?verbose`` lists what was looked at.
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
from engineshed_server.services.readiness import check_readiness

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
    good = all(check.good for check in checks)
    values: dict[str, Json] = {"status": "good" if good else "bad"}
    if "verbose" in request.args or not good:
        values["checks"] = [{"name": check.name, "good": check.good, "text": check.text} for check in checks]
    return json_answer(values, status=HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE)


@routes.get("/version")
@declare(EVERYBODY)
def version() -> Response:
    """The server's version and the protocol it speaks."""
    return json_answer({"name": "engineshed-server", "version": __version__, "protocol": PROTOCOL})
