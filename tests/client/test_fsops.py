from __future__ import annotations

import ast
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engineshed_client
from engineshed_client.errors import Locked
from engineshed_client.fsops import ExchangeUnsupported, FsOps, find_stat
from tests.conftest import require


class Listing(FsOps):
    """Keeps the names of effects; fails at one of them."""

    def __init__(self, fail: str = "") -> None:
        self.effects: list[str] = []
        self._fail = fail

    def announce(self, effect: str, path: Path) -> None:
        self.effects.append(effect)
        if effect == self._fail:
            raise OSError(errno.ENOSPC, "full", str(path))


def test_a_file_is_synchronised_before_its_name_and_its_folder_after(tmp_path: Path) -> None:
    fs = Listing()
    fs.write_file(tmp_path / "file", b"data")
    assert fs.effects == ["create", "write", "sync", "set mode", "replace", "sync folder"]


def test_a_written_file_has_its_content_and_mode(tmp_path: Path) -> None:
    FsOps().write_file(tmp_path / "file", b"data", mode=0o600)
    assert (tmp_path / "file").read_bytes() == b"data"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("effect", ["create", "write", "sync", "set mode", "replace"])
def test_a_file_that_cannot_be_written_is_as_it_was_and_nothing_else_is_left(
    tmp_path: Path, effect: str
) -> None:
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(OSError, match="full"):
        Listing(effect).write_file(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    require(Path("/dev/full").exists(), "/dev/full, which is always full")
    with FsOps().open_update(Path("/dev/full")) as file, pytest.raises(OSError, match="/dev/full") as caught:
        file.write(b"data")
    assert caught.value.errno == errno.ENOSPC


def test_what_an_interruption_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".file.tmp").write_bytes(b"half")
    FsOps().write_file(tmp_path / "file", b"whole")
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        FsOps().open_append(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_is_never_renamed_onto_something(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with pytest.raises(FileExistsError):
        FsOps().rename(tmp_path / "one", tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == ["one", "other"]


def test_two_folders_exchange_their_names(tmp_path: Path) -> None:
    require(sys.platform == "linux", "renameat2 exists on Linux only")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    FsOps().exchange(tmp_path / "one", tmp_path / "other")
    assert os.listdir(tmp_path / "one") == ["other"]
    assert os.listdir(tmp_path / "other") == ["one"]


def test_an_exchange_with_nothing_fails_and_is_not_unsupported(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError):
        FsOps().exchange(tmp_path / "one", tmp_path / "absent")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_exchange_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("ctypes.get_errno", lambda: number)
    with pytest.raises(ExchangeUnsupported):
        FsOps().exchange(tmp_path / "absent", tmp_path / "absent too")


def test_only_not_found_means_that_nothing_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        find_stat(tmp_path / "file" / "below")
    assert find_stat(tmp_path / "absent") is None


def test_a_held_lock_is_refused_and_free_again_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "work" / "lock"
    with FsOps().lock(path):
        with pytest.raises(Locked) as raised, FsOps().lock(path):
            pass
        assert raised.value.code == "locked"
    with FsOps().lock(path):
        pass
    assert path.exists()


def test_a_mode_survives_a_change_of_owner(tmp_path: Path) -> None:
    require(os.name == "posix" and os.geteuid() == 0, "only root may give files away")
    (tmp_path / "file").touch()
    (tmp_path / "like").touch()
    os.chown(tmp_path / "like", 4711, 4711)
    FsOps().take_owner(tmp_path / "file", os.lstat(tmp_path / "like"))
    assert os.lstat(tmp_path / "file").st_uid == 4711


# names of functions and methods that change the disk, wherever they come from
_MUTATING = {
    "chmod", "chown", "copy", "copy2", "copyfile", "copymode", "copystat", "copytree", "extract",
    "extractall", "fchmod", "fchown", "fsync", "hardlink_to", "lchmod", "lchown", "link", "makedirs",
    "mkdir", "mkdtemp", "mkfifo", "mknod", "mkstemp", "move", "NamedTemporaryFile", "pwrite", "removedirs",
    "renames", "rmdir", "rmtree", "setxattr", "symlink", "symlink_to", "TemporaryDirectory",
    "TemporaryFile", "touch", "truncate", "unlink", "utime", "write_bytes", "write_text", "writev",
}  # fmt: skip
# the same names on the seam itself or on a file that it opened
_SEAM = {"truncate"}
_OS_ONLY = {"remove", "rename", "replace", "write", "open"}


def _modules() -> Iterator[Path]:
    folder = Path(engineshed_client.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        if path.name not in ("fsops.py", "launcher.py"):
            yield path


def _effects_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id == "open" and _opens_for_writing(node):
            yield f"{path.name}:{node.lineno} open"
        if not isinstance(function, ast.Attribute):
            continue
        owner = ast.unparse(function.value)
        name = function.attr
        if name == "open" and owner != "os" and _opens_for_writing(node):
            yield f"{path.name}:{node.lineno} {owner}.open"
        if owner in ("os", "shutil") and name in _OS_ONLY - {"open"}:
            yield f"{path.name}:{node.lineno} {owner}.{name}"
        if name in _MUTATING - _SEAM and not owner.endswith("fs") and owner != "re":
            yield f"{path.name}:{node.lineno} {owner}.{name}"


def _opens_for_writing(node: ast.Call) -> bool:
    words = [*node.args, *(word.value for word in node.keywords if word.arg == "mode")]
    modes = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    return any(mode.strip("rwaxbt+") == "" and set(mode) & set("wax+") for mode in modes)


def test_nothing_but_the_seam_changes_the_disk() -> None:
    found = [effect for path in _modules() for effect in _effects_in(path)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "os.rename(a, b)",
        "os.replace(a, b)",
        "path.unlink()",
        "shutil.rmtree(folder)",
        'open(path, "wb")',
        'path.open("a")',
        "path.write_text(text)",
        "os.fsync(number)",
        "archive.extractall(folder)",
    ],
)
def test_the_look_for_effects_finds_them(tmp_path: Path, line: str) -> None:
    (tmp_path / "module.py").write_text(line)
    assert list(_effects_in(tmp_path / "module.py")) != []
