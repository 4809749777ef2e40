"""Every route says who may call it, and means it: each route is called with each kind of token."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
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
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
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
    if access.asker is Asker.ANYBODY:
        return True
    return scope in access.scopes


@pytest.mark.parametrize("scope", list(Scope))
def test_each_route_lets_in_the_scopes_it_names_and_no_other(here: PortalUnderTest, scope: Scope) -> None:
    token = here.token(scope)
    wrong = []
    for rule, method, view in rules_of(here.http.application):
        access = find_access(view)
        assert access is not None
        # 401 of a route for everybody is about what is in its body, and comes only with a body.
        let_in = Call(here, rule, method).status(token) not in REFUSED
        if let_in != _is_let_in(access, scope):
            wrong.append(f"{method} {rule} {scope}: let in: {let_in}")
    assert wrong == []


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
