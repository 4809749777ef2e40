"""Two releases of Allure, a Java application nobody here wrote, as npm serves them: pinned, cached, unpacked.

The npm package carries the whole application in `dist/`: `bin/`, `lib/*.jar`, `config/`, `plugins/`. What npm
brings is taken only when its digest is the one written here; a cached file is hashed again each time.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

NPM_TIMEOUT_S = 300


class FetchFailed(Exception):
    """The release is not to be had, or it is not the one that is pinned."""


@dataclass(frozen=True, slots=True)
class AllureRelease:
    """One release on npm; `integrity` is the SHA-512 of the tarball, in base64 as npm writes it."""

    version: str
    integrity: str

    @property
    def tarball(self) -> str:
        return f"allure-commandline-{self.version}.tgz"

    def is_genuine(self, path: Path) -> bool:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha512").digest()
        return base64.b64encode(digest).decode("ascii") == self.integrity


OLD = AllureRelease(
    "2.34.0", "+SgVJ9+o7OH43KVCln0KT7VIsXCfMVEvFuYArIFNtS0fWu61UFdeiCYvrlQPC9trEoFhOe2e5i8Xhghwo46iRQ=="
)
NEW = AllureRelease(
    "2.34.1", "l42csZ2bz7FdtJI1t5zA3IXtOZ0YJaP/+JMRC9gt6aBHRVUIu+6r+3F7KRyshQ79osLz9/MHlGqAjBPRqH0QFw=="
)


def cache_folder() -> Path:
    """Where tarballs stay between runs, by the XDG rules."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "engineshed"


def fetch(release: AllureRelease, cache: Path) -> Path:
    """Path of the genuine tarball in `cache`; npm is asked only when it is not there yet.

    Raises FetchFailed when npm fails, or brings other bytes than pinned.
    """
    cached = cache / release.tarball
    if cached.is_file() and release.is_genuine(cached):
        return cached
    cache.mkdir(parents=True, exist_ok=True)
    # A folder of its own, inside the cache: two runs never meet, and the last step is a rename.
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        fresh = Path(folder) / release.tarball
        _npm_pack(release, Path(folder))
        if not release.is_genuine(fresh):
            raise FetchFailed(f"{release.tarball} from npm is not the file pinned here by its SHA-512")
        os.replace(fresh, cached)
    return cached


def _npm_pack(release: AllureRelease, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchFailed("npm is not installed")
    command = [npm, "pack", f"allure-commandline@{release.version}", "--silent", "--ignore-scripts"]
    command += ["--cache", str(folder / "npm"), "--pack-destination", str(folder)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_TIMEOUT_S)
    if run.returncode != 0:
        raise FetchFailed(f"npm pack of {release.tarball} failed: {run.stderr.strip() or run.stdout.strip()}")


def unpack(tarball: Path, folder: Path) -> None:
    """Writes the files below `package/dist/` into `folder`, executable where the tarball says so."""
    with tarfile.open(tarball) as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            if not member.isfile() or parts[:2] != ("package", "dist"):
                continue
            content = archive.extractfile(member)
            assert content is not None  # a regular file, asked above
            target = folder.joinpath(*parts[2:])
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as output:
                shutil.copyfileobj(content, output)
            target.chmod(0o755 if member.mode & 0o100 else 0o644)
