"""``status``, ``history``, ``log``, and how commands speak."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engineshed_client.cli import main
from engineshed_client.cli.arguments import build_parser
from engineshed_client.cli.following import Follower
from engineshed_packages.protocol import Outcome
from tests.client.joined_base import JoinedBase
from tests.conftest import require
from tests.faulty_http import answers


def test_status_tells_version_health_and_last_attempt(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    joined.install("1.1.0")
    assert joined.command("status", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["health"], told["state"]) == ("1.1.0", "good", "IDLE")
    assert told["last_attempt"]["outcome"] == "OK"
    assert [one["version"] for one in told["previous"]] == ["1.0.0"]


def test_status_for_people_names_the_same(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    joined.install("1.0.0")
    joined.command("status")
    assert "sample-engine 1.0.0, good" in capsys.readouterr().out


def test_status_for_people_says_why_the_last_attempt_failed(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.context.log.begin("att_x", from_version="1.0.0", to_version="1.1.0")
    joined.context.log.end("att_x", Outcome.ABORTED, code="disk-full", message="12 bytes free: make room")
    joined.command("status")
    assert "1.0.0 -> 1.1.0 ABORTED (disk-full: 12 bytes free: make room)" in capsys.readouterr().out


def test_the_log_of_a_command_is_in_utc(joined: JoinedBase) -> None:
    environment = {**os.environ, "TZ": "Asia/Tokyo", "ENGINESHED_BASE": str(joined.paths.base)}
    command = [sys.executable, "-m", "engineshed_client.cli", "-v", "recover"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    at = datetime.strptime(said.split()[0], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - at) < timedelta(hours=1)


def test_status_says_since_when_no_word_of_the_portal_comes(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.command("update")
    joined.portal.server.at("/api/v1/poll", answers.status(500))
    assert joined.command("update") == 69
    joined.command("status")
    assert re.search(r"it says:   nothing since 20.*/api/v1/poll", capsys.readouterr().out)


def test_status_before_the_first_engine(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    assert joined.command("status") == 0
    assert "not installed" in capsys.readouterr().out


def nagios(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = joined.command("status", "--nagios")
    return code, capsys.readouterr().out


def test_a_healthy_engine_is_ok_for_nagios(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    joined.install("1.0.0")
    code, line = nagios(joined, capsys)
    assert (code, line) == (0, "ENGINESHED OK - sample-engine 1.0.0, good, IDLE | waiting_reports=1\n")


def test_an_aborted_attempt_is_a_warning_for_nagios(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    joined.context.log.begin("att_x", from_version="1.0.0", to_version="1.1.0")
    joined.context.log.end("att_x", Outcome.ABORTED)
    assert nagios(joined, capsys)[0] == 1


def test_no_engine_is_critical_for_nagios(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    assert nagios(joined, capsys)[0] == 2


def test_a_base_that_cannot_be_read_is_unknown_for_nagios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--base", str(tmp_path), "status", "--nagios"]) == 3
    assert capsys.readouterr().out.startswith("ENGINESHED UNKNOWN - ")


def test_history_tells_why_an_attempt_failed(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    joined.context.log.begin("att_x", from_version="1.0.0", to_version="1.1.0")
    joined.context.log.end("att_x", Outcome.ABORTED, code="disk-full", message="make room on the disk")
    joined.command("history")
    assert capsys.readouterr().out.endswith("disk-full  make room on the disk\n")


def test_status_names_the_portal_and_the_engine(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.command("status")
    assert f"portal:    {joined.portal.server.url}, as {joined.portal.engine_id}\n" in capsys.readouterr().out


def test_status_before_enrolment_says_that_there_is_no_portal(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.paths.credentials.unlink()
    joined.command("status", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["portals"], told["engine"]) == ([], None)


def test_history_lists_the_attempts_oldest_first(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    joined.install("1.1.0")
    joined.command("history", "--json")
    attempts = json.loads(capsys.readouterr().out)["attempts"]
    assert [(one["from"], one["to"], one["outcome"]) for one in attempts] == [
        ("none", "1.0.0", "OK"),
        ("1.0.0", "1.1.0", "OK"),
    ]


def test_history_for_people_is_a_table(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    joined.install("1.0.0")
    joined.command("history")
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["BEGAN", "ATTEMPT", "KIND", "FROM", "TO", "OUTCOME", "CODE", "MESSAGE"]
    assert row.split()[2:] == ["install", "none", "1.0.0", "OK", "ok"]


def test_log_prints_update_log(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    joined.install("1.0.0")
    joined.command("log")
    assert capsys.readouterr().out == joined.paths.update_log.read_text()


def test_log_before_the_first_attempt_is_empty(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert joined.command("log") == 0
    assert capsys.readouterr().out == ""


def test_log_follow_waits_for_more_and_survives_rotation(joined: JoinedBase) -> None:
    log = joined.context.log
    log.event("att_a", "FIRST")
    command = [sys.executable, "-m", "engineshed_client.cli", "--base", str(joined.paths.base), "log", "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout is not None
            seen = [follower.stdout.readline()]
            joined.paths.update_log.rename(joined.paths.update_log.with_suffix(".log.1"))
            log.event("att_a", "SECOND")
            seen.append(follower.stdout.readline())
        finally:
            follower.kill()
    assert [line.split()[1] for line in seen] == ["FIRST", "SECOND"]


def test_follow_loses_no_line_to_a_rotation_and_shows_no_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "update.log"
    follower = Follower(path)
    assert list(follower.new()) == []
    path.write_text("one\ntwo, half of i")
    assert list(follower.new()) == ["one\n"]
    path.write_text("one\ntwo\nthree\n")  # the torn line was dropped, others came
    assert list(follower.new()) == ["two\n", "three\n"]
    with path.open("a") as file:
        file.write("four\n")
    path.rename(tmp_path / "update.log.1")
    path.write_text("five\n")
    assert list(follower.new()) == ["four\n", "five\n"]
    assert list(follower.new()) == []


def test_options_stand_before_or_behind_the_command(joined: JoinedBase) -> None:
    base = str(joined.paths.base)
    assert [main(["--base", base, "status"]), main(["status", "--base", base])] == [0, 0]


def test_settings_by_flag_stand_on_both_sides() -> None:
    parsed = build_parser().parse_args(["--set", "poll_s=1", "status", "--set", "unlisted=leave"])
    assert (parsed.set, parsed.set_behind) == (["poll_s=1"], ["unlisted=leave"])


def test_every_fault_of_the_settings_is_printed(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert joined.command("--set", "poll_s=0", "--set", "unlisted=burn", "status") == 78
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_an_error_is_data_for_a_program(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    joined.command("--json", "rollback")
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no-previous"


def test_quiet_says_nothing_but_data(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    joined.command("-q", "recover")
    assert capsys.readouterr().err == ""


def test_a_wrong_command_is_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2


def test_the_module_can_be_started_as_the_launcher_does() -> None:
    command = [sys.executable, "-m", "engineshed_client.cli", "--version"]
    assert subprocess.run(command, capture_output=True, text=True).stdout.startswith("engineshed-client ")


def test_the_client_loads_no_library_of_the_server_and_works_without_cryptography() -> None:
    code = (
        "import sys\n"
        "sys.modules['cryptography'] = None\n"
        "import engineshed_client.cli.main\n"
        "wrong = 'engineshed_server flask sqlalchemy celery jwt click alembic gunicorn'.split()\n"
        "print([name for name in wrong if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")


@pytest.mark.parametrize("output", ["", "--json"])
def test_a_reader_that_goes_away_is_no_traceback(joined: JoinedBase, output: str) -> None:
    require(os.name == "posix", "there is no POSIX shell here")
    program = f"'{sys.executable}' -m engineshed_client.cli"
    command = f"(sleep 0.1; {program} --base '{joined.paths.base}' {output} status) | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
