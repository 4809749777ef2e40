"""The updater updates itself: real single files, a real launcher, a real portal; one release is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages import __version__
from engineshed_packages.builder import build_package
from engineshed_packages.target import UPDATER_PRODUCT, Target
from engineshed_packages.versions import Version
from tests.client.little_engine import wait_until
from tests.deploy.single_file import NAME, build
from tests.e2e.sample_parties import EngineHost, PortalProcess, SampleVendor

ENGINE = "sample-own"
# A single file that passes its self-test and then ends whenever it is to run.
BROKEN_START = b"import sys\nif sys.argv[-1] == 'run':\n    sys.exit('broken')\n"

pytestmark = pytest.mark.timeout(400)


class Shed:
    """Support with its files, and a portal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vendor = SampleVendor(folder, products=(ENGINE, UPDATER_PRODUCT))
        self.file = build(folder / "client", "--package")

    def program(self, version: str, start: bytes = b"") -> Path:
        """The single file as it is built, but of that version, and with *start* before all else."""
        path = self.folder / f"{version}.pyz"
        with zipfile.ZipFile(self.file) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                data = old.read(name)
                if name == "engineshed_packages/__init__.py":
                    assert data.count(__version__.encode()) == 1
                    data = data.replace(__version__.encode(), version.encode())
                new.writestr(name, start + data if name == "__main__.py" else data)
        return path

    def release(self, version: str, start: bytes = b"") -> Target:
        """Sign the single file of *version*, as ``make client ARGS=--package`` describes it."""
        source = self.folder / f"source-{version}"
        shutil.copytree(self.file.parent / "package", source)
        shutil.copy2(self.program(version, start), source / NAME)
        package = build_package(
            [source], version=Version.parse(version), platform="any", output=self.folder
        ).path
        return self.vendor.vendor.release(version, product=UPDATER_PRODUCT, packages=[package])

    def bundle(self, version: str, start: bytes = b"") -> Path:
        """Release it, and write its bundle."""
        self.release(version, start)
        return self.vendor.vendor.bundle(version, product=UPDATER_PRODUCT)


@pytest.fixture(scope="module")
def shed(tmp_path_factory: pytest.TempPathFactory) -> Shed:
    return Shed(tmp_path_factory.mktemp("shed"))


class Service:
    """The launcher as a service manager runs it: started again whenever it ends."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        host.program = [sys.executable, "-m", "engineshed_client.launcher"]

    def keep_up(self) -> None:
        """Start it, unless it runs."""
        updaters = self._host._updaters
        if not updaters or updaters[-1].poll() is not None:
            self._host.start_updater()


@pytest.fixture(scope="module")
def portal(shed: Shed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalProcess]:
    with PortalProcess(tmp_path_factory.mktemp("portal"), shed.vendor.root_file) as portal:
        yield portal


def test_it_goes_to_the_next_version_beside_a_running_engine_and_back_from_a_broken_one(
    shed: Shed, portal: PortalProcess, tmp_path: Path
) -> None:
    with EngineHost(tmp_path / "base", product=ENGINE, root_file=shed.vendor.root_file) as host:
        assert host.enrol(portal.lasting_line).returncode == 0
        portal.upload(shed.vendor.bundle(ENGINE, "1.0.0"))
        service = Service(host)

        def shown() -> dict[str, object]:
            service.keep_up()
            return portal.engine(host.engine_id)

        def runs(version: str) -> bool:
            return shown()["updater_version"] == version

        wait_until(lambda: runs(__version__) and host.version == "1.0.0")
        engine = host.process

        portal.upload(shed.bundle("7.1.0"))
        wait_until(lambda: runs("7.1.0"))
        wait_until(lambda: _ends(portal, host) == [("7.1.0", "OK", "ok")])
        assert (host.base / "update/updater/current.txt").read_text() == "7.1.0\n"
        assert shown()["updater_newest"] == "7.1.0"

        portal.upload(shed.bundle("7.2.0", BROKEN_START))

        def is_back() -> bool:
            service.keep_up()
            return ("7.2.0", "ROLLED_BACK", "updater-not-up") in _ends(portal, host)

        wait_until(is_back)
        assert runs("7.1.0")
        assert (host.base / "update/updater/current.txt").read_text() == "7.1.0\n"
        assert not (host.base / "update/updater/7.2.0").exists()

        # All the while its engine was left alone, and the new updater still updates it.
        assert host.process == engine
        portal.upload(shed.vendor.bundle(ENGINE, "1.1.0"))
        wait_until(lambda: runs("7.1.0") and host.version == "1.1.0")


def _ends(portal: PortalProcess, host: EngineHost) -> list[tuple[str, str, str]]:
    attempts = portal.engine(host.engine_id)["attempts"]
    return [(one["to"], one["outcome"], one["code"]) for one in attempts if one["product"] == UPDATER_PRODUCT]


def test_what_the_single_file_is_released_from_says_its_version(shed: Shed) -> None:
    words = [sys.executable, "-I", "-S", str(shed.program("7.3.0")), "--version"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60).stdout
    assert said == "engineshed-client 7.3.0\n"
