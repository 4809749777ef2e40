"""``/metrics``: what is counted and measured, for Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response, request

from engineshed_server.api.access import MONITORS, declare
from engineshed_server.api.arguments import refuse_unknown
from engineshed_server.api.context import portal
from engineshed_server.api.monitors import check_monitor

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

routes = Blueprint("metrics", __name__)


@routes.get("/metrics")
@declare(MONITORS)
def metrics() -> Response:
    """All metrics, of all processes of the portal."""
    check_monitor(request)
    refuse_unknown(request)
    answer = Response(portal().meters.expose(()), content_type=CONTENT_TYPE)
    answer.headers["Cache-Control"] = "no-store"
    return answer
