"""The pinned npm packages: only the pinned bytes are taken, and only the application in them."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tests.e2e.allure_releases import AllureRelease, FetchFailed, fetch, unpack

BYTES = b"what was pinned"
RELEASE = AllureRelease("0.0.0", base64.b64encode(hashlib.sha512(BYTES).digest()).decode("ascii"))


def test_what_is_cached_with_the_pinned_digest_is_taken_without_asking_npm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / RELEASE.tarball).write_bytes(BYTES)
    assert fetch(RELEASE, tmp_path) == tmp_path / RELEASE.tarball


def test_what_is_cached_with_another_digest_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / RELEASE.tarball).write_bytes(b"something else")
    with pytest.raises(FetchFailed, match="npm is not installed"):
        fetch(RELEASE, tmp_path)


def test_what_npm_brings_with_another_digest_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\necho something else > {RELEASE.tarball}\n", encoding="ascii")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    cache = tmp_path / "cache"
    with pytest.raises(FetchFailed, match="SHA-512"):
        fetch(RELEASE, cache)
    assert list(cache.iterdir()) == []


def test_only_the_application_is_unpacked_and_stays_executable(tmp_path: Path) -> None:
    tarball = tmp_path / "it.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        for name, mode in (("package/dist/bin/allure", 0o755), ("package/index.js", 0o644)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(BYTES), mode
            archive.addfile(member, io.BytesIO(BYTES))
    folder = tmp_path / "dist"
    unpack(tarball, folder)
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == [
        "bin/allure"
    ]
    assert (folder / "bin/allure").stat().st_mode & 0o777 == 0o755
