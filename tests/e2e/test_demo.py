"""`engineshed-server demo` as a newcomer runs it: it works, it ends, and it leaves nothing."""

import os
import re
import signal
import subprocess
import sysconfig
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serve.processes import end_all, processes_of, wait_until

DEMO_S = 120.0


class Demo:
    """A run of the demo whose temporary folder lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.output = folder / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, **env: str) -> subprocess.Popen[bytes]:
        words = [os.path.join(sysconfig.get_path("scripts"), "engineshed-server"), "demo", *options]
        surroundings = {**os.environ, "TMPDIR": str(self.temporary), **env}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(words, stdout=output, stderr=output, env=surroundings)
        return self.process

    def said(self) -> str:
        return self.output.read_text("utf-8")

    def wait_for(self, text: str) -> None:
        def is_said() -> bool:
            assert self.process is not None
            assert text in self.said() or self.process.poll() is None, self.said()
            return text in self.said()

        wait_until(is_said, f"{text!r} in {self.said()}", patience_s=DEMO_S)

    def leftovers(self) -> list[str]:
        """What is still there: files and processes."""
        files = [str(path) for path in self.temporary.iterdir()]
        return files + [" ".join(process.cmdline()) for process in processes_of(self.temporary)]


@pytest.fixture
def demos(tmp_path: Path) -> Iterator[list[Demo]]:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(Demo(tmp_path / name))
    yield made
    for demo in made:
        if demo.process is not None:
            demo.process.kill()
            demo.process.wait()
    end_all(tmp_path)


@pytest.fixture
def demo(demos: list[Demo]) -> Demo:
    return demos[0]


def test_two_demos_at_once_both_bring_their_engine_to_the_new_version(demos: list[Demo]) -> None:
    running = [demo.start("--once") for demo in demos]
    for demo, process in zip(demos, running, strict=True):
        assert process.wait(DEMO_S) == 0, demo.said()
        assert re.search(r"END attempt=att_\S+ outcome=OK .*version=1\.1\.0", demo.said())
        assert re.search(r"portal says +engine eng_\S+ runs 1\.1\.0", demo.said())
        assert re.search(r"engine says +1\.1\.0 at http", demo.said())
        assert demo.leftovers() == []


def test_the_portal_stays_up_with_its_token_until_ctrl_c(demo: Demo) -> None:
    process = demo.start()
    demo.wait_for("curl -H")
    found = re.search(r"Bearer (\S+)' (http\S+)", demo.said())
    assert found is not None
    assert [line for line in demo.said().splitlines() if line != line.rstrip()] == []
    asked = urllib.request.Request(found.group(2), headers={"Authorization": f"Bearer {found.group(1)}"})
    with urllib.request.urlopen(asked) as answer:
        assert b'"version":"1.1.0"' in answer.read()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert demo.leftovers() == []


@pytest.mark.parametrize(
    ("step", "ending"),
    [
        ("makes throw-away signing keys", signal.SIGTERM),
        ("runs and is healthy", signal.SIGTERM),
        ("runs and is healthy", signal.SIGHUP),
    ],
)
def test_a_signal_in_the_middle_leaves_nothing(demo: Demo, step: str, ending: signal.Signals) -> None:
    process = demo.start("--once")
    demo.wait_for(step)
    process.send_signal(ending)
    assert process.wait(30) == 130
    assert demo.leftovers() == []


def test_a_step_that_fails_ends_the_demo_with_1_and_says_why(demo: Demo) -> None:
    process = demo.start("--once", SAMPLE_ENGINE_BEHAVIOUR="exit-at-once")
    assert process.wait(DEMO_S) == 1
    assert "engineshed-client" in demo.said()
    assert demo.leftovers() == []
