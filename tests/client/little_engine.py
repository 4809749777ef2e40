"""A little engine on disk for tests of the client's edges: a manifest and a program that can misbehave.

engine = LittleEngine(tmp_path)             # tmp_path/engine with MANIFEST.json, bin/run.py, lib/part.txt
engine.write(run=SLEEPS)                    # another program
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.settings import EngineSettings
from engineshed_client.supervisor import CommandSupervisor
from engineshed_packages.manifest import (
    MANIFEST_NAME,
    FileClass,
    FileEntry,
    Manifest,
    ProbeSpec,
    StartSpec,
    StopSpec,
)
from engineshed_packages.versions import Version

SLEEPS = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
IGNORES_SIGTERM = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPS
LEAVES_A_CHILD = (
    "import subprocess, sys\n"
    "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
    "subprocess.Popen(sleep, start_new_session=True, cwd='/')\n"
) + SLEEPS

PATIENCE_S = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when *condition* holds; fail after a long patience, so that no test depends on speed."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.02)


class LittleEngine:
    """An engine's folder in *base*, and the supervisor that runs it."""

    def __init__(self, base: Path, *, run: str = SLEEPS, stop: StopSpec | None = None) -> None:
        self.paths = Paths(base)
        self.fs = FsOps()
        self.stop_spec = stop or StopSpec()
        self.write(run)

    def write(self, run: str) -> None:
        """Write the program *run* and a manifest that lists it."""
        files = {"bin/run.py": run.encode(), "lib/part.txt": b"shipped\n"}
        for name, data in files.items():
            path = self.paths.engine / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (self.paths.engine / "logs").mkdir(exist_ok=True)
        (self.paths.engine / MANIFEST_NAME).write_bytes(self.manifest(files).to_bytes())

    def manifest(self, files: dict[str, bytes]) -> Manifest:
        """The manifest of *files*."""
        return Manifest(
            product="sample-engine",
            version=Version.parse("1.0.0"),
            platform="any",
            files=tuple(
                FileEntry(
                    path=name,
                    sha256=hashlib.sha256(data).hexdigest(),
                    size_bytes=len(data),
                    mode=0o644,
                    file_class=FileClass.SHIPPED,
                )
                for name, data in sorted(files.items())
            ),
            start=StartSpec(command=("{python}", "{engine}/bin/run.py"), env={"PLACE": "{engine}"}),
            stop=self.stop_spec,
            probe=ProbeSpec(tcp="127.0.0.1:1"),
            runtime=("logs/",),
        )

    def supervisor(self, settings: EngineSettings | None = None) -> CommandSupervisor:
        """A supervisor of this engine, as another updater process would make it."""
        return CommandSupervisor(self.paths, settings or EngineSettings(), self.fs)

    @property
    def output(self) -> str:
        """What the engine has written to its standard output."""
        path = self.paths.work / "logs" / "engine.log"
        return path.read_text() if path.exists() else ""
