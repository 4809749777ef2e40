"""A real updater process that can be made to stop at a place, to be killed there.

    python -m tests.client.stopping_updater BASE recover
    python -m tests.client.stopping_updater BASE install VERSION BUNDLE
    python -m tests.client.stopping_updater BASE rollback

It is the product but for its ``FsOps``, which honours ``STOP_AT`` in the environment: the name of a state
(right after the journal says it) or of an effect. There the file ``BASE/../reached`` is made and the
process waits to be killed. The product itself knows nothing of this.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from engineshed_client import machine
from engineshed_client.fsops import FsOps
from engineshed_client.journal import Journal, JournalFile
from engineshed_client.paths import Paths
from engineshed_client.reports import Outbox, UpdateLog
from engineshed_client.seen import SeenFile
from engineshed_client.settings import load_settings
from engineshed_client.steps.beginning import begin_install, begin_rollback
from engineshed_client.steps.context import Context
from engineshed_client.supervisor import CommandSupervisor
from engineshed_packages.archive import open_archive
from engineshed_packages.metadata import open_view
from engineshed_packages.protocol import Outcome
from engineshed_packages.sources import ZipSource
from tests.client.host import ENGINE_ID


class StoppingFs(FsOps):
    """Stops where ``STOP_AT`` says."""

    def __init__(self, base: Path) -> None:
        self._reached = base.parent / "reached"
        self._at = os.environ.get("STOP_AT", "")

    def _stop(self) -> None:
        self._reached.touch()
        time.sleep(600)

    def write_file(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        super().write_file(path, data, mode=mode)
        if path.name == "journal.json" and json.loads(data)["state"] == self._at:
            self._stop()

    def exchange(self, one: Path, other: Path) -> None:
        super().exchange(one, other)
        if self._at == "exchange":
            self._stop()


def _clock() -> datetime:
    return datetime.now(UTC)


def _context(base: Path) -> Context:
    paths, fs = Paths(base), StoppingFs(base)
    settings = load_settings(base, environ={}, flags={})
    return Context(
        paths=paths,
        settings=settings,
        fs=fs,
        supervisor=CommandSupervisor(paths, settings.engine, fs),
        log=UpdateLog(paths, fs, now=_clock, echo=lambda line: None),
        outbox=Outbox(paths, fs),
        seen=SeenFile(paths, fs),
        journals=JournalFile(paths, fs),
        portal=None,
        gate=None,
        engine_id=ENGINE_ID,
        updater_version="0.1.0",
        now=_clock,
        sleep=time.sleep,
    )


def _begin(context: Context, words: list[str]) -> Journal | Outcome | None:
    if words[0] == "rollback":
        return begin_rollback(context)
    if words[0] == "recover":
        return machine.recover(context)
    version, bundle = words[1], Path(words[2])
    with open_archive(bundle) as archive:
        view = open_view(
            ZipSource(archive),
            cache=context.paths.metadata,
            trusted_root=context.settings.trusted_root.read_bytes(),
            now=context.now(),
        )
    target = next(one for one in view.targets if one.version.text == version)
    return begin_install(context, target, bundle=bundle)


def main(base: Path, words: list[str]) -> None:
    context = _context(base)
    with context.fs.lock(context.paths.lock):
        found = _begin(context, words)
        result = machine.run(context, found) if isinstance(found, Journal) else found
        sys.stdout.write(f"{result}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
