"""The updater as one file: built twice, then run against a real portal by a Python that has nothing else."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages import __version__
from tests.conftest import require
from tests.deploy.single_file import NAME, build, run_words
from tests.e2e.allure_releases import cache_folder
from tests.e2e.site import Site
from tests.systemd.layers import Kept, bootstrap, overlay

MAX_BYTES = 2_000_000
COMMAND_S = 90

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("single-file"))


def _run(file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*run_words(file), *words], capture_output=True, text=True, timeout=COMMAND_S)


def test_two_builds_are_the_same_bytes_whoever_builds(file: Path, tmp_path: Path) -> None:
    other = build(tmp_path, cwd=tmp_path, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7", HOME=str(tmp_path))
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (file, other)}
    assert len(digests) == 1


def test_the_file_is_small_and_holds_no_compiled_code(file: Path) -> None:
    assert file.stat().st_size <= MAX_BYTES
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        # Neither by name nor by the first bytes of programs and libraries of Linux, Windows and macOS.
        heads = {name: archive.read(name)[:4] for name in names}
    assert names == sorted(names)
    assert [name for name in names if re.search(r"\.(so|pyd|dll|pyc)$", name)] == []
    assert [
        name for name, head in heads.items() if head.startswith((b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe"))
    ] == []


def test_the_licences_of_the_libraries_go_along(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    lock = Path(__file__).parents[2] / "deploy/requirements/client.txt"
    for library in re.findall(r"^([a-z0-9-]+)==", lock.read_text("utf-8"), re.MULTILINE):
        folder = library.replace("-", "[-_]")
        licence = rf"{folder}-[^/]+\.dist-info/(.*/)?(LICEN[CS]E|COPYING)[^/]*"
        assert [name for name in names if re.fullmatch(licence, name)], library


def test_the_file_says_its_version(file: Path) -> None:
    done = _run(file, "--version")
    assert (done.returncode, done.stdout) == (0, f"engineshed-client {__version__}\n")


def test_an_old_python_is_told_so(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        (tmp_path / "main.py").write_bytes(archive.read("__main__.py"))
    code = f"import runpy, sys; sys.version_info = (3, 10); runpy.run_path({str(tmp_path / 'main.py')!r})"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert "needs Python >= 3.11" in done.stderr


def test_a_host_joins_and_is_updated_by_the_file_alone_and_nothing_is_written_elsewhere(
    file: Path, site: Site, tmp_path: Path
) -> None:
    host = site.new_host()
    host.program = run_words(file)
    elsewhere = {"TMPDIR": tmp_path / "tmp", "HOME": tmp_path / "home", "XDG_CACHE_HOME": tmp_path / "cache"}
    for folder in elsewhere.values():
        folder.mkdir()
    host.environment |= {name: str(folder) for name, folder in elsewhere.items()}
    assert host.enrol(site.portal.lasting_line).returncode == 0
    site.portal.upload(site.vendor.bundle(host.product, "1.0.0"))
    for version in ("1.0.0", "1.1.0"):
        site.portal.upload(site.vendor.bundle(host.product, version))
        done = host.client("update")
        assert done.returncode == 0, done.stderr
        assert host.version == version
    assert [path for folder in elsewhere.values() for path in folder.rglob("*")] == []


def test_a_runtime_goes_along_for_a_host_without_python(file: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    (runtime / "bin").mkdir(parents=True)
    # What would be a Python that can be moved about: here one that starts the one of this machine.
    (runtime / "bin" / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (runtime / "bin" / "python3").chmod(0o755)
    build(tmp_path / "out", "--runtime", runtime)
    link = tmp_path / "engineshed-client"
    link.symlink_to(tmp_path / "out" / "host" / "engineshed-client")
    done = subprocess.run(
        [link, "--version"], capture_output=True, text=True, timeout=60, env={"PATH": "/bin"}
    )
    assert (done.returncode, done.stdout) == (0, f"engineshed-client {__version__}\n")


def test_a_folder_without_a_python_is_no_runtime(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"holds none of python\.exe, bin/python3, bin/python"):
        build(tmp_path / "out", "--runtime", tmp_path)


@pytest.fixture(scope="module")
def trixie() -> Iterator[Path]:
    """Debian 13 with its own Python, fetched once and kept."""
    require(sys.platform == "linux" and os.geteuid() == 0, "root on Linux, for a Debian of its own")
    require(shutil.which("debootstrap") is not None, "debootstrap")
    suite, packages = "trixie", ("python3",)
    with Kept(cache_folder()) as kept:
        made_from = [inspect.getsource(bootstrap), suite, *packages]
        yield kept.layer(suite, made_from, lambda folder: bootstrap(folder, suite, packages))


@pytest.mark.timeout(600)
def test_python_3_13_of_debian_trixie_runs_the_file(
    file: Path, trixie: Path, site: Site, tmp_path: Path
) -> None:
    host = site.new_host()
    site.portal.upload(site.vendor.bundle(host.product, "1.0.0"))
    upper = tmp_path / "upper"
    upper.mkdir()
    shutil.copytree(host.base, upper / "base")
    shutil.copy2(file, upper / NAME)
    shutil.copy2(site.vendor.root_file, upper / "root.json")
    script = f"""
        mount -t proc proc merged/proc
        chroot merged sh -eu -c '
            client() {{ python3 -I -S /{NAME} --base /base --no-progress "$@"; }}
            python3 --version
            client enrol --trusted-root /root.json
            client update
            client status --json
        '"""
    # Its processes end with the namespace, the engine as well.
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "sh", "-eu", "-c", script]
    done = subprocess.run(
        [*overlay(str(trixie), upper), *alone],
        input=site.portal.lasting_line + "\n",
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Python 3.13.")
    status = json.loads(done.stdout[done.stdout.index("{") :])
    assert (status["version"], status["health"]) == ("1.0.0", "good")
