"""update.log keeps its pairs, drops torn tails, and never fails an update in between."""

from __future__ import annotations

import errno
import syslog
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engineshed_client.errors import DiskTrouble
from engineshed_client.fsops import EffectFile, FsOps
from engineshed_client.paths import Paths
from engineshed_client.reports import UpdateLog
from engineshed_client.reports.update_log import KEPT_LOGS, MAX_LOG_BYTES, write_syslog
from engineshed_packages.protocol import MAX_LOG_LINE_CHARS, MAX_LOG_LINES, Outcome

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def ignore(line: str) -> None:
    """No copy."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


def make_log(paths: Paths, fs: FsOps | None = None, echo: Callable[[str], None] = ignore) -> UpdateLog:
    return UpdateLog(paths, fs or FsOps(), now=lambda: AT, echo=echo)


def text(paths: Paths) -> str:
    return paths.update_log.read_text()


def test_an_attempt_has_a_begin_and_an_end(paths: Paths) -> None:
    log = make_log(paths)
    log.begin("att_a", from_version="1.0.0", to_version="1.1.0", order="ord_x")
    log.end("att_a", Outcome.OK, probed=True)
    assert text(paths) == (
        "2026-11-22T08:00:00Z BEGIN attempt=att_a from=1.0.0 to=1.1.0 order=ord_x\n"
        "2026-11-22T08:00:00Z END attempt=att_a outcome=OK probed=yes\n"
    )


def test_a_first_installation_begins_from_none(paths: Paths) -> None:
    make_log(paths).begin("att_a", from_version=None, to_version="1.1.0")
    assert "from=none to=1.1.0" in text(paths)


def test_a_begin_said_twice_stands_once(paths: Paths) -> None:
    for _ in range(2):
        make_log(paths).begin("att_a", from_version="1", to_version="2")
    assert text(paths).count("BEGIN") == 1


def test_an_end_said_twice_stands_once(paths: Paths) -> None:
    log = make_log(paths)
    log.begin("att_a", from_version="1", to_version="2")
    log.end("att_a", Outcome.OK)
    make_log(paths).end("att_a", Outcome.ABORTED)
    assert text(paths).count("END") == 1


@pytest.mark.parametrize("tail", ["2026-11-22T08:00:00Z STATE attem", "\0" * 5000, "half\0\0\0\n\0"])
def test_a_torn_tail_is_dropped_before_the_next_line(paths: Paths, tail: str) -> None:
    log = make_log(paths)
    log.begin("att_a", from_version="1", to_version="2")
    before = text(paths)
    with paths.update_log.open("a") as file:
        file.write(tail)
    log.event("att_a", "STATE")
    assert text(paths) == before + "2026-11-22T08:00:00Z STATE attempt=att_a\n"


def test_a_line_that_is_torn_behind_its_attempt_does_not_count_as_written(paths: Paths) -> None:
    """It was taken for the BEGIN it was to become, and then cut off: an END stood there without it."""
    log = make_log(paths)
    log.begin("att_a", from_version="1.0.0", to_version="1.1.0")
    paths.update_log.write_text(text(paths)[:-5])
    make_log(paths).begin("att_a", from_version="1.0.0", to_version="1.1.0")
    assert text(paths) == "2026-11-22T08:00:00Z BEGIN attempt=att_a from=1.0.0 to=1.1.0\n"


def test_a_file_that_is_nothing_but_a_torn_line_begins_anew(paths: Paths) -> None:
    paths.update_log.parent.mkdir(parents=True)
    paths.update_log.write_text("2026-11-22T08:0")
    make_log(paths).event("att_a", "STATE")
    assert text(paths) == "2026-11-22T08:00:00Z STATE attempt=att_a\n"


def test_the_lines_of_one_attempt_are_its_own(paths: Paths) -> None:
    log = make_log(paths)
    log.event("att_a", "ONE", reason="a\\b c")
    log.event("att_b", "OTHER")
    log.event("att_a", "TWO")
    assert log.lines("att_a") == tuple(text(paths).splitlines()[0::2])


def test_the_lines_for_a_report_are_bounded(paths: Paths) -> None:
    log = make_log(paths)
    for number in range(MAX_LOG_LINES + 5):
        log.event("att_a", "STATE", number=number, **{f"k{n}": "x" * 300 for n in range(5)})
    lines = log.lines("att_a")
    assert len(lines) == MAX_LOG_LINES
    assert max(map(len, lines)) == MAX_LOG_LINE_CHARS
    assert f"number={MAX_LOG_LINES + 4}" in lines[-1]


def test_a_begin_without_end_is_closed_as_aborted(paths: Paths) -> None:
    log = make_log(paths)
    log.begin("att_a", from_version="1", to_version="2")
    log.begin("att_b", from_version="1", to_version="2")
    log.end("att_b", Outcome.OK)
    assert log.close_open() == ("att_a",)
    assert (
        text(paths).splitlines()[-1]
        == "2026-11-22T08:00:00Z END attempt=att_a outcome=ABORTED code=interrupted"
    )


def test_the_attempt_under_way_is_not_closed(paths: Paths) -> None:
    log = make_log(paths)
    log.begin("att_a", from_version="1", to_version="2")
    assert log.close_open("att_a") == ()


def test_a_full_file_is_rotated_before_a_begin(paths: Paths) -> None:
    log = make_log(paths)
    log.event("att_a", "FIRST")
    with paths.update_log.open("a") as file:
        file.write("x" * MAX_LOG_BYTES + "\n")
    log.begin("att_b", from_version="1", to_version="2")
    assert text(paths).startswith("2026-11-22T08:00:00Z BEGIN attempt=att_b")
    assert [line.event for line in log.read()] == ["FIRST", "BEGIN"]


def test_the_rotated_files_do_not_grow_in_number(paths: Paths) -> None:
    log = make_log(paths)
    for number in range(KEPT_LOGS + 3):
        log.begin(f"att_{number}", from_version="1", to_version="2")
        with paths.update_log.open("a") as file:
            file.write("x" * MAX_LOG_BYTES + "\n")
    assert len(list(paths.update_log.parent.iterdir())) == KEPT_LOGS + 1


def test_a_file_that_grows_without_any_begin_is_rotated_at_twice_the_size(paths: Paths) -> None:
    log = make_log(paths)
    log.begin("att_a", from_version="1", to_version="2")
    with paths.update_log.open("a") as file:
        file.write(("x" * 1023 + "\n") * (2 * MAX_LOG_BYTES // 1024))
    log.event("none", "COMMAND")
    assert text(paths) == "2026-11-22T08:00:00Z COMMAND attempt=none\n"
    log.end("att_a", Outcome.OK)
    assert log.close_open() == ()


class Full(FsOps):
    def write(self, file: EffectFile, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_in_between_fails_no_update(paths: Paths) -> None:
    make_log(paths, Full()).event("att_a", "STATE")
    assert text(paths) == ""


@pytest.mark.parametrize(
    "say",
    [
        lambda log: log.begin("att_a", from_version="1", to_version="2"),
        lambda log: log.end("att_a", Outcome.OK),
    ],
)
def test_a_begin_or_end_that_cannot_be_written_is_told(
    paths: Paths, say: Callable[[UpdateLog], None]
) -> None:
    with pytest.raises(DiskTrouble) as caught:
        say(make_log(paths, Full()))
    assert caught.value.code == "disk-full"


def test_each_line_is_echoed(paths: Paths) -> None:
    heard: list[str] = []
    make_log(paths, echo=heard.append).event("att_a", "STATE", state="STAGED")
    assert heard == ["2026-11-22T08:00:00Z STATE attempt=att_a state=STAGED"]


def test_without_a_system_log_nothing_fails(paths: Paths) -> None:
    UpdateLog(paths, FsOps(), now=lambda: AT).event("att_a", "STATE")
    assert "STATE" in text(paths)


def test_each_line_is_synchronised(paths: Paths) -> None:
    effects = []

    class Watched(FsOps):
        def announce(self, effect: str, path: Path) -> None:
            if path == paths.update_log:
                effects.append(effect)

    make_log(paths, Watched()).event("att_a", "STATE")
    assert effects == ["open", "write", "sync"]


@pytest.mark.parametrize(
    ("line", "priority"),
    [
        ("2026 END attempt=a outcome=BROKEN code=x", syslog.LOG_ERR),
        ("2026 END attempt=a outcome=ROLLED_BACK code=x", syslog.LOG_WARNING),
        ("2026 END attempt=a outcome=ABORTED code=x", syslog.LOG_WARNING),
        ("2026 END attempt=a outcome=OK", syslog.LOG_NOTICE),
        ("2026 STAGED attempt=a", syslog.LOG_NOTICE),
    ],
)
def test_what_went_wrong_is_graver_in_the_system_log(
    monkeypatch: pytest.MonkeyPatch, line: str, priority: int
) -> None:
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda *words: told.append(words))
    write_syslog(line)
    assert told == [(syslog.LOG_DAEMON | priority, f"engineshed-client: {line}")]
