"""The web application: routes, pages, request ids, one log line a request, every error a problem.

``create_app(portal)`` makes it; nothing is kept in a global and nothing happens at import, so that two
portals can live in one process, as they do in the tests.
"""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from engineshed_server import problems
from engineshed_server.api import engines, health, metering, metrics, openapi, operators, repository
from engineshed_server.api.bodies import end_connection_if_unread
from engineshed_server.api.context import attach_portal, client_address, problem_answer
from engineshed_server.api.poll_lane import PollLane
from engineshed_server.api.request_ids import HEADER, begin_request, end_request, request_id
from engineshed_server.services.portal import Portal
from engineshed_server.web import problem_pages
from engineshed_server.web.site import add_pages

logger = logging.getLogger(__name__)

# Asked for so often that only their failures are worth a line.
QUIET_ENDPOINTS = frozenset({"protocol.poll", "health.healthz", "health.readyz", "metrics.metrics", "static"})


def create_app(portal: Portal) -> Flask:
    """The application that serves *portal*."""
    app = Flask("engineshed_server", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # a method like any other that is not there: 405
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # a redirect would lose the body of a PUT
    attach_portal(app, portal)
    metrics.attach_measures(app, portal)
    openapi.add_converters(app.url_map)
    for routes in (health.routes, metrics.routes, repository.routes):
        app.register_blueprint(routes)
    openapi.register_documented(app, (engines.routes, *operators.ROUTES))
    add_pages(app, portal)
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_end)
    app.register_error_handler(Exception, _answer_error)
    app.wsgi_app = PollLane(portal, app.wsgi_app)  # type: ignore[method-assign]  # as Flask's manual says
    return app


def poll_lane(app: Flask) -> PollLane:
    """The fast lane in front of *app*, which ``create_app`` made."""
    lane = app.wsgi_app
    assert isinstance(lane, PollLane)
    return lane


def _begin() -> None:
    begin_request(request.headers.get(HEADER))
    g.started_s = time.monotonic()


def _finish(answer: Response) -> Response:
    answer.headers[HEADER] = request_id() or ""
    answer.headers["X-Content-Type-Options"] = "nosniff"  # a browser takes no text of an engine for a page
    end_connection_if_unread(request)
    metering.count_request(request, answer.status_code, problem=g.get("problem"))
    quiet = request.endpoint in QUIET_ENDPOINTS and answer.status_code < 400
    logger.log(
        logging.DEBUG if quiet else logging.INFO,
        "request",
        extra={
            "method": request.method,
            "path": request.path,
            "status": answer.status_code,
            "ms": round((time.monotonic() - g.started_s) * 1000),
            "address": client_address(),
            **({} if g.get("problem") is None else {"code": g.problem}),
        },
    )
    return answer


def _end(err: BaseException | None) -> None:
    end_request()


def _answer_error(err: Exception) -> Response:
    problem = _problem_of(err)
    g.problem = problem.code
    if problem_pages.is_for_people(request):
        return problem_pages.show_problem(problem, request)
    return problem_pages.tell_problem(problem) if g.get("tells_json", False) else problem_answer(problem)


def _problem_of(err: Exception) -> problems.Problem:
    instance = request_id() or ""
    if isinstance(err, HTTPException):
        allowed = {name: value for name, value in err.get_headers() if name == "Allow"}
        return problems.of_status(
            err.code or 500, method=request.method, path=request.path, instance=instance, headers=allowed
        )
    problem = problems.of_error(err, instance=instance)
    if problem is None:
        logger.error("request failed", exc_info=err, extra={"method": request.method, "path": request.path})
        problem = problems.internal(instance)
    return problem
