"""The README's commands, run as they stand there, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from tests.conftest import require

README = Path(__file__).parent.parent.parent / "README.md"
LIMIT_S = 180


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def end_everything_below(folder: Path) -> None:
    """The engine outlives its updater by design, so it is found by its folder."""
    for process in psutil.process_iter(["pid", "cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or ()):
            process.send_signal(signal.SIGKILL)


def test_the_walk_through_of_the_readme_works_as_written(tmp_path: Path) -> None:
    require(sys.platform == "linux", "the portal runs on Linux")
    blocks = shell_blocks()
    assert len(blocks) >= 5
    script = "set -eu\n" + "\n".join(blocks)
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{free_port()}")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ENGINESHED_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SAMPLE_ENGINE_PORT": str(free_port()),
    }
    environment["ENGINESHED_ENGINE_PROBE_URL"] = (
        f"http://127.0.0.1:{environment['SAMPLE_ENGINE_PORT']}/health"
    )
    output = tmp_path / "output.txt"
    with output.open("wb") as file:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            code = shell.wait(timeout=LIMIT_S)
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
            end_everything_below(tmp_path)
    said = output.read_text(encoding="utf-8", errors="replace")
    assert code == 0, said
    assert "sample-engine 1.1.0" in said
    assert said.count("outcome=OK") >= 2, said
    assert re.search(r"1\.1\.0 -> 1\.0\.0|rollback\s+1\.1\.0\s+1\.0\.0\s+OK", said), said
