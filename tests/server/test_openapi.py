"""The document of the API is true: schemathesis asks a running portal what it allows, and what it forbids.

Every operation of the document is tried: with what its schema allows and with what it forbids, one request
after another and in sequences, by all checks. How it is run stands in ``schemathesis.toml``, what it has to
know in ``fuzz_hooks``. Seeded, so that a failure comes again.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engineshed_server.services import api_tokens
from engineshed_server.wiring import open_portal
from tests.server.running import RunningPortal

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = 15  # for each operation in the fuzzing phase; the coverage phase has dozens of its own
PATIENCE_S = 420


@pytest.fixture
def here(tmp_path: Path) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path, workers=2)
    portal.publish("1.0.0")
    portal.start()
    yield portal
    portal.end()


def own_id(here: RunningPortal) -> str:
    """The id of the token that the portal's fixture made first."""
    with closing(open_portal(here.settings)) as portal:
        return api_tokens.list_api_tokens(portal, limit=1).tokens[0].token_id


def run_schemathesis(here: RunningPortal, folder: Path) -> subprocess.CompletedProcess[str]:
    joined, access_token = here.enrol()
    environment = {
        **os.environ,
        "ENGINESHED_FUZZ_API_TOKEN": here.token,
        "ENGINESHED_FUZZ_ACCESS_TOKEN": access_token,
        "ENGINESHED_FUZZ_ENGINE": joined.engine,
        "ENGINESHED_FUZZ_TOKEN_ID": own_id(here),
        "PYTHONPATH": str(ROOT),
    }
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file"),
        *(str(Path(__file__).with_name("schemathesis.toml")), "run", "--checks", "all"),
        *("--max-examples", str(EXAMPLES), "--warnings", "off", "--report", "ndjson"),
        *("--report-dir", str(folder), f"{here.address}/api/v1/openapi.json"),
    ]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


@pytest.mark.timeout(PATIENCE_S + 60)
def test_schemathesis_finds_no_failure(here: RunningPortal, tmp_path: Path) -> None:
    operations = sum(
        method != "parameters"
        for path in json.loads(here.get("/api/v1/openapi.json")[1])["paths"].values()
        for method in path
    )
    run = run_schemathesis(here, tmp_path)
    assert run.returncode == 0, run.stdout
    assert f"Tested: {operations}" in run.stdout
    generated = re.search(r"(\d+) generated", run.stdout)
    assert generated is not None
    assert int(generated.group(1)) > 20 * operations
    assert "Traceback" not in here.log.read_text("utf-8")
