"""Builds ``engineshed-client.pyz``: the updater and all it needs in one file that any Python >= 3.11 runs.

    make client
    python -I -S build/client/engineshed-client.pyz --version

The libraries are fetched by the hashes of ``requirements/client.txt``, and only wheels for any platform: the
file carries no compiled code and is the same for Linux and Windows. The same sources and wheels give the same
bytes: names are sorted, dates are fixed, and nothing of the machine that builds gets in. (What deflate makes
of them may differ between two versions of zlib; the vendor signs one file, whoever built it.)

With ``--runtime`` the folder ``host/`` goes beside it: the file with a Python of its own. See
``docs/own-update.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "deploy" / "requirements" / "client.txt"
SOURCES = {
    "engineshed_packages": ROOT / "packages" / "engineshed_packages",
    "engineshed_client": ROOT / "client" / "engineshed_client",
}
NAME = "engineshed-client.pyz"
MAX_BYTES = 2_000_000  # it goes to every host, some of them behind slow lines
OLDEST_PYTHON = "3.11"
SHEBANG = b"#!/usr/bin/env python3\n"
DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold

# An updater needs neither the demo's engine nor a library's tests, and Python neither caches nor stubs.
_LEFT_OUT = re.compile(
    r"(^|/)__pycache__/|\.py[cio]$|^engineshed_packages/sample/|/test_data/|\.dist-info/(RECORD|INSTALLER)$"
)
_COMPILED = re.compile(r"\.(so|pyd|dll|dylib|exe)$|\.so\.")

MAIN = b'''\
"""What Python runs when it is given this file."""

import sys

if sys.version_info < (3, 11):
    sys.stderr.write("engineshed-client needs Python >= 3.11, this is %s\\n" % sys.version.split()[0])
    sys.exit(78)

from engineshed_client.cli.main import main

sys.exit(main())
'''

# The original copies cacert.pem out of the zip into the system's folder for temporary files at each start.
# The updater reads the text and asks for no file (engineshed_packages.transport.deadline).
CERTIFI = b'''\
"""In place of certifi's own: nothing is written anywhere."""

import os
from importlib.resources import files


def where():
    return os.path.join(os.path.dirname(__file__), "cacert.pem")


def contents():
    return files("certifi").joinpath("cacert.pem").read_text(encoding="ascii")
'''


# How its package describes it: an updater runs it by the launcher, and proves it by its self-test.
PACKAGE = """\
product = "engineshed-client"

[start]
command = ["{python}", "-I", "-S", "{engine}/engineshed-client.pyz", "run"]

[probe]
command = ["{python}", "-I", "-S", "{engine}/engineshed-client.pyz", "--version"]
version_regex = "engineshed-client (\\\\S+)"
"""


class BuildFailed(Exception):
    """The file cannot be built, and why."""


def main(arguments: list[str]) -> int:
    """Build into the folder that is named."""
    parser = argparse.ArgumentParser(description="Build the updater as one file.")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "client", metavar="FOLDER")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="take wheels from here, fetch none")
    parser.add_argument(
        "--runtime",
        type=Path,
        metavar="FOLDER",
        help="an unpacked Python >= 3.11 that can be moved about, for hosts that have none",
    )
    parser.add_argument(
        "--package",
        action="store_true",
        help="put the folder package/ beside it, from which engineshed-packages builds a release of it",
    )
    given = parser.parse_args(arguments)
    try:
        path = build(given.output, wheels=given.wheels)
        if given.runtime is not None:
            add_runtime(given.output, given.runtime)
        if given.package:
            add_package(given.output)
    except BuildFailed as err:
        print(f"build_client: {err}", file=sys.stderr)
        return 1
    print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")
    return 0


def build(output: Path, *, wheels: Path | None = None) -> Path:
    """Write the single file into *output*; its path.

    Raises:
        BuildFailed: a wheel is missing or holds compiled code, or the file would be too large.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if wheels is None:
            wheels = Path(scratch)
            fetch_wheels(wheels)
        files = dict(_libraries(wheels))
    files |= dict(_own_sources())
    files |= {"__main__.py": MAIN, "certifi/core.py": CERTIFI}
    data = pack({**dict(_missing_inits(files)), **files})
    if len(data) > MAX_BYTES:
        raise BuildFailed(f"{NAME} would have {len(data)} bytes, at most {MAX_BYTES} are allowed")
    output.mkdir(parents=True, exist_ok=True)
    path = output / NAME
    path.write_bytes(data)
    path.chmod(0o755)
    return path


def fetch_wheels(folder: Path) -> None:
    """Fetch what the lock names, by its hashes, for any platform.

    Raises:
        BuildFailed: pip's word.
    """
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    words += ["--only-binary=:all:", "--implementation", "py", "--abi", "none", "--platform", "any"]
    words += ["--python-version", OLDEST_PYTHON, "--require-hashes", "--dest", str(folder)]
    run = subprocess.run([*words, "--requirement", str(LOCK)], capture_output=True, text=True)
    if run.returncode != 0:
        raise BuildFailed(f"pip fetched not all of {LOCK.name}: {run.stderr.strip()[-2000:]}")


def _libraries(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of every wheel; of each library that the lock names there is one."""
    wheels = sorted(folder.glob("*.whl"))
    named = set(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE))
    found = {
        (name.replace("_", "-"), version) for name, version, *_ in (one.name.split("-") for one in wheels)
    }
    if found != named:
        raise BuildFailed(f"{folder} holds {sorted(found)}, the lock names {sorted(named)}")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if _COMPILED.search(name):
                    raise BuildFailed(f"{wheel.name} holds compiled code: {name}")
                if not name.endswith("/") and not _LEFT_OUT.search(name):
                    yield name, archive.read(name)


def _own_sources() -> Iterator[tuple[str, bytes]]:
    for package, folder in SOURCES.items():
        for path in folder.rglob("*"):
            name = f"{package}/{path.relative_to(folder).as_posix()}"
            if path.is_file() and not _LEFT_OUT.search(name):
                yield name, path.read_bytes()


def _missing_inits(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Python finds a folder without ``__init__.py`` on a disk, and not in a zip."""
    for name in files:
        folder, slash, _ = name.rpartition("/")
        if slash and name.endswith(".py"):
            yield f"{folder}/__init__.py", b""


def pack(files: Mapping[str, bytes]) -> bytes:
    """A program in a zip that holds *files*, the same from the same input."""
    buffer = io.BytesIO()
    buffer.write(SHEBANG)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is built
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name], compresslevel=9)
    return buffer.getvalue()


def add_runtime(output: Path, runtime: Path) -> None:
    """Put the file and a copy of *runtime* into ``host/``, with a program that starts one by the other.

    Raises:
        BuildFailed: there is no Python in *runtime*, or it cannot run the file.
    """
    programs = ("python.exe", "bin/python3", "bin/python")
    program = next((name for name in programs if (runtime / name).is_file()), None)
    if program is None:
        raise BuildFailed(f"{runtime} holds none of {', '.join(programs)}")
    host = output / "host"
    shutil.rmtree(host, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(runtime, host / "python", symlinks=True, ignore=ignored)
    shutil.copy2(output / NAME, host / NAME)
    if program.endswith(".exe"):
        starter, text = (
            host / "engineshed-client.cmd",
            f'@"%~dp0python\\{program}" -I -S "%~dp0{NAME}" %*\r\n',
        )
    else:
        # Found through links as well, so that /usr/local/bin may hold one.
        find = 'here=$(dirname "$(readlink -f "$0")")'
        starter = host / "engineshed-client"
        text = f'#!/bin/sh\n{find}\nexec "$here/python/{program}" -I -S "$here/{NAME}" "$@"\n'
    starter.write_text(text, "utf-8", newline="")
    starter.chmod(0o755)
    if program.endswith(".exe") == (os.name == "nt"):
        _try_runtime(host / "python" / program, host / NAME)


def add_package(output: Path) -> None:
    """Put what a release of the file is built from into ``package/``."""
    package = output / "package"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir()
    shutil.copy2(output / NAME, package / NAME)
    (package / "package.toml").write_text(PACKAGE, "utf-8", newline="\n")


def _try_runtime(program: Path, file: Path) -> None:
    words = [str(program), "-I", "-S", str(file), "--version"]
    run = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if run.returncode != 0:
        raise BuildFailed(f"{program} cannot run {file.name}: {(run.stdout + run.stderr).strip()[-2000:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
