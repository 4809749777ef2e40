"""``engineshed-client enrol``."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from engineshed_client.cli import main
from engineshed_client.cli.arguments import build_parser
from engineshed_client.enrol import read_credentials
from engineshed_client.paths import Paths
from engineshed_packages.enrolment import EnrolLine, fingerprint
from tests.client.scripted_portal import ScriptedPortal
from tests.faulty_http import answers
from tests.vendor import Vendor


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    return folder


def enrol(
    base: Path, vendor: Vendor, line: EnrolLine | str, *extra: str, product: tuple[str, ...] = ()
) -> int:
    text = line if isinstance(line, str) else line.text()
    file = base.with_name("line")
    file.write_text(text + "\n")
    named = product or ("--product", "sample-engine")
    root = ("--trusted-root", str(vendor.root_file))
    return main(["--base", str(base), "enrol", "--line-file", str(file), *root, *named, *extra])


def test_a_line_from_a_file_is_taken(base: Path, vendor: Vendor, scripted: ScriptedPortal) -> None:
    assert enrol(base, vendor, scripted.line) == 0
    assert read_credentials(Paths(base)) == scripted.credentials


def test_a_line_from_standard_input_is_taken(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(scripted.line.text() + "\n"))
    arguments = ["enrol", "--base", str(base), "--product", "sample-engine"]
    assert main([*arguments, "--trusted-root", str(vendor.root_file)]) == 0


def test_no_argument_takes_a_token() -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["enrol", "engineshed1 portal=http://x token=secret"])


def test_the_engine_is_told_as_data(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(base, vendor, scripted.line, "--json")
    assert json.loads(capsys.readouterr().out)["engine"] == scripted.engine_id


def test_a_wrong_fingerprint_is_refused_and_nothing_is_written(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    line = replace(scripted.line, order_key=fingerprint(b"another"))
    assert enrol(base, vendor, line) == 77
    assert "[order-key-fingerprint]" in capsys.readouterr().err
    assert list(base.iterdir()) == []


def test_a_used_token_is_refused(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted.server.at("/api/v1/enrol", answers.json(b'{"code": "enrol-token-used"}', 401))
    assert enrol(base, vendor, scripted.line) == 77
    assert "[enrol-token-used]" in capsys.readouterr().err


def test_a_second_enrolment_is_refused(base: Path, vendor: Vendor, scripted: ScriptedPortal) -> None:
    enrol(base, vendor, scripted.line)
    assert enrol(base, vendor, scripted.line) == 77


def test_a_line_that_is_none_is_refused_without_showing_it(
    base: Path, vendor: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enrol(base, vendor, "token=my-secret-token") == 65
    assert "my-secret-token" not in "".join(capsys.readouterr())


def test_a_portal_that_is_down_is_told(base: Path, vendor: Vendor, scripted: ScriptedPortal) -> None:
    scripted.server.at("/api/v1/enrol", answers.status(500))
    assert enrol(base, vendor, scripted.line) == 69


def test_without_a_product_it_is_told_how_to_name_one(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enrol(base, vendor, scripted.line, product=("--platform", "any")) == 78
    assert "--product NAME" in capsys.readouterr().err


def test_a_settings_file_that_is_there_names_the_product(
    base: Path, vendor: Vendor, scripted: ScriptedPortal
) -> None:
    (base / "update").mkdir()
    (base / "update" / "updater.toml").write_text('product = "sample-engine"\nengine_folder = "manager"\n')
    assert enrol(base, vendor, scripted.line, product=("--platform", "any")) == 0


def test_a_base_that_does_not_exist_is_told(tmp_path: Path, vendor: Vendor, scripted: ScriptedPortal) -> None:
    assert enrol(tmp_path / "absent", vendor, scripted.line) == 78
