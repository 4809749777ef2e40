"""An error as a person meets it: a page that says what happened and what to do, or the way to log in."""

from __future__ import annotations

from flask import Request, Response, g, url_for

from engineshed_server.api.context import problem_answer
from engineshed_server.errors import ServerError
from engineshed_server.problems import Problem
from engineshed_server.web.forms import local_path
from engineshed_server.web.pages import SAFE
from engineshed_server.web.people import bind_forms, find_person
from engineshed_server.web.rendering import go_to, guard, render

# Below these programs ask, whatever they accept.
_OF_PROGRAMS = ("/api/", "/repo/", "/static/")
LOGIN_NEEDED = "login-needed"  # as ``pages`` raises it
_BEARER = "WWW-Authenticate"


def is_for_people(request: Request) -> bool:
    """Whether the one who asks looks at pages: at one of ours, or at an address where nothing is."""
    if request.blueprint is not None:
        return request.blueprint.partition(".")[0] == "web" and not g.get("tells_json", False)
    return (
        request.url_rule is None
        and not request.path.startswith(_OF_PROGRAMS)
        and "text/html" in request.headers.get("Accept", "")
    )


def show_problem(problem: Problem, request: Request) -> Response:
    """The page that tells of *problem*."""
    if problem.code == LOGIN_NEEDED:
        return guard(_to_login(request))
    try:
        find_person()
        bind_forms()
    except ServerError:
        pass  # the database is away: the page is shown as to a visitor
    headers = {name: value for name, value in problem.headers.items() if name != _BEARER}
    answer = render("problem.html", status=problem.status, problem=problem)
    answer.headers.update(headers)
    return guard(answer)


def tell_problem(problem: Problem) -> Response:
    """The same for a script of a page of ours."""
    answer = problem_answer(problem)
    answer.headers.pop(_BEARER, None)  # a browser must not ask for a password of its own kind
    return answer


def _to_login(request: Request) -> Response:
    if "HX-Request" in request.headers:
        # A part of a page looks anew: the whole goes to the form, and comes back.
        shown = request.headers.get("HX-Current-URL", "")
        path = shown[len(request.host_url) - 1 :] if shown.startswith(request.host_url) else "/"
        return Response(headers={"HX-Redirect": url_for("web.login.show_login", next=local_path(path))})
    path = request.full_path.rstrip("?") if request.method in SAFE else "/"
    return go_to(url_for("web.login.show_login", next=None if path == "/" else local_path(path)))
