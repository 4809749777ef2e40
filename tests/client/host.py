"""A host with a base, an engine in it and the real updater, whose process and disk a test may fail.

    host = Host(folder)
    host.install("1.0.0")                       # the real machine, from a bundle
    host.customise()                            # what a customer does to an engine
    host.context(FailingFs(kill_at=17))         # a fresh updater process

Everything is the product but three things: the engine's process is a fake in memory (``Processes``), which
outlives the updater as a real one does; the probe asks that fake; nothing is really synchronised, because
no power is cut here. The tree on disk is real.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engineshed_client import machine
from engineshed_client.errors import StartFailed, StopFailed
from engineshed_client.fsops import EffectFile, ExchangeUnsupported, FsOps
from engineshed_client.health import Tick
from engineshed_client.journal import Journal, JournalFile
from engineshed_client.paths import Paths
from engineshed_client.reports import Outbox, UpdateLog
from engineshed_client.seen import SeenFile
from engineshed_client.settings import Settings
from engineshed_client.steps.beginning import begin_install
from engineshed_client.steps.context import Context
from engineshed_packages.archive import Item, write_archive
from engineshed_packages.builder import BuiltPackage, build_package
from engineshed_packages.ids import derived_id
from engineshed_packages.manifest import ProbeSpec
from engineshed_packages.protocol import Outcome, Report
from engineshed_packages.target import Target, target_path
from engineshed_packages.versions import Version

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NO_FILE_EFFECTS: Final = ("start engine", "engine started", "stop engine", "engine stopped")
PRODUCT: Final = "sample-engine"
NOW: Final = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
ENGINE_ID: Final = derived_id("eng", "host")
CUSTOMER_CONF: Final = b"port = 9999 # the customer's\n"

_DESCRIPTION = """\
product = "sample-engine"
kept = ["conf/", "ext/lib/"]
runtime = ["logs/", "data/"]
logs = ["logs/*.log"]
[start]
command = ["{python}", "{engine}/bin/engine.py"]
[stop]
timeout_s = 5
[probe]
tcp = "127.0.0.1:1"
good_ticks = 2
max_ticks = 4
"""


def memory_folder() -> Path | None:
    """A folder in memory for thousands of small trees, where the system has one."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None


class Killed(BaseException):
    """The updater's process ends here: no handler of it may run any effect."""


class FastFs(FsOps):
    """Synchronises nothing: here no power is cut."""

    def sync(self, file: EffectFile) -> None:
        self.announce("sync", file.path)

    def sync_folder(self, path: Path) -> None:
        self.announce("sync folder", path)


class KillingFs(FastFs):
    """Lists its effects; before effect number *kill_at* (from 0) the process ends, a write half done."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.effects: list[str] = []
        self._kill_at = kill_at

    def announce(self, effect: str, path: Path) -> None:
        self.effects.append(f"{effect} {path.name}")
        if self._kill_at is not None and len(self.effects) > self._kill_at:
            raise Killed(self.effects[-1])

    def write(self, file: EffectFile, data: ReadableBuffer) -> int:
        if self._kill_at == len(self.effects):
            whole = bytes(memoryview(data))
            os.write(file.fileno(), whole[: len(whole) // 2])
        return super().write(file, data)


class KillingNoExchangeFs(KillingFs):
    """The same on a file system without RENAME_EXCHANGE."""

    def exchange(self, one: Path, other: Path) -> None:
        self.announce("exchange", one)
        raise ExchangeUnsupported("not here")


class FailingFs(FastFs):
    """Effect number *fail_at* (from 0) fails with the error *number*; with *last* all up to that one do."""

    def __init__(self, fail_at: int, number: int, last: int | None = None) -> None:
        self.effects: list[str] = []
        self._range = range(fail_at, 1 + (fail_at if last is None else last))
        self._number = number

    def announce(self, effect: str, path: Path) -> None:
        self.effects.append(f"{effect} {path.name}")
        if len(self.effects) - 1 in self._range and effect not in _NO_FILE_EFFECTS:
            raise OSError(self._number, os.strerror(self._number), str(path))


@dataclass
class Processes:
    """The host's processes: at most one engine, which outlives the updater.

    Attributes:
        behaviour: by version: ``sick`` never probes well, ``exits`` ends at once, ``refuses`` cannot be
            started, ``clings`` cannot be stopped. Anything else is well.
        running: version of the engine that runs. held_back: a start is only asked for, as at boot.
    """

    paths: Paths
    behaviour: Mapping[str, str] = field(default_factory=dict)
    running: str | None = None
    held_back: bool = False
    number: int = 0
    history: list[str] = field(default_factory=list)
    touch: Callable[[str, Path], None] = lambda effect, path: None

    def check(self) -> None:
        pass

    def is_held_back(self) -> bool:
        return self.held_back

    def is_running(self) -> bool:
        return self.running is not None

    def identity(self) -> str | None:
        return None if self.running is None else f"{self.number}"

    def exit_code(self) -> int | None:
        return None

    def leftovers(self) -> tuple[str, ...]:
        return () if self.running is None else (f"engine {self.running}",)

    def said(self) -> tuple[str, ...]:
        return ()

    def take_over(self) -> str | None:
        return None

    def start(self) -> None:
        if self.running is not None:
            return
        self.touch("start engine", self.paths.engine)
        if self.held_back:
            self.history.append("ask for start")
            return
        version = (self.paths.engine / "VERSION").read_text().strip()
        self.history.append(f"start {version}")
        if self.behaviour.get(version) == "refuses":
            raise StartFailed("start-failed", f"{version} cannot be started")
        self.number += 1
        self.running = None if self.behaviour.get(version) == "exits" else version
        log = self.paths.engine / "logs" / "engine.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("a") as file:
            file.write(f"{version} says hello\n")
        self.touch("engine started", self.paths.engine)

    def stop(self, timeout_s: float) -> None:
        if self.running is None:
            return
        self.touch("stop engine", self.paths.engine)
        if self.behaviour.get(self.running) == "clings":
            raise StopFailed("engine-left", f"{self.running} does not stop")
        self.history.append(f"stop {self.running}")
        self.running = None
        self.touch("engine stopped", self.paths.engine)

    def probe(self, spec: ProbeSpec, *, expected_version: Version) -> Tick:
        if self.running is None:
            return Tick(good=False, version=None, reason="nothing answers")
        if self.behaviour.get(self.running) == "sick":
            return Tick(good=False, version=self.running, reason="it says that it is sick")
        if Version.parse(self.running) != expected_version:
            return Tick(good=False, version=self.running, reason=f"it is {self.running}")
        return Tick(good=True, version=self.running, reason="good")


class Warehouse:
    """Packages and bundles, built once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built: dict[str, tuple[BuiltPackage, Path]] = {}

    def add(self, version: str, files: Mapping[str, bytes]) -> None:
        """Build *version* and a bundle that holds its package; nothing in it is signed."""
        source = self._folder / "source" / version
        for name, data in {"package.toml": _DESCRIPTION.encode(), **files}.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o755 if name.startswith("bin/") else 0o644)
        built = build_package([source], version=Version.parse(version), platform="any", output=self._folder)
        bundle = self._folder / f"{version}-bundle.zip"
        name = f"targets/{self._target(built).download_name}"
        write_archive(bundle, [Item.of_file(name, built.path)])
        self._built[version] = (built, bundle)

    def target(self, version: str) -> Target:
        """The target that a verified view would hold."""
        return self._target(self._built[version][0])

    def bundle(self, version: str) -> Path:
        """The path of the bundle."""
        return self._built[version][1]

    def package(self, version: str) -> Path:
        """The path of the package itself."""
        return self._built[version][0].path

    def _target(self, built: BuiltPackage) -> Target:
        manifest = built.manifest
        return Target(
            path=target_path(PRODUCT, manifest.version, "any"),
            length_bytes=built.digests.length_bytes,
            sha256=built.digests.sha256,
            product=PRODUCT,
            version=manifest.version,
            platform="any",
            manifest_sha256=manifest.sha256,
            disk_bytes=manifest.disk_bytes,
            published=NOW,
        )


def stock(folder: Path) -> Warehouse:
    """Two versions that differ in every way the file classes know."""
    folder.mkdir(parents=True, exist_ok=True)
    warehouse = Warehouse(folder)
    warehouse.add(
        "1.0.0",
        {
            "VERSION": b"1.0.0",
            "bin/engine.py": b"print('old')\n",
            "lib/gone.jar": b"only in the old one\n",
            "conf/engine.toml": b"port = 1\n",
            "conf/untouched.toml": b"same in both\n",
            "data/seed.json": b"{}\n",
        },
    )
    warehouse.add(
        "1.1.0",
        {
            "VERSION": b"1.1.0",
            "bin/engine.py": b"print('new')\n",
            "lib/fresh.jar": b"only in the new one\n",
            "conf/engine.toml": b"port = 2\n",
            "conf/untouched.toml": b"same in both\n",
            "conf/extra.toml": b"new default\n",
            "data/seed.json": b"{}\n",
        },
    )
    return warehouse


class Host:
    """One base on disk, and its processes."""

    def __init__(self, base: Path, warehouse: Warehouse, **settings: object) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.base = base
        self.warehouse = warehouse
        self.paths = Paths(base)
        self.processes = Processes(self.paths)
        self.settings = Settings(
            base=base,
            product=PRODUCT,
            platform="linux-x86_64",
            trusted_root=self.paths.update / "trusted_root.json",
            **settings,  # type: ignore[arg-type]  # the test names existing settings
        )
        self.now = NOW

    def copy(self, base: Path) -> Host:
        """The same host elsewhere: files copied with their modes, the same engine running."""
        shutil.copytree(self.base, base, symlinks=True)
        other = Host(base, self.warehouse)
        other.settings = Settings(
            **{**{name: getattr(self.settings, name) for name in Settings.__slots__}, "base": base}
        )
        other.processes.behaviour = self.processes.behaviour
        other.processes.running = self.processes.running
        other.now = self.now
        return other

    def context(self, fs: FsOps | None = None, **parts: object) -> Context:
        """What a fresh updater process works with."""
        fs = fs or FastFs()
        # The engine's process is an effect as well: a kill may come right before or after it.
        self.processes.touch = fs.announce
        known: dict[str, object] = {
            "paths": self.paths,
            "settings": self.settings,
            "fs": fs,
            "supervisor": self.processes,
            "log": UpdateLog(self.paths, fs, now=lambda: self.now, echo=lambda line: None),
            "outbox": Outbox(self.paths, fs),
            "seen": SeenFile(self.paths, fs),
            "journals": JournalFile(self.paths, fs),
            "portal": None,
            "gate": None,
            "engine_id": ENGINE_ID,
            "updater_version": "0.1.0",
            "now": lambda: self.now,
            "sleep": lambda seconds: None,
            "probe": self.processes.probe,
        }
        return Context(**{**known, **parts})  # type: ignore[arg-type]  # the test names existing parts

    def begin(self, version: str, context: Context) -> Journal:
        """Begin the installation of *version* from its bundle."""
        return begin_install(
            context,
            self.warehouse.target(version),
            bundle=self.warehouse.bundle(version),
            skipped="retry",
            older="allow",
        )

    def install(self, version: str, fs: FsOps | None = None) -> Outcome | machine.Waiting:
        """Install *version* from its bundle, to the end."""
        return self.run(self.context(fs), version)

    def run(self, context: Context, version: str) -> Outcome | machine.Waiting:
        """The same with parts of the test's own."""
        return machine.run(context, self.begin(version, context))

    def recover(self, fs: FsOps | None = None) -> Outcome | machine.Waiting | None:
        """What a fresh updater does first, and then with an attempt that may go on."""
        context = self.context(fs)
        found = machine.recover(context)
        return machine.run(context, found) if isinstance(found, Journal) else found

    def customise(self) -> None:
        """A customer at work: his configuration, data, own files, a link, an external library."""
        engine = self.paths.engine
        (engine / "conf" / "engine.toml").write_bytes(CUSTOMER_CONF)
        (engine / "conf" / "engine.toml").chmod(0o600)
        (engine / "conf" / "secret.key").write_bytes(b"the customer's key\n")
        (engine / "data").mkdir(exist_ok=True)
        (engine / "data" / "state.json").write_bytes(b'{"count": 7}\n')
        (engine / "own").mkdir()
        (engine / "own" / "script.sh").write_bytes(b"#!/bin/sh\n")
        (engine / "own" / "script.sh").chmod(0o750)
        (engine / "own" / "empty").mkdir()
        (engine / "conf" / "link").symlink_to("../own/script.sh")
        self.paths.ext_lib.mkdir(parents=True, exist_ok=True)
        (self.paths.ext_lib / "driver.jar").write_bytes(b"the admin's driver\n")

    @property
    def version(self) -> str | None:
        """What VERSION in ``engine/`` says."""
        try:
            return (self.paths.engine / "VERSION").read_text()
        except FileNotFoundError:
            return None

    def engine(self, folder: Path | None = None) -> dict[str, str]:
        """The engine in ``engine/`` or *folder*, without the log that grows with every start."""
        found = self.listing(folder or self.paths.engine)
        return {name: what for name, what in found.items() if not name.startswith("logs")}

    def reports(self) -> list[Report]:
        """The reports that wait for the portal."""
        try:
            found = sorted(path for path in self.paths.outbox.iterdir() if path.suffix == ".json")
        except FileNotFoundError:
            return []
        return [Report.from_bytes(path.read_bytes()) for path in found]

    def log_text(self) -> str:
        """The whole update.log."""
        try:
            return self.paths.update_log.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def listing(self, folder: Path | None = None) -> dict[str, str]:
        """Every path below the base, or *folder*, with mode and content; the same when nothing changed."""
        found = {}
        top = folder or self.base
        for path in sorted(top.rglob("*")):
            name = path.relative_to(top).as_posix()
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"
            elif path.is_dir():
                found[name] = f"{path.stat().st_mode:o}"
            else:
                found[name] = f"{path.stat().st_mode:o} {path.read_bytes()!r}"
        return found
