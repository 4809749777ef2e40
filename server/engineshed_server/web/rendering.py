"""How a page is written: by its template, with the headers that every page has.

The policy lets a page load nothing but what this portal serves, run no script and no style that stands in the
page, send forms nowhere else, and be shown in nobody's frame. No cache keeps a page.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, g, redirect, render_template

from engineshed_server import problems
from engineshed_server.api.request_ids import request_id
from engineshed_server.errors import ServerError

HTML = "text/html; charset=utf-8"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


def render(template: str, *, status: int = HTTPStatus.OK, **values: object) -> Response:
    """The page that *template* makes of *values*."""
    return Response(render_template(template, **values), status=status, content_type=HTML)


def render_again(template: str, err: ServerError, **values: object) -> Response:
    """The page with the form that was refused, what was typed still in it, and why."""
    problem = problems.of_error(err, instance=request_id() or "")
    assert problem is not None  # every error of ours has its status
    g.problem = problem.code
    answer = render(template, status=problem.status, refusal=problem.detail, **values)
    answer.headers.update(problem.headers)
    return answer


def go_to(address: str) -> Response:
    """Send the browser to a page of ours after something was done: reloading that does nothing again."""
    answer = redirect(address, code=HTTPStatus.SEE_OTHER, Response=Response)
    assert isinstance(answer, Response)  # the class it was told to make
    return answer


def guard(answer: Response) -> Response:
    """*answer* with the headers of every page; what has said how long it may be kept is kept so long."""
    headers = answer.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers.setdefault("Cache-Control", "no-store")
    return answer
