"""Which error codes an engine or an uploader can be sent, with which status: read from the sources.

Every error is made with its code as a literal, so the syntax trees of the modules that such a request passes
through name them all. What is in there and yet never sent stands in ``NOT_SENT``, with the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from types import ModuleType

import engineshed_packages
import engineshed_server
from engineshed_packages import errors as format_errors
from engineshed_server import errors as server_errors
from engineshed_server import problems
from engineshed_server.domain.orders import WISH_REFUSED

SERVER = Path(engineshed_server.__file__).parent
FORMAT = Path(engineshed_packages.__file__).parent
SERVER_FOLDERS = ("api", "db", "domain", "meters", "services", "storage", "web")
# What of the format reads the bodies of requests, or a bundle.
FORMAT_MODULES = (
    *("archive/__init__", "archive/directory", "archive/end", "archive/names", "bundle", "enrolment", "ids"),
    *("jsontext", "manifest/__init__", "manifest/engine", "manifest/files", "metadata/__init__"),
    *("metadata/fetcher", "metadata/updater", "metadata/seen", "protocol/poll", "protocol/report"),
    *("sources", "target_names", "versions"),
)
# Bodies that `Fields` takes apart, by the name in its errors.
BODIES = ("enrolment", "token request", "poll", "attributes", "tags", "skipped", "report", "step")

_COMMAND = "from a command, not over HTTP"
_VIEW = "such a target is left out of the verified view"
_UPDATER = "read by the updater, not by the portal"
_OF_A_JOB = "an error of a job, not of a request"
NOT_SENT: dict[str, str] = {
    "404 job-unknown": _COMMAND,
    "409 job-ended": _COMMAND,
    "422 job-kind-unknown": _COMMAND,
    "404 schedule-unknown": _COMMAND,
    "412 schedule-outdated": _COMMAND,
    "422 node-unreadable": _COMMAND,
    "422 timing-unreadable": _COMMAND,
    "422 zone-unknown": _COMMAND,
    "500 job-given-up": _OF_A_JOB,
    "500 job-kind-unknown": _OF_A_JOB,
    "500 portal-ailing": _OF_A_JOB,
    "404 blob-name": "only digests out of verified metadata are asked for",
    "500 idempotency-damaged": "told as internal-error",
    "500 bytes-damaged": "told as internal-error",
    "500 database-damaged": _COMMAND,
    "500 database-denied": _COMMAND,
    "500 database-unreadable": _COMMAND,
    "500 database-newer": _COMMAND,
    "500 database-outdated": _COMMAND,
    "500 database-url": _COMMAND,
    "404 order-key-unknown": _COMMAND,
    "409 order-key-changed": _COMMAND,
    "409 order-key-needed": _COMMAND,
    "422 standby-key-wrong": _COMMAND,
    "500 standby-key-exists": _COMMAND,
    "500 setup-missing": "a portal without it is not started",
    "503 order-key-missing": "the code of an answer that is no error",
    "500 setup-exists": _COMMAND,
    "500 setup-folder": _COMMAND,
    "500 setup-root": _COMMAND,
    "channel-name": _VIEW,
    "content-sha256": "support's own check, before signing",
    "enrol-line": _UPDATER,
    "enrolment-answer": _UPDATER,
    "order-key": _UPDATER,
    "portal-url": _UPDATER,
    "seen-unreadable": "what was verified is checked before it gets here",
    "release-unknown": "support's side, when a bundle is written",
    "target-path-mismatch": _VIEW,
}


def sent_by_server() -> set[str]:
    """``<status> <code>`` of every error the server's own modules make, and of bare statuses."""
    paths = [path for name in SERVER_FOLDERS for path in sorted((SERVER / name).rglob("*.py"))]
    told = {f"{_status(kind(code, ''))} {code}" for kind, code in _made(server_errors, paths)}
    told |= {f"409 {code}" for code in WISH_REFUSED if code != "release-unknown"}
    for status in HTTPStatus:
        if status >= HTTPStatus.BAD_REQUEST:
            problem = problems.of_status(status, method="", path="", instance="")
            told.add(f"{problem.status} {problem.code}")
    return told


def sent_by_format() -> dict[str, set[str]]:
    """Codes of the format, with the statuses they may get: read by a route, or by a service."""
    told: dict[str, set[str]] = {}
    for kind, code in _made(format_errors, [FORMAT / f"{name}.py" for name in FORMAT_MODULES]):
        told.setdefault(code, set()).update(_statuses(kind(code, "")))
    for body in BODIES:
        err = format_errors.ProtocolRefused(f"{body.replace(' ', '-')}-unreadable", "")
        told[err.code] = {str(_status(err))}
    return told


def _made(module: ModuleType, paths: Sequence[Path]) -> Iterator[tuple[type[Exception], str]]:
    """Class and code of every error of *module* that is made in the sources *paths*."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str() as code), *_]):
                    kind = getattr(module, name, None)
                    if isinstance(kind, type) and issubclass(kind, Exception):
                        yield kind, code


def _statuses(err: Exception) -> set[str]:
    try:
        with server_errors.format_boundary():
            raise err
    except server_errors.ServerError as translated:
        return {str(_status(err)), str(_status(translated))}


def _status(err: Exception) -> int:
    problem = problems.of_error(err, instance="")
    return HTTPStatus.INTERNAL_SERVER_ERROR if problem is None else problem.status
