"""Every error becomes one shape, and each branch of the error tree its own status."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import engineshed_server
from engineshed_packages.errors import ProtocolRefused
from engineshed_server import errors, problems
from engineshed_server.problems import of_error, of_status


@pytest.mark.parametrize(
    ("err", "status"),
    [
        (errors.Refused("archive-not-zip", "m"), 422),
        (errors.TooLarge("upload-too-large", "m"), 413),
        (errors.NotAuthenticated("token-missing", "m"), 401),
        (errors.NotAllowed("api-token-scope", "m"), 403),
        (errors.NotFound("engine-unknown", "m"), 404),
        (errors.Conflict("release-other-bytes", "m"), 409),
        (errors.TryLater("ingest-busy", "m"), 503),
        (errors.TryLater("disk-full", "m"), 507),
        (errors.Throttled("enrol-delayed", "m"), 429),
        (errors.Refused("length-required", "m"), 411),
        (ProtocolRefused("poll-unreadable", "m"), 400),
        (ProtocolRefused("json-too-large", "m"), 413),
    ],
)
def test_each_error_has_its_status(err: Exception, status: int) -> None:
    problem = of_error(err, instance="req_x")
    assert problem is not None
    assert problem.status == status


def test_the_answer_has_all_members() -> None:
    problem = of_error(errors.NotFound("engine-unknown", "there is no engine 'x'"), instance="req_1")
    assert problem is not None
    assert problem.to_dict() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no engine 'x'",
        "instance": "req_1",
        "code": "engine-unknown",
    }


def test_who_must_wait_is_told_how_long() -> None:
    problem = of_error(errors.Throttled("enrol-delayed", "m", retry_after_s=17), instance="")
    assert problem is not None
    assert problem.headers["Retry-After"] == "17"


def test_who_must_identify_is_told_how() -> None:
    problem = of_error(errors.NotAuthenticated("token-missing", "m"), instance="")
    assert problem is not None
    assert problem.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "err",
    [ValueError("x"), errors.SetupRefused("a", "b"), errors.ServerError("bytes-damaged", "/secret/path")],
)
def test_what_is_our_fault_is_not_told(err: Exception) -> None:
    assert of_error(err, instance="") is None


def test_an_internal_error_names_only_the_instance() -> None:
    assert problems.internal("req_9").instance == "req_9"
    assert "log" in problems.internal("req_9").detail


@pytest.mark.parametrize(("status", "expected"), [(404, 404), (405, 405), (418, 400), (502, 500)])
def test_a_bare_status_becomes_a_problem(status: int, expected: int) -> None:
    assert of_status(status, method="GET", path="/x", instance="").status == expected


def test_control_characters_in_a_detail_are_written_out() -> None:
    problem = of_error(errors.NotFound("engine-unknown", "\x1b[31mred\r\n"), instance="")
    assert problem is not None
    assert problem.to_dict()["detail"] == r"\x1b[31mred\r\n"


def test_a_path_with_braces_is_told_as_it_is() -> None:
    assert "{instance}" in of_status(404, method="GET", path="/{instance}", instance="i").detail


def _statuses_outside() -> Iterator[str]:
    """Numbers from 400 to 599 in the api: error statuses belong into problems.py alone."""
    api = Path(engineshed_server.__file__).parent / "api"
    for path in sorted([*api.glob("*.py"), *(api / "operators").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, int) and 400 <= node.value < 600:
                yield f"{path.name}:{node.lineno}"


def test_no_route_names_an_error_status() -> None:
    assert list(_statuses_outside()) == []
