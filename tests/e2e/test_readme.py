"""The README's commands, run as they stand there, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import require
from tests.server.serve.processes import processes_of

README = Path(__file__).parent.parent.parent / "README.md"
LIMIT_S = 360


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def on_free_ports(script: str) -> str:
    """*script* with every port replaced, that of the first engine's package too: tests run side by side."""
    for port in ("8080", "8751"):
        script = script.replace(port, str(free_port()))
    engine = free_port()
    settings = f'[engine]\nenv = {{ SAMPLE_ENGINE_PORT = "{engine}" }}\nprobe_url = "http://127.0.0.1:{engine}/health"'
    update = "engineshed-client update\n"
    assert script.count(update) == 1
    return script.replace(update, f"cat >> host/update/updater.toml <<'END'\n{settings}\nEND\n{update}")


def end_everything_below(folder: Path) -> None:
    """The engine outlives its updater by design, which may start another while it is ended."""
    while processes := processes_of(folder):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.mark.timeout(LIMIT_S + 40)
def test_the_walk_through_of_the_readme_works_as_written(tmp_path: Path) -> None:
    require(sys.platform == "linux", "the portal runs on Linux")
    blocks = shell_blocks()
    assert len(blocks) >= 5
    script = on_free_ports("set -eu\n" + "\n".join(blocks))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ENGINESHED_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
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
