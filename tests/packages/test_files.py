"""Small files are replaced whole or not at all."""

import os
import sys
from pathlib import Path

import pytest

from engineshed_packages.errors import FileRefused
from engineshed_packages.files import drop_pages, read_limited, write_file


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_file(path, b"old")
    write_file(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert sys.platform == "win32" or path.stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    write_file(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 11)
    assert len((tmp_path / "big").read_bytes()) == 11
    with pytest.raises(FileRefused) as refusal:
        read_limited(tmp_path / "big", 10)
    assert refusal.value.code == "file-too-large"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="nowhere") as refusal:
        read_limited(tmp_path / "nowhere", 10)
    assert refusal.value.code == "file-missing"


@pytest.mark.skipif(sys.platform != "linux", reason="Windows has no such call")
@pytest.mark.parametrize(("end", "length"), [(None, 0), (7, 4)])
def test_the_memory_of_a_file_is_given_back_and_its_content_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: int | None, length: int
) -> None:
    told: list[tuple[int, int, int]] = []
    honest = os.posix_fadvise

    def advise(descriptor: int, start: int, length: int, advice: int) -> None:
        told.append((start, length, advice))
        honest(descriptor, start, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", advise)
    (tmp_path / "big").write_bytes(b"0123456789")
    with (tmp_path / "big").open("rb") as file:
        drop_pages(file, start=3, end=end)
        assert file.read() == b"0123456789"
    assert told == [(3, length, os.POSIX_FADV_DONTNEED)]
