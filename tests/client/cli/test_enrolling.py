"""``engineshed-client enrol``."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engineshed_client.cli import main
from engineshed_client.cli.arguments import build_parser
from engineshed_client.enrol import read_credentials
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.reports import Outbox
from engineshed_client.settings import load_settings
from engineshed_packages.enrolment import EnrolLine, fingerprint
from engineshed_packages.ids import derived_id, new_id
from engineshed_packages.protocol import Outcome, Report
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


def report_of(engine: str) -> Report:
    now = datetime.now(UTC)
    return Report(
        attempt=new_id("att"),
        engine=engine,
        product="sample-engine",
        outcome=Outcome.OK,
        code="ok",
        message="",
        from_version=None,
        to_version=None,
        version=None,
        started=now,
        ended=now,
        updater_version="0.1.0",
    )


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


def test_who_waits_for_approval_is_told_what_that_means(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = replace(scripted.credentials, waiting=True)
    scripted.server.at("/api/v1/enrol", answers.json(waiting.to_bytes()))
    assert enrol(base, vendor, scripted.line) == 0
    assert "it waits for approval by the portal's admin" in capsys.readouterr().out
    said = replace(scripted.no_news(), code="waiting-for-approval", text="be patient")
    scripted.answer_polls(said)
    for command in ("check", "update"):
        assert main(["--base", str(base), command]) == 75
        assert "be patient" in capsys.readouterr().out
    main(["--base", str(base), "status"])
    assert "it says:   waiting-for-approval since 2" in capsys.readouterr().out
    assert main(["--base", str(base), "status", "--nagios"]) == 2  # no engine is installed either
    assert "portal says waiting-for-approval" in capsys.readouterr().out


def test_a_product_that_is_not_that_of_the_settings_file_is_refused_before_the_token_is_used(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    (base / "update").mkdir()
    (base / "update" / "updater.toml").write_text('product = "sample-engine"\n')
    assert enrol(base, vendor, scripted.line, product=("--product", "another-engine")) == 78
    assert "updater.toml says 'sample-engine'" in capsys.readouterr().err
    assert not [one for one in scripted.server.requests if one.path == "/api/v1/enrol"]


def test_the_line_names_the_product_where_nobody_else_does(
    base: Path, vendor: Vendor, scripted: ScriptedPortal
) -> None:
    line = replace(scripted.line, product="sample-engine")
    assert enrol(base, vendor, line, product=("--platform", "any")) == 0
    assert load_settings(base, environ={}, flags={}).product == "sample-engine"


def test_a_base_joins_anew_and_sends_what_waits_as_who_it_was(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(base, vendor, scripted.line)
    outbox = Outbox(Paths(base), FsOps())
    outbox.put(report_of(scripted.engine_id))
    new = replace(scripted.credentials, engine=derived_id("eng", "new"))
    scripted.server.at("/api/v1/enrol", answers.json(new.to_bytes()))
    assert enrol(base, vendor, scripted.line, "--again") == 0
    assert f"enrolled as {new.engine}" in capsys.readouterr().out
    assert read_credentials(Paths(base)) == new
    assert [report.engine for report in scripted.reports()] == [scripted.engine_id]


def test_a_base_that_was_revoked_joins_anew_and_is_told_what_is_lost(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(base, vendor, scripted.line)
    Outbox(Paths(base), FsOps()).put(report_of(scripted.engine_id))
    scripted.server.at("/api/v1/token", answers.json(b'{"code": "engine-revoked"}', 401))
    new = replace(scripted.credentials, engine=derived_id("eng", "new"))
    scripted.server.at("/api/v1/enrol", answers.json(new.to_bytes()))
    assert enrol(base, vendor, scripted.line, "--again") == 0
    assert f"1 reports of {scripted.engine_id} were not sent" in capsys.readouterr().err


def test_who_never_joined_may_join_anew_too(base: Path, vendor: Vendor, scripted: ScriptedPortal) -> None:
    assert enrol(base, vendor, scripted.line, "--again") == 0
    assert read_credentials(Paths(base)) == scripted.credentials


def test_settings_that_name_other_portals_are_told(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    (base / "update").mkdir()
    (base / "update" / "updater.toml").write_text(
        'product = "sample-engine"\nportals = ["https://old.example"]\n'
    )
    assert enrol(base, vendor, scripted.line) == 0
    assert "updater.toml names portals (https://old.example)" in capsys.readouterr().err


def test_a_base_that_does_not_exist_is_told(tmp_path: Path, vendor: Vendor, scripted: ScriptedPortal) -> None:
    assert enrol(tmp_path / "absent", vendor, scripted.line) == 78
