"""What the poll is measured against: the least a WSGI application and a Flask application can do in JSON."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask

_BODY = b'{"hello": "world"}'


def bare(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers everything with one small JSON object."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(_BODY)))])
    return [_BODY]


flask = Flask("hello")


@flask.get("/")
def hello() -> dict[str, str]:
    """The same, as Flask's own documentation writes it."""
    return {"hello": "world"}
