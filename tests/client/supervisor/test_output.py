"""The engine's standard output is capped while the engine runs."""

from __future__ import annotations

from pathlib import Path

from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.supervisor import cap_output, engine_output
from engineshed_client.supervisor.output import MAX_OUTPUT_BYTES, open_output


def test_a_long_output_is_emptied_under_the_engine_that_writes_it(tmp_path: Path) -> None:
    paths, fs = Paths(tmp_path), FsOps()
    with open_output(paths, fs) as engine:
        engine.write(b"x" * MAX_OUTPUT_BYTES + b"end\n")
        cap_output(paths, fs)
        engine.write(b"next\n")
    assert engine_output(paths).read_bytes() == b"next\n"


def test_the_end_of_a_long_output_is_kept_beside_it(tmp_path: Path) -> None:
    paths, fs = Paths(tmp_path), FsOps()
    with open_output(paths, fs) as engine:
        engine.write(b"x" * MAX_OUTPUT_BYTES + b"end\n")
    cap_output(paths, fs)
    assert engine_output(paths).with_name("engine.log.1").read_bytes().endswith(b"xend\n")


def test_a_short_output_is_left_alone(tmp_path: Path) -> None:
    paths, fs = Paths(tmp_path), FsOps()
    with open_output(paths, fs) as engine:
        engine.write(b"short\n")
    cap_output(paths, fs)
    assert engine_output(paths).read_bytes() == b"short\n"


def test_no_output_yet_is_fine(tmp_path: Path) -> None:
    cap_output(Paths(tmp_path), FsOps())
    assert not engine_output(Paths(tmp_path)).exists()
