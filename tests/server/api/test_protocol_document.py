"""What the document of the API says of the engines' routes is what engines and portal really send."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.golden.files import FOLDER
from tests.server.api.conftest import PortalUnderTest

# Operation, and the golden files of its body and its answer.
WIRE = [
    ("/api/v1/enrol", "enrol-request.json", "credentials.json"),
    ("/api/v1/token", "token-request.json", "token-answer.json"),
    ("/api/v1/poll", "poll.json", "answer.json"),
    ("/api/v1/reports", "report.json", "report-answer.json"),
]


def schemas_of(here: PortalUnderTest, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    operation = json.loads(here.get("/api/v1/openapi.json").data)["paths"][path]["post"]
    body, answer = operation["requestBody"], operation["responses"]["200"]
    return tuple(one["content"]["application/json"]["schema"] for one in (body, answer))


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(FOLDER) / name).read_text("utf-8"))
    return found


@pytest.mark.parametrize(("path", "body", "answer"), WIRE)
def test_the_golden_files_fit_the_document(here: PortalUnderTest, path: str, body: str, answer: str) -> None:
    for schema, name in zip(schemas_of(here, path), (body, answer), strict=True):
        jsonschema_rs.validator_for(schema).validate(golden(name))


@pytest.mark.parametrize(("path", "body", "answer"), WIRE)
def test_every_field_of_the_golden_files_is_in_the_document(
    here: PortalUnderTest, path: str, body: str, answer: str
) -> None:
    for schema, name in zip(schemas_of(here, path), (body, answer), strict=True):
        assert set(golden(name)) - set(schema["properties"]) == set(), name


@pytest.mark.parametrize(("path", "body", "answer"), WIRE)
def test_a_body_without_a_required_field_does_not_fit(
    here: PortalUnderTest, path: str, body: str, answer: str
) -> None:
    schema, _ = schemas_of(here, path)
    validator = jsonschema_rs.validator_for(schema)
    for name in schema["required"]:
        values = {field: value for field, value in golden(body).items() if field != name}
        assert not validator.is_valid(values), name
