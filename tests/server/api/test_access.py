"""Every route says who may call it, and means it: each route is called with each kind of token.

The pages are walked in ``tests/server/web/test_access.py``.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from jsonschema_rs import ValidationError
from werkzeug.routing import Rule

from engineshed_server.api.access import Access, Asker, find_access
from engineshed_server.app import create_app
from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import PortalUnderTest
from tests.server.portals import make_portal

REFUSED = {401, 403}


def rules_of(app: Flask) -> Iterator[tuple[Rule, str, Callable[..., Any]]]:
    """Rule, method and view of every route."""
    for rule in app.url_map.iter_rules():
        methods = rule.methods or set()
        for method in sorted(methods - {"HEAD"} if "GET" in methods else methods):
            yield rule, method, app.view_functions[rule.endpoint]


@dataclass(frozen=True)
class Call:
    """A request to a route, with a token or none."""

    here: PortalUnderTest
    rule: Rule
    method: str

    def status(self, token: str | None) -> int:
        """What the route answers; its arguments name nothing that exists."""
        path = self.rule.build(dict.fromkeys(self.rule.arguments, "nothing"))
        assert path is not None
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = self.here.http.open(path[1], method=self.method, headers=headers, buffered=True)
        return answer.status_code


def test_every_route_says_who_may_call_it(here: PortalUnderTest) -> None:
    silent = [str(rule) for rule, _, view in rules_of(here.http.application) if find_access(view) is None]
    assert silent == []


def test_a_route_that_says_nothing_is_found(tmp_path: Path) -> None:
    house = make_portal(tmp_path)
    app = create_app(house.portal)
    app.add_url_rule("/silent", "silent", lambda: "")
    assert [str(rule) for rule, _, view in rules_of(app) if find_access(view) is None] == ["/silent"]
    house.portal.close()


def _is_let_in(access: Access, scope: Scope) -> bool:
    if access.asker in (Asker.ANYBODY, Asker.MONITOR):  # this test asks from loopback
        return True
    return scope in access.scopes


@pytest.mark.parametrize("scope", list(Scope))
def test_each_route_lets_in_the_scopes_it_names_and_no_other(here: PortalUnderTest, scope: Scope) -> None:
    token = here.token(scope)
    wrong = []
    for rule, method, view in rules_of(here.http.application):
        access = find_access(view)
        assert access is not None
        if access.asker is Asker.PERSON:
            continue
        # 401 of a route for everybody is about what is in its body, and comes only with a body.
        let_in = Call(here, rule, method).status(token) not in REFUSED
        if let_in != _is_let_in(access, scope):
            wrong.append(f"{method} {rule} {scope}: let in: {let_in}")
    assert wrong == []


# What support, who is the vendor's, may do at a customer's portal; of the engines it learns nothing.
SUPPORT_MAY = {
    *("bundles.upload", "releases.list_releases", "releases.show_release", "repository.targets"),
    *("uploads.create_upload", "uploads.list_uploads", "uploads.show_upload", "uploads.show_progress"),
    *("uploads.append", "uploads.append_or_terminate", "uploads.terminate"),
}
# What is read by those alone who may change it.
NO_VIEWERS = {"tokens.list_tokens", "tokens.show_token", "uploads.list_uploads", "uploads.show_upload"}


def test_the_scopes_are_what_they_are_meant_to_be(here: PortalUnderTest) -> None:
    may: dict[Scope, set[str]] = {scope: set() for scope in Scope}
    reads = set()
    for rule, method, view in rules_of(here.http.application):
        access = find_access(view)
        assert access is not None
        if access.scopes:
            reads |= {rule.endpoint} if method == "GET" else set()
            for scope in access.scopes:
                may[scope].add(rule.endpoint)
    assert may[Scope.SUPPORT] == SUPPORT_MAY
    assert may[Scope.VIEWER] == reads - NO_VIEWERS
    assert may[Scope.ADMIN] == may[Scope.ADMIN] | may[Scope.VIEWER] | may[Scope.SUPPORT]


def test_each_route_for_operators_refuses_an_engines_token_and_none(here: PortalUnderTest) -> None:
    engine = here.engines[here.enrol().engine]
    for rule, method, view in rules_of(here.http.application):
        access = find_access(view)
        assert access is not None
        if access.asker is Asker.OPERATOR:
            assert Call(here, rule, method).status(engine) == 401, rule
            assert Call(here, rule, method).status(None) == 401, rule


def test_each_route_for_engines_refuses_an_operators_token_and_none(here: PortalUnderTest) -> None:
    token = here.token(Scope.ADMIN)
    seen = 0
    for rule, method, view in rules_of(here.http.application):
        access = find_access(view)
        assert access is not None
        if access.asker is Asker.ENGINE:
            seen += 1
            assert Call(here, rule, method).status(token) == 401, rule
            assert Call(here, rule, method).status(None) == 401, rule
    assert seen >= 2


def test_the_document_needs_no_token_and_is_openapi_3_1(here: PortalUnderTest) -> None:
    answer = here.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert json.loads(answer.data)["openapi"].startswith("3.1.")


def test_the_document_is_what_openapi_demands(here: PortalUnderTest) -> None:
    document = json.loads(here.get("/api/v1/openapi.json").data)
    schemathesis.openapi.from_dict(document).validate()
    del document["info"]["title"]
    with pytest.raises(ValidationError):
        schemathesis.openapi.from_dict(document).validate()


def test_every_documented_operation_names_its_security_and_its_problems(here: PortalUnderTest) -> None:
    document = json.loads(here.get("/api/v1/openapi.json").data)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            assert "security" in operation, (method, path)
            assert {"400", "500", "503"} <= set(operation["responses"]), (method, path)


def test_every_route_below_the_api_is_in_the_document(here: PortalUnderTest) -> None:
    document = json.loads(here.get("/api/v1/openapi.json").data)
    known = {
        f"{method.upper()} {path.replace('{', '<').replace('}', '>')}"
        for path, operations in document["paths"].items()
        for method in operations
    }
    routes = {
        f"{method} {str(rule).replace('<name:', '<')}"
        for rule, method, _ in rules_of(here.http.application)
        if str(rule).startswith("/api/v1/") and str(rule) != "/api/v1/openapi.json"
    }
    assert routes - known == set()
