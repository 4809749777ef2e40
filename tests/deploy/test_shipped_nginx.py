"""`deploy/nginx/engineshed.conf` as it stands: its settings, problems and patience are the portal's."""

import json
import re
import subprocess
from http import HTTPStatus
from pathlib import Path

import pytest

from engineshed_server import problems
from engineshed_server.api.request_ids import HEADER
from engineshed_server.serve.web import KEEP_ALIVE_S
from engineshed_server.settings import FIELDS, load_settings
from engineshed_server.web.views.uploads import PIECE_BYTES
from tests.authority import Authority
from tests.deploy.front import SHIPPED, Nginx

TEXT = SHIPPED.read_text("utf-8")
DEFAULTS = {field.name: field.default for field in FIELDS}
PROBLEMS = re.findall(r"^    (default|\d{3}|\"\") +'(\"title\".*)';$", TEXT, re.MULTILINE)
DEPLOYMENT = (SHIPPED.parents[2] / "docs" / "deployment.md").read_text("utf-8")
PROTOCOL = (SHIPPED.parents[2] / "docs" / "protocol.md").read_text("utf-8")
SIZES = {"k": 1024, "m": 1024**2, "g": 1024**3}


def said(directive: str) -> list[str]:
    """The values of a directive, in the file's order."""
    return re.findall(rf"^ *{directive} +([^;]+);", TEXT, re.MULTILINE)


def size_bytes(text: str) -> int:
    return int(text[:-1]) * SIZES[text[-1]]


def test_debians_nginx_finds_no_fault_in_it(tmp_path: Path) -> None:
    nginx = Nginx(tmp_path, Authority(tmp_path), blobs=tmp_path)
    nginx.write_configuration("127.0.0.1:8080")
    run = subprocess.run(nginx.words("-t"), capture_output=True, text=True, timeout=60)
    nginx.end()
    assert run.returncode == 0, run.stderr
    assert "[warn]" not in run.stderr.replace('the "user" directive makes sense only', "")


def test_what_must_be_filled_in_is_marked() -> None:
    for line in TEXT.splitlines():
        if line.strip().startswith(("server_name", "ssl_certificate ", "alias", "client_max_body_size 4")):
            assert "# FILL IN" in line


def test_its_limits_are_the_portals_own() -> None:
    json_limit, upload_limit, piece_limit = (limit for limit in said("client_max_body_size") if limit != "0")
    assert size_bytes(piece_limit) == 2 * PIECE_BYTES
    assert size_bytes(json_limit) == DEFAULTS["limits.json_bytes"]
    assert size_bytes(upload_limit) == DEFAULTS["limits.upload_bytes"]


def test_its_places_are_the_portals_own() -> None:
    assert f"server {DEFAULTS['web.bind']};" in TEXT
    assert said("alias") == [f"{DEFAULTS['portal.data_dir']}/blobs/"]


def test_the_settings_told_in_the_document_fit_it(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DEPLOYMENT, re.DOTALL)
    (tmp_path / "portal.toml").write_text(example, "utf-8")
    settings = load_settings(tmp_path / "portal.toml", {})
    assert f"location {settings.accel}/ {{" in TEXT
    assert f"server {settings.bind};" in TEXT
    assert [str(network) for network in settings.proxies] == ["127.0.0.1/32", "::1/128"]


def test_it_closes_idle_connections_before_the_portal_does() -> None:
    (idle,) = re.findall(r"^    keepalive_timeout (\d+)s;$", TEXT.partition("server {")[0], re.MULTILINE)
    assert int(idle) < KEEP_ALIVE_S


def test_the_request_id_goes_on_under_the_header_the_portal_reads() -> None:
    assert f"proxy_set_header {HEADER} $engineshed_request;" in TEXT


@pytest.mark.parametrize("members", [members for _, members in PROBLEMS])
def test_it_tells_problems_as_the_portal_does(members: str) -> None:
    told = json.loads(f"{{{members}}}")
    assert set(told) == {"title", "status", "code", "detail"}
    assert told["title"] == HTTPStatus(told["status"]).phrase
    assert f"`{told['code']}`" in PROTOCOL
    ours = problems.of_status(told["status"], method="", path="", instance="")
    if ours.status == told["status"] and ours.status != HTTPStatus.UNAUTHORIZED:
        assert told["code"] == ours.code


def test_each_problem_stands_at_its_status() -> None:
    told = {number: json.loads(f"{{{members}}}")["status"] for number, members in PROBLEMS}
    assert {number for number, status in told.items() if number.isdigit() and int(number) != status} == set()


def test_every_status_that_is_told_to_wait_says_how_long() -> None:
    waits = re.search(r"map \$status \$engineshed_retry_after \{(.*?)\}", TEXT, re.DOTALL)
    assert waits is not None
    assert re.findall(r"^ +(\d{3}) +\d+;$", waits[1], re.MULTILINE) == ["429", "503"]
