"""What engines ask: join, get an access token, poll, report. See ``docs/protocol.md``.

Unknown fields are ignored: an engine newer than its portal keeps working. A poll without news costs
the token's check and one look into memory: these routes read and write by hand, and are only documented
by schemas.
"""

from __future__ import annotations

from flask import Response, request

from engineshed_packages.enrolment import MAX_REQUEST_BYTES, EnrolRequest, TokenRequest
from engineshed_packages.protocol import MAX_POLL_BYTES, MAX_REPORT_BYTES, Poll, Report
from engineshed_server.api import metering, tokens
from engineshed_server.api.access import ENGINES, EVERYBODY
from engineshed_server.api.bodies import read_json_body
from engineshed_server.api.context import client_address, json_answer, now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas import protocol
from engineshed_server.errors import Conflict, NotAllowed, NotAuthenticated, Throttled
from engineshed_server.services import access, enrolment, fleet, reports

routes = Routes("protocol", "What engines say: join, get an access token, poll, report.")


@routes.raw(
    "POST",
    "/enrol",
    access=EVERYBODY,
    document=protocol.ENROL,
    refuses=(NotAuthenticated, NotAllowed, Throttled),
)
def enrol() -> Response:
    """Exchange an enrolment token for an identity."""
    wanted = EnrolRequest.from_bytes(_body(MAX_REQUEST_BYTES))
    return json_answer(enrolment.enrol(portal(), wanted, address=client_address(), now=now()).to_bytes())


@routes.raw(
    "POST", "/token", access=EVERYBODY, document=protocol.TOKEN, refuses=(NotAuthenticated, Throttled)
)
def token() -> Response:
    """Exchange an engine's secret for an access token."""
    wanted = TokenRequest.from_bytes(_body(MAX_REQUEST_BYTES))
    return json_answer(access.issue(portal(), wanted, address=client_address(), now=now()).to_bytes())


@routes.raw("POST", "/poll", access=ENGINES, document=protocol.POLL, refuses=(Conflict,))
def poll() -> Response:
    """Tell how the engine is; hear whether there is something to do."""
    engine_id = tokens.engine(request)
    told = Poll.from_bytes(_body(MAX_POLL_BYTES))
    answer = fleet.answer(portal(), engine_id, poll=told, now=now(), address=client_address())
    metering.count_poll(portal().meters, answer)
    return json_answer(answer.to_bytes())


@routes.raw("POST", "/reports", access=ENGINES, document=protocol.REPORT, refuses=(Throttled,))
def report() -> Response:
    """Hand in the final report of an attempt; the same report twice is recorded once."""
    engine_id = tokens.approved_engine(request)
    told = Report.from_bytes(_body(MAX_REPORT_BYTES))
    return json_answer(reports.record_report(portal(), engine_id, report=told, now=now()).to_bytes())


def _body(max_bytes: int) -> bytes:
    return read_json_body(request, max_bytes=min(max_bytes, portal().settings.json_bytes))
