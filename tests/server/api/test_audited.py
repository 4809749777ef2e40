"""Every change over HTTP leaves a row in the audit: who, when, from where, by which request, and what.

Each operation of the document that is no GET is either made here, or stands among those that change nothing
an operator decides. One that is added and forgotten here fails.
"""

import json
from collections.abc import Callable, Mapping

import pytest
from werkzeug.test import TestResponse

from engineshed_packages.enrolment import EnrolAnswer, EnrolLine
from engineshed_server.db import audit
from engineshed_server.db.audit import AuditRecord
from tests.server.api.conftest import PortalUnderTest
from tests.server.portals import enrol_request
from tests.vendor import PRODUCT

NO_CHANGES = {
    "protocol.enrol": "the engine is the actor: see the tests of enrolment",
    "protocol.token": "gives an engine a token that ends by itself",
    "protocol.poll": "is a heartbeat",
    "protocol.report": "is kept as a report",
    "uploads.append": "is bytes, until they are a bundle",
    "uploads.append_or_terminate": "is one of the two others",
    "uploads.tell_protocol": "asks",
    "uploads.tell_protocol_of_one": "asks",
    "uploads.show_progress": "asks",
}


class Admin:
    """Asks as an admin does; every answer must be good."""

    def __init__(self, here: PortalUnderTest) -> None:
        self.here = here
        self.token = here.token()
        self.last: TestResponse | None = None

    def ask(
        self,
        method: str,
        path: str,
        values: Mapping[str, object] | None = None,
        *,
        data: bytes | None = None,
        **headers: str,
    ) -> TestResponse:
        sent = {"Authorization": f"Bearer {self.token}", "If-Match": "*"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        address = path if path.startswith("/api/") else f"/api/v1{path}"
        answer = self.here.http.open(address, method=method, json=values, data=data, headers=sent)
        assert answer.status_code < 300, answer.text
        self.last = answer
        return answer

    def make(self, path: str, values: Mapping[str, object]) -> str:
        return str(json.loads(self.ask("POST", path, values).data)["id"])

    def waiting_engine(self) -> str:
        """An engine that waits for approval."""
        terms = {"needs_approval": True}
        line = json.loads(self.ask("POST", "/enrol-tokens", terms).data)["line"]
        answer = self.here.post("/api/v1/enrol", enrol_request(EnrolLine.parse(line).token).to_bytes())
        return EnrolAnswer.from_bytes(answer.data).engine


def tus(admin: Admin) -> str:
    answer = admin.ask("POST", "/uploads", Tus_Resumable="1.0.0", Upload_Length="10")
    return answer.headers["Location"]


def bundle(admin: Admin) -> None:
    admin.here.vendor.release("1.0.0")
    admin.ask("PUT", "/bundles/x.zip", data=admin.here.vendor.bundle("1.0.0").read_bytes())


def hold(admin: Admin) -> None:
    admin.here.publish("1.0.0")
    admin.ask("PATCH", f"/releases/{PRODUCT}/1.0.0", {"held": True, "reason": "shaky"})


def stop(admin: Admin, *verbs: str) -> None:
    for verb in verbs:
        admin.ask("POST", f"/emergency-stops/{verb}", {"reason": "smoke"})


# What makes each change, as the last request it sends.
CHANGES: dict[str, Callable[[Admin], object]] = {
    "bundles.upload": bundle,
    "configuration.change_configuration": lambda admin: admin.ask(
        "PATCH", "/configuration", {"portals": ["https://portal.example"]}
    ),
    "emergency-stops.turn_on": lambda admin: stop(admin, "on"),
    "emergency-stops.turn_off": lambda admin: stop(admin, "on", "off"),
    "engines.change_engine": lambda admin: admin.ask(
        "PATCH", f"/engines/{admin.here.enrol().engine}", {"group": "north"}
    ),
    "engines.revoke_engine": lambda admin: admin.ask("POST", f"/engines/{admin.here.enrol().engine}/revoke"),
    "engines.approve_engine": lambda admin: admin.ask("POST", f"/engines/{admin.waiting_engine()}/approve"),
    "engines.reject_engine": lambda admin: admin.ask("POST", f"/engines/{admin.waiting_engine()}/reject"),
    "engines.approve_engines": lambda admin: admin.ask(
        "POST", "/engines/approve", {"engines": [admin.waiting_engine()]}
    ),
    "engines.reject_engines": lambda admin: admin.ask(
        "POST", "/engines/reject", {"engines": [admin.waiting_engine()]}
    ),
    "enrol-tokens.create_enrol_token": lambda admin: admin.make("/enrol-tokens", {}),
    "enrol-tokens.revoke_enrol_token": lambda admin: admin.ask(
        "POST", f"/enrol-tokens/{admin.make('/enrol-tokens', {})}/revoke"
    ),
    "orders.give_order": lambda admin: admin.ask(
        "POST", f"/engines/{admin.here.enrol().engine}/orders", {"do": "stop"}
    ),
    "orders.give_orders": lambda admin: admin.ask(
        "POST", "/orders", {"engines": [admin.here.enrol().engine], "order": {"do": "stop"}}
    ),
    "releases.change_release": hold,
    "tokens.create_token": lambda admin: admin.make("/tokens", {"name": "ci", "scope": "viewer"}),
    "tokens.revoke_token": lambda admin: admin.ask(
        "POST", f"/tokens/{admin.make('/tokens', {'name': 'ci', 'scope': 'viewer'})}/revoke"
    ),
    "uploads.create_upload": tus,
    "uploads.terminate": lambda admin: admin.ask("DELETE", tus(admin), Tus_Resumable="1.0.0"),
}


def test_every_operation_that_changes_something_is_made_here(here: PortalUnderTest) -> None:
    document = json.loads(here.get("/api/v1/openapi.json").data)
    changing = {
        operation["operationId"]
        for operations in document["paths"].values()
        for method, operation in operations.items()
        if method not in ("get", "parameters")
    }
    assert changing == set(CHANGES) | set(NO_CHANGES)


def newest(here: PortalUnderTest) -> AuditRecord:
    with here.portal.database.read() as session:
        return audit.list_audit(session)[-1]


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_leaves_who_when_from_where_and_what(here: PortalUnderTest, name: str) -> None:
    admin = Admin(here)
    CHANGES[name](admin)
    assert admin.last is not None
    record = newest(here)
    assert record.actor.name.startswith("token:tok_")
    assert (record.actor.address, record.actor.request) == ("127.0.0.1", admin.last.headers["X-Request-ID"])
    assert record.after is not None or json.loads(record.details), record
