from __future__ import annotations

import os
from pathlib import Path

from engineshed_client.install.diagnosis import last_line, last_lines
from engineshed_packages.protocol import MAX_LOG_LINE_CHARS, MAX_LOG_LINES
from tests.client.install.trees_on_disk import put, tree


def _lines(folder: Path, *others: Path) -> tuple[str, ...]:
    return last_lines(folder, tree(folder, "1.0.0", {"bin/run": b""}).manifest, others=others)


def test_the_last_lines_of_all_logs_are_told_the_newest_file_last(tmp_path: Path) -> None:
    put(tmp_path, {"logs/b.log": b"b1\nb2\n", "logs/a.log": b"a1\n", "logs/other.txt": b"no log\n"})
    os.utime(tmp_path / "logs/b.log", ns=(1, 1))
    assert _lines(tmp_path) == ("== b.log", "b1", "b2", "== a.log", "a1")


def test_at_most_two_hundred_lines_are_told_and_they_are_the_last(tmp_path: Path) -> None:
    put(tmp_path, {"logs/a.log": b"".join(b"line %d\n" % number for number in range(50_000))})
    found = _lines(tmp_path)
    assert len(found) == MAX_LOG_LINES == 200
    assert found[-1] == "line 49999"


def test_lines_are_short_and_harmless(tmp_path: Path) -> None:
    put(tmp_path, {"logs/a.log": b"\x1b[2J\xff" + b"x" * 5000 + b"\n"})
    line = _lines(tmp_path)[1]
    assert line.startswith("\\x1b[2J�")
    assert len(line) == MAX_LOG_LINE_CHARS


def test_what_the_engine_wrote_to_its_output_is_told_as_well(tmp_path: Path) -> None:
    put(tmp_path, {"engine/bin/run": b"", "out.log": b"Traceback\n"})
    assert _lines(tmp_path / "engine", tmp_path / "out.log", tmp_path / "absent") == (
        "== out.log",
        "Traceback",
    )


def test_what_the_service_manager_kept_of_it_comes_first(tmp_path: Path) -> None:
    put(tmp_path, {"logs/a.log": b"a1\n"})
    manifest = tree(tmp_path, "1.0.0", {"bin/run": b""}).manifest
    found = last_lines(tmp_path, manifest, said=("Traceback\x07",))
    assert found == ("== kept by the service manager", "Traceback\\x07", "== a.log", "a1")
    assert last_line(tmp_path / "absent", ("one", "two", " ")) == "two"


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path, {"secret": b"password\n", "engine/logs/real.log": b"line\n"})
    (tmp_path / "engine/logs/link.log").symlink_to(tmp_path / "secret")
    assert _lines(tmp_path / "engine") == ("== real.log", "line")


def test_trouble_is_a_line_and_ends_nothing(tmp_path: Path) -> None:
    tree_folder = tmp_path / "engine"
    manifest = tree(tree_folder, "1.0.0", {"bin/run": b""}).manifest
    found = last_lines(tmp_path / "absent", manifest)
    assert found == ("the logs in absent cannot be read: No such file or directory",)
