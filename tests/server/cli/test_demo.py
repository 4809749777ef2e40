"""What the demo shows of its logs when a step fails; the demo itself is played in ``tests/e2e``."""

from engineshed_server.cli.demo.stage import complaints_in, last_lines


def test_the_warnings_and_errors_of_a_log_are_found() -> None:
    lines = ["t INFO portal up WARNING ", "t WARNING portal child died", "t ERROR portal broken", "Traceback"]
    assert complaints_in("\n".join(lines)).splitlines() == lines[1:3]


def test_an_empty_line_is_not_padded() -> None:
    assert last_lines("one\n\ntwo\n") == "    one\n\n    two"
