"""New keys come as one step: whoever is killed leaves the repository as before it, or as after it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engineshed_packages import files
from engineshed_packages import repository as repository_module
from engineshed_packages.errors import Conflict
from engineshed_packages.locks import exclusive
from engineshed_packages.metadata import verify_view
from engineshed_packages.repository import Repository, staging
from engineshed_packages.repository.rotation import role_keys
from tests.packages.forgery import contents, rotate
from tests.packages.shell import Shell, released
from tests.vendor import PRODUCT, Vendor


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


class Mortal:
    """Counts what changes the disk, and dies before effect number *kill_at* (from 0)."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.effects = 0
        self._kill_at = kill_at

    def then(self, effect: Callable[..., None]) -> Callable[..., None]:
        """*effect*, to be died before."""

        def mortal(*given: object, **named: object) -> None:
            if self.effects == self._kill_at:
                raise Killed
            self.effects += 1
            effect(*given, **named)

        return mortal

    def put_in(self, patch: pytest.MonkeyPatch) -> None:
        """Let everything die that writes metadata."""
        patch.setattr(staging, "write_file", self.then(files.write_file))
        patch.setattr(repository_module, "write_file", self.then(files.write_file))
        patch.setattr(os, "rename", self.then(os.rename))
        patch.setattr(os, "replace", self.then(os.replace))
        patch.setattr(staging, "fsync_folder", self.then(files.fsync_folder))
        patch.setattr(Path, "rmdir", self.then(Path.rmdir))


def keyids(vendor: Vendor, role: str) -> list[str]:
    return list(role_keys(vendor.repository.published(), role).keyids)


@pytest.mark.parametrize("role", ["online", PRODUCT])
def test_killed_anywhere_the_next_command_finds_the_old_keys_or_the_new_ones(
    tmp_path: Path, role: str
) -> None:
    vendor = Vendor(tmp_path)
    vendor.release("1.0.0")
    old, counting = keyids(vendor, role), Mortal()
    with pytest.MonkeyPatch.context() as patch:
        counting.put_in(patch)
        rotate(vendor.copy(tmp_path / "counted"), role)
    outcomes = []
    for kill_at in range(counting.effects):
        mortal = vendor.copy(tmp_path / f"{kill_at}")
        with pytest.MonkeyPatch.context() as patch:
            Mortal(kill_at).put_in(patch)
            with pytest.raises(Killed):
                rotate(mortal, role)
        decided = staging.is_staged(mortal.repository.folder)
        outcomes.append(keyids(mortal, role) != old)
        assert outcomes[-1] or not decided
        mortal.refresh()
        view = verify_view(mortal.source, cache=tmp_path / "cache", trusted_root=vendor.root, now=mortal.now)
        assert [target.version.text for target in view.targets] == ["1.0.0"]
        rotate(mortal, role)
        assert [path.name for path in mortal.repository.folder.iterdir() if "stag" in path.name] == []
        shutil.rmtree(tmp_path / f"{kill_at}")
    assert outcomes == sorted(outcomes), "what was decided was taken back"
    assert (outcomes[0], outcomes[-1]) == (False, True)


def interrupted(vendor: Vendor, role: str) -> None:
    """Killed right after it was decided."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "finish", Mortal(0).then(staging.finish))
        with pytest.raises(Killed):
            rotate(vendor, role)
    assert staging.is_staged(vendor.repository.folder)


def test_what_was_decided_is_completed_by_the_next_command_whatever_it_is(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path)
    vendor.release("1.0.0")
    interrupted(vendor, "online")
    vendor.bundle("1.0.0")  # needs no key and changes nothing of its own
    assert not staging.is_staged(vendor.repository.folder)
    assert vendor.repository.published().root.version == 2


def test_a_change_of_keys_that_was_interrupted_is_not_made_a_second_time(ready: Shell) -> None:
    """Whoever repeats a command that was killed wants what it was to do, once."""
    released(ready)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "finish", Mortal(0).then(staging.finish))
        with pytest.raises(Killed):
            ready.run("keys", "rotate", "--role", "online")
    assert ready.run("keys", "rotate", "--role", "online") == 0
    assert "nothing else was done" in ready.out
    assert Repository(Path("repository")).published().root.version == 2
    assert not Path("keys", "online-3.pem").exists()


def test_a_reader_waits_for_whoever_is_at_work_and_then_gives_up(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path)
    interrupted(vendor, "online")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repository_module, "LOCK_WAIT_S", 0)
        with exclusive(vendor.repository.folder / ".lock", wait_s=0), pytest.raises(Conflict):
            vendor.repository.published()
    assert vendor.repository.published().root.version == 2


def test_a_disk_that_is_full_before_the_step_leaves_everything_as_it_was(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path)
    before = contents(vendor.repository.metadata)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "write_file", full)
        with pytest.raises(OSError, match="No space"):
            rotate(vendor, "online")
    assert contents(vendor.repository.metadata) == before
    rotate(vendor, "online")
    assert [path.name for path in vendor.repository.folder.iterdir() if "stag" in path.name] == []
