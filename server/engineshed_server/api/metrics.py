"""``/metrics``: what is counted and measured, for Prometheus."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Flask, Response, current_app, request

from engineshed_server.api.access import MONITORS, declare
from engineshed_server.api.arguments import refuse_unknown
from engineshed_server.api.context import now, portal
from engineshed_server.api.monitors import check_monitor
from engineshed_server.services.measures import Measures
from engineshed_server.services.portal import Portal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

routes = Blueprint("metrics", __name__)
_EXTENSION = "engineshed.measures"


def attach_measures(app: Flask, portal: Portal) -> None:
    """Let *app* measure *portal*."""
    app.extensions[_EXTENSION] = Measures(portal)


@routes.get("/metrics")
@declare(MONITORS)
def metrics() -> Response:
    """All metrics, of all processes of the portal."""
    check_monitor(request)
    refuse_unknown(request)
    # As attach_portal: extensions is a dict of anything, and attach_measures its only writer here.
    measures = cast(Measures, current_app.extensions[_EXTENSION])
    text = portal().meters.expose(measures.readings(now=now()))
    answer = Response(text, content_type=CONTENT_TYPE)
    answer.headers["Cache-Control"] = "no-store"
    return answer
