"""Where the attacks are played: a real portal, real engines under real updaters, and an attacker between.

    stage = Stage(folder)
    with stage.portal, stage.engine() as engine, stage.between() as site:
        site.mount("/repo/v1/vendor", forged.repository.folder)     # what the attacker serves instead
        done = engine.update(site)
        engine.check_unharmed(done, code="metadata-rollback")

``between`` is a hacked portal or download site, or the network: it hands all that is not scripted on to the
real portal and keeps the engine's reports to itself, so that the portal goes on ordering.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engineshed_packages.protocol import ReportAnswer
from engineshed_packages.repository.rotation import ONLINE, role_keys
from engineshed_packages.target import Target
from tests.attacks.software import Workshop
from tests.client.little_engine import wait_until
from tests.e2e.sample_parties import EngineHost, PortalProcess
from tests.faulty_http import FaultyServer, answers
from tests.vendor import Vendor
from tests.vendor_commands import VendorCommands

REPOSITORY = "/repo/v1/vendor"
COMMAND_S = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """How ``engineshed-client update`` ended.

    Attributes:
        said: stdout and stderr.
        peak_bytes: the most memory it had.
    """

    exit_code: int
    said: str
    seconds: float
    peak_bytes: int


class Engine(EngineHost):
    """A host on which 1.0.0 runs and for which the portal has ordered 1.1.0."""

    def __init__(self, base: Path, stage: Stage, *, product: str, environment: Mapping[str, str]) -> None:
        super().__init__(
            base,
            product=product,
            root_file=stage.vendor.root_file,
            settings={"good_ticks": 1},
            environment={"LD_PRELOAD": ""},  # when the updater's clock is wrong, its engine's is not
            updater_environment=environment,
        )
        self._stage = stage
        self._before = ""
        self._outside: frozenset[str] = frozenset()

    def join(self, bundle: Path) -> None:
        """Enrol and install 1.0.0 from *bundle*."""
        done = self.enrol(self._stage.portal.lasting_line)
        assert done.returncode == 0, done.stderr
        done = self.client("install", str(bundle))
        assert done.returncode == 0, done.stderr
        self.remember()

    def remember(self) -> None:
        """From here on ``check_unharmed`` compares."""
        self._before, self._outside = self.process, self._files_outside_work()

    def wait_for_offer(self, version: str) -> None:
        """Until the portal orders *version*, which is not installed by that."""
        wait_until(lambda: f" {version} is available" in self.client("check").stdout)

    def update(
        self, site: FaultyServer | None = None, *, shortened: Mapping[str, float] | None = None
    ) -> Update:
        """Run ``engineshed-client update``, by way of *site*, as a fresh process.

        Args:
            shortened: deadlines of ``engineshed_client.fetch`` to be shorter than an hour of waiting.
        """
        setting = [] if site is None else ["--set", f'portals=["{site.url}"]']
        shorter = "".join(f"fetch.{name} = {value}\n" for name, value in (shortened or {}).items())
        code = (
            "import sys\nfrom engineshed_client import fetch\nfrom engineshed_client.cli.main import main\n"
            f"{shorter}try:\n    code = main(sys.argv[2:])\nfinally:\n"
            "    status = open('/proc/self/status').read()\n"
            "    with open(sys.argv[1], 'w') as peak:\n"
            "        peak.write(status.partition('VmHWM:')[2].split()[0])\n"
            "sys.exit(code)\n"
        )
        output, peak = self.base.with_name("update.txt"), self.base.with_name("peak.txt")
        words = [sys.executable, "-c", code, str(peak), "--base", str(self.base)]
        words += ["--no-progress", *setting, "update"]
        began = time.monotonic()
        with output.open("wb") as file:
            done = subprocess.run(words, stdout=file, stderr=file, env=self.environment, check=False)
        return Update(
            exit_code=done.returncode,
            said=output.read_text(),
            seconds=time.monotonic() - began,
            # Not ru_maxrss: that counts what this process had when it forked the command, too.
            peak_bytes=int(peak.read_text()) * 1024,
        )

    def check_unharmed(self, done: Update, *, code: str, exit_code: int) -> None:
        """The attack has failed: for this reason, without a second of downtime, and without a trace."""
        assert (done.exit_code, f"[{code}]" in done.said) == (exit_code, True), done.said
        self.check_untouched()

    def check_untouched(self) -> None:
        """The engine runs as before, nothing foreign ran, nothing lies about."""
        assert (self.version, self.process) == ("1.0.0", self._before)
        assert not self._stage.workshop.evil_has_run
        work = self.base / "update" / "work"
        assert not (work / "staged").exists()
        assert not (work / "journal.json").exists()
        assert self._files_outside_work() == self._outside

    def _files_outside_work(self) -> frozenset[str]:
        """All of the base but the updater's work, and what the engine itself writes."""
        own = ("update/work/", "engine/logs/", "engine/data/")
        names = (path.relative_to(self.base).as_posix() for path in self.base.rglob("*") if path.is_file())
        return frozenset(name for name in names if not name.startswith(own) and name != "updater.log")

    def work_bytes(self) -> int:
        """What the updater's work takes on disk."""
        work = self.base / "update" / "work"
        return sum(path.stat().st_size for path in work.rglob("*") if path.is_file())


class Stage:
    """A vendor with a real portal below *folder*."""

    def __init__(
        self, folder: Path, *, products: int = 1, root_keys: int = 1, threshold: int = 1, settings: str = ""
    ) -> None:
        self._folder = folder
        names = [f"sample-{number}" for number in range(products)]
        self.vendor = Vendor(folder, products=names, root_keys=root_keys, threshold=threshold)
        self.support = VendorCommands(self.vendor)
        self.workshop = Workshop(folder)
        self.portal = PortalProcess(folder, self.vendor.root_file, settings=settings)
        self._products = iter(names)
        self._copies = 0

    def release(self, product: str, version: str) -> Target:
        """Release the good engine, and upload it."""
        package = self.workshop.good(product, version)
        target = self.vendor.release(version, product=product, packages=[package])
        self.portal.upload(self.vendor.bundle(version, product=product))
        return target

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of *path* for an administrator."""
        asked = urllib.request.Request(f"{self.portal.url}{path}")
        asked.add_header("Authorization", f"Bearer {self.portal.token}")
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as err:
            return err.code, err.read().decode()

    def data_bytes(self) -> int:
        """What the portal takes on disk."""
        return sum(path.stat().st_size for path in (self._folder / "portal").rglob("*") if path.is_file())

    def upload_metadata(self) -> None:
        """What an admin does with the vendor's newest word."""
        self.portal.upload(self.vendor.metadata_bundle())

    @contextmanager
    def engine(
        self, *, product: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Iterator[Engine]:
        """A host on which 1.0.0 of *product* runs; without one, of the next product, 1.1.0 being ordered."""
        fresh = product is None
        product = next(self._products) if product is None else product
        base = self._folder / f"host-{product}-{time.monotonic_ns()}" / "base"
        with Engine(base, self, product=product, environment=environment or {}) as engine:
            if fresh:
                package = self.workshop.good(product, "1.0.0")
                self.vendor.release("1.0.0", product=product, packages=[package])
            engine.join(self.vendor.bundle("1.0.0", product=product))
            if fresh:
                self.release(product, "1.1.0")
                engine.wait_for_offer("1.1.0")
            yield engine

    @contextmanager
    def between(self) -> Iterator[FaultyServer]:
        """Somebody between engines and the portal, honest so far."""
        with FaultyServer() as site:
            site.forward(self.portal.url)
            site.at("/api/v1/reports", answers.json(ReportAnswer(code="recorded").to_bytes()))
            yield site

    def thief(self, *stolen: str) -> Vendor:
        """What somebody has who stole keys: a copy of all that is public, and these.

        Args:
            stolen: names of keys, or roles whose keys are meant: ``online``, a product.
        """
        self._copies += 1
        published = self.vendor.repository.published()
        roles = {ONLINE, *published.roles}
        ids = {keyid for name in stolen if name in roles for keyid in role_keys(published, name).keyids}
        keys = [
            file.name
            for file in self.vendor.keys.files()
            if file.public.keyid in ids or (file.name in stolen and file.name not in roles)
        ]
        return self.vendor.copy(self._folder / f"thief-{self._copies}", keys=keys)
