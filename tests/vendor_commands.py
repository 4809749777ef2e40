"""A vendor's own commands, each a process as a release manager runs it: on the vendor of a test.

    told = VendorCommands(vendor).run("withdraw", "sample-engine", "1.0.0", "--reason", "Does not start.")

Repository, keys and passphrase are given to each command; what it says comes back as JSON. What it
writes lies in ``output``.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.vendor import PASSPHRASE, Vendor

COMMAND_S = 60


class VendorCommands:
    """Runs `engineshed-packages` for *vendor*."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.passphrase = vendor.folder / "passphrase"
        self.passphrase.touch(0o600)
        self.passphrase.write_text(PASSPHRASE)
        self.output = vendor.folder / "output"
        self.output.mkdir(exist_ok=True)

    def run(self, *words: str | Path) -> dict[str, Any]:
        """Run a command that must go well; its answer, of any shape."""
        done = self.try_to(*words)
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        # Commands read the real clock, from which the vendor of a test lags: it must not sign in the past.
        self.vendor.now = max(
            self.vendor.now, datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
        )
        return told

    def sign(self, proposal: Path, key: Path) -> None:
        """Sign *proposal* as on the offline machine of *key*: without the repository."""
        given = ("--key", key, "--passphrase-file", self.passphrase)
        done = self._run("keys", "sign", proposal, *given)
        assert done.returncode == 0, done.stderr

    def try_to(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        vendor = self.vendor
        given = ("--repository", vendor.repository.folder, "--keys", vendor.keys.folder)
        return self._run(*words, "--json", *given, "--passphrase-file", self.passphrase)

    def _run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        program = Path(sysconfig.get_path("scripts")) / "engineshed-packages"
        return subprocess.run(
            [str(word) for word in (program, *words)],
            cwd=self.output,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
