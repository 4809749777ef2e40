from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from engineshed_client.fsops import ExchangeUnsupported, FsOps
from engineshed_client.install.swapping import (
    LOCK_TRIES,
    rename_patiently,
    set_failed_aside,
    swap_back,
    swap_in,
)
from tests.client.install.trees_on_disk import content, put


class Plain(FsOps):
    """No exchange; each rename is counted and may be refused.

    Args:
        refuse: (name of the source, how often, number of the error).
    """

    def __init__(self, refuse: tuple[str, int, int] = ("", 0, 0)) -> None:
        self._name, self._times, self._number = refuse
        self.renames: list[str] = []

    def exchange(self, one: Path, other: Path) -> None:
        raise ExchangeUnsupported("not here")

    def rename(self, source: Path, destination: Path) -> None:
        self.renames.append(f"{source.name} to {destination.name}")
        if source.name == self._name and self._times > 0:
            self._times -= 1
            raise OSError(self._number, "refused", str(source))
        super().rename(source, destination)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    put(tmp_path, {"engine/old": b"", "staged/new": b""})
    return tmp_path


@pytest.fixture
def slept() -> list[float]:
    return []


def _swap_in(fs: FsOps, base: Path, sleep: Callable[[float], None]) -> None:
    swap_in(fs, base / "staged", base / "engine", previous=base / "engine_20261122", sleep=sleep)


@pytest.mark.parametrize("fs", [FsOps(), Plain()], ids=["exchange", "two-renames"])
def test_the_new_engine_takes_the_place_of_the_old_one(base: Path, fs: FsOps) -> None:
    _swap_in(fs, base, lambda seconds: None)
    assert content(base) == {"engine/new": "", "engine_20261122/old": ""}


def test_the_first_engine_takes_an_empty_place(base: Path) -> None:
    (base / "engine/old").unlink()
    (base / "engine").rmdir()
    swap_in(FsOps(), base / "staged", base / "engine", previous=None, sleep=lambda seconds: None)
    assert content(base) == {"engine/new": ""}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EBUSY])
def test_a_locked_folder_is_waited_for(base: Path, slept: list[float], number: int) -> None:
    _swap_in(Plain(("engine", 7, number)), base, slept.append)
    assert content(base) == {"engine/new": "", "engine_20261122/old": ""}
    assert slept == [1.0] * 7


def test_a_folder_that_stays_locked_is_given_up_after_a_minute(base: Path, slept: list[float]) -> None:
    with pytest.raises(OSError, match="refused"):
        _swap_in(Plain(("engine", 10**6, errno.EACCES)), base, slept.append)
    assert sum(slept) == LOCK_TRIES == 60
    assert content(base) == {"engine/old": "", "staged/new": ""}


def test_what_is_no_lock_is_not_waited_for(base: Path, slept: list[float]) -> None:
    with pytest.raises(OSError, match="refused"):
        rename_patiently(Plain(("staged", 1, errno.ENOSPC)), base / "staged", base / "x", sleep=slept.append)
    assert slept == []


def test_a_second_rename_that_fails_is_undone_at_once(base: Path) -> None:
    fs = Plain(("staged", 10**6, errno.ENOSPC))
    with pytest.raises(OSError, match="refused"):
        _swap_in(fs, base, lambda seconds: None)
    assert fs.renames == ["engine to engine_20261122", "staged to engine", "engine_20261122 to engine"]
    assert content(base) == {"engine/old": "", "staged/new": ""}


def test_a_name_that_is_taken_is_not_overwritten(base: Path) -> None:
    put(base, {"engine_20261122/other": b""})
    with pytest.raises(FileExistsError):
        _swap_in(Plain(), base, lambda seconds: None)
    assert content(base) == {"engine/old": "", "staged/new": "", "engine_20261122/other": ""}


@pytest.mark.parametrize("fs", [FsOps(), Plain()], ids=["exchange", "two-renames"])
def test_the_old_engine_comes_back_and_the_failed_one_is_kept(base: Path, fs: FsOps) -> None:
    put(base, {"failed/earlier": b""})
    swap_back(fs, base / "engine", base / "staged", failed=base / "failed", sleep=lambda seconds: None)
    assert content(base) == {"engine/new": "", "failed/old": ""}


def test_the_old_engine_comes_back_into_an_empty_place(base: Path) -> None:
    (base / "engine").rename(base / "failed")
    swap_back(FsOps(), base / "engine", base / "staged", failed=base / "failed", sleep=lambda seconds: None)
    assert content(base) == {"engine/new": "", "failed/old": ""}


def test_only_the_last_failed_engine_is_kept(base: Path) -> None:
    put(base, {"failed/earlier": b""})
    set_failed_aside(FsOps(), base / "engine", base / "failed", sleep=lambda seconds: None)
    assert content(base) == {"failed/old": "", "staged/new": ""}
