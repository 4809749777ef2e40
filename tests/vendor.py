"""A throw-away vendor for all tests: keys, a TUF repository, packages, releases, bundles.

    vendor = Vendor(tmp_path)                          # product "sample-engine", root 1 of 1
    target = vendor.release("1.0.0")                   # built, signed, published
    vendor.bundle("1.0.0")                             # path of the bundle
    vendor.root                                        # bytes of the root to hand out
    vendor.repository.folder                           # metadata/ and targets/, as HTTP would serve them
    vendor.now                                         # what it signs with; move it by assignment

Everything is real and small: nothing here is a fake of the code under test.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engineshed_packages.builder import build_package
from engineshed_packages.bundle import write_bundle, write_metadata_bundle
from engineshed_packages.metadata import View, open_view
from engineshed_packages.repository import Repository
from engineshed_packages.repository.creation import NewRepository, create_repository, refresh
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms, add_release, change_release
from engineshed_packages.sources import FolderSource
from engineshed_packages.target import Target
from engineshed_packages.versions import Version

PRODUCT = "sample-engine"
PASSPHRASE = "only for tests, thrown away"
# Whole seconds, as everything signed has; close to the real clock, because commands ask the real one.
STARTED = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

_DESCRIPTION = """\
product = "{product}"
kept = ["conf/", "ext/lib/"]
runtime = ["logs/", "data/"]
logs = ["logs/*.log"]

[start]
command = ["{{python}}", "{{engine}}/bin/engine.py"]

[stop]
timeout_s = 5

[probe]
command = ["{{python}}", "-c", "print(open('{{engine}}/VERSION').read())"]
version_regex = "([0-9.]+)"
"""


class Vendor:
    """One vendor in a folder of its own below *folder*.

    Args:
        products: one delegated role and key each.
        name: folder, so that a test may have a second vendor, a stranger.
    """

    def __init__(
        self,
        folder: Path,
        *,
        products: Sequence[str] = (PRODUCT,),
        name: str = "vendor",
        root_keys: int = 1,
        threshold: int = 1,
    ) -> None:
        self.folder = folder / name
        self.product = products[0]
        self.now = STARTED
        self.keys = KeyFolder(self.folder / "keys", PASSPHRASE)
        self.repository = Repository(self.folder / "repo")
        plan = NewRepository(products=tuple(products), root_keys=root_keys, threshold=threshold)
        create_repository(self.repository, self.keys, plan, self.now)
        self.root = self.repository.first_root()
        self.root_file = self.folder / "root.json"
        self.root_file.write_bytes(self.root)

    def copy(self, folder: Path, *, keys: Sequence[str] | None = None) -> Vendor:
        """The same vendor below *folder*: what is public, and the keys that are named, all when None.

        A thief's copy, or one to be broken.
        """
        other = Vendor.__new__(Vendor)
        other.__dict__.update(self.__dict__)
        other.folder = folder / "vendor"
        shutil.copytree(self.repository.folder, other.folder / "repo")
        other.repository = Repository(other.folder / "repo")
        other.keys = KeyFolder(other.folder / "keys", PASSPHRASE)
        other.keys.folder.mkdir(mode=0o700)
        for path in self.keys.folder.iterdir():
            if keys is None or path.stem in keys or path.suffix == ".pub":
                shutil.copy(path, other.keys.folder)
        return other

    @property
    def source(self) -> FolderSource:
        """The repository as a source for ``open_view``."""
        return FolderSource(self.repository.folder)

    def tick(self, **units: float) -> datetime:
        """Move the vendor's clock on, by a second when nothing is said, and return it."""
        self.now += timedelta(**units) if units else timedelta(seconds=1)
        return self.now

    def package(
        self,
        version: str,
        *,
        product: str | None = None,
        platform: str = "any",
        files: Mapping[str, bytes] | None = None,
        description: str | None = None,
    ) -> Path:
        """Build a small package; its path.

        Args:
            files: content by path, beside VERSION, bin/engine.py and conf/engine.toml, which it may replace.
            description: a whole package.toml instead of the usual one.
        """
        product = product or self.product
        source = self.folder / "sources" / f"{product}-{version}-{platform}"
        output = self.folder / "packages"
        output.mkdir(parents=True, exist_ok=True)
        content = {
            "VERSION": version.encode("ascii"),
            "bin/engine.py": b"import time\ntime.sleep(3600)\n",
            "conf/engine.toml": b"# " + version.encode("ascii") + b"\n",
            **(files or {}),
            "package.toml": (description or _DESCRIPTION.format(product=product)).encode("utf-8"),
        }
        for name, data in content.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return build_package([source], version=Version.parse(version), platform=platform, output=output).path

    def notes(self, message: str = "Take a backup first.", *, language: str = "en") -> Path:
        """Write a file of notes for ``ReleaseTerms``; its path, new for each content."""
        said = {language: {"message": message, "notes": f"# News\n\n{message}\n"}}
        data = json.dumps({"format": 1, "languages": said}).encode("utf-8")
        path = self.folder / f"notes-{hashlib.sha256(data).hexdigest()[:12]}.json"
        path.write_bytes(data)
        return path

    def release(
        self,
        version: str,
        *,
        product: str | None = None,
        platforms: Sequence[str] = ("any",),
        files: Mapping[str, bytes] | None = None,
        packages: Sequence[Path] = (),
        terms: ReleaseTerms | None = None,
    ) -> Target:
        """Build (unless *packages* are given), sign and publish a release; the first of its targets."""
        paths = list(packages) or [
            self.package(version, product=product, platform=platform, files=files) for platform in platforms
        ]
        released = add_release(self.repository, self.keys, paths, terms or ReleaseTerms(), now=self.tick())
        return released.targets[0]

    def change(self, version: str, change: ReleaseChange, *, product: str | None = None) -> Target:
        """Change a published release, as withdrawing it; the first of its targets."""
        changed = change_release(
            self.repository,
            self.keys,
            product or self.product,
            Version.parse(version),
            change,
            now=self.tick(),
        )
        return changed.targets[0]

    def refresh(self, *roles: str) -> None:
        """Sign the timestamp, and *roles*, anew."""
        refresh(self.repository, self.keys, self.tick(), roles=roles)

    def bundle(self, version: str, *, product: str | None = None, platforms: Sequence[str] = ()) -> Path:
        """Write the bundle of a published release with the metadata of now; its path, new at each call."""
        folder = self.folder / "bundles"
        folder.mkdir(exist_ok=True)
        number = len(list(folder.iterdir())) + 1
        path = folder / f"{number}-{product or self.product}-{version}-bundle.zip"
        write_bundle(
            self.repository, product or self.product, Version.parse(version), platforms=platforms, output=path
        )
        return path

    def metadata_bundle(self) -> Path:
        """Write a bundle without packages; its path, new at each call."""
        folder = self.folder / "bundles"
        folder.mkdir(exist_ok=True)
        path = folder / f"{len(list(folder.iterdir())) + 1}-metadata-bundle.zip"
        write_metadata_bundle(self.repository, output=path)
        return path

    def package_bytes(self, target: Target) -> bytes:
        """The published package of *target*."""
        return (self.repository.targets / target.download_name).read_bytes()

    def view(self, cache: Path, *, now: datetime | None = None) -> View:
        """The repository's metadata verified into *cache*, as an updater would."""
        return open_view(self.source, cache=cache, trusted_root=self.root, now=now or self.now)


def twin_of(vendor: Vendor, folder: Path) -> Vendor:
    """The vendor's repository as a backup would bring it back: its tools know of no later release."""
    shutil.copytree(vendor.folder, folder / "twin")
    twin = copy.copy(vendor)
    twin.folder = folder / "twin"
    twin.repository = Repository(twin.folder / "repo")
    return twin
