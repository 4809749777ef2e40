"""What a container is made of, built once and kept: Debian with systemd, and above it the portal's libraries.

    with Layers(cache) as layers:           # the first time minutes, then nothing
        layers.lower                        # for overlayfs, the upper one first

    with Kept(cache) as kept:               # any other folder that takes long to make
        folder = kept.layer("trixie", ["what it is made from"], build)

Each layer is keyed by what it is made from and built under a lock, beside its place, then renamed. Who uses
a layer holds its lock shared; one of another key that nobody holds is removed, so the cache does not grow.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = ROOT / "deploy" / "requirements"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "procps", "python3", "python3-venv", "ca-certificates")
BUILD_S = 540
# What is inside is for all users inside, whoever builds it.
UMASK = 0o022
# Older and newer ones than Debian's: each wheel names the oldest it runs on.
OLDEST_GLIBC = 5
VENV = "/opt/engineshed"
WHEELS = "/wheels"


class BuildFailed(Exception):
    """A layer cannot be built on this machine."""


def host_suite() -> str:
    """What this host calls its own release: the mirrors it knows have that."""
    found = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise BuildFailed("/etc/os-release names no release")
    return found[1]


class Kept:
    """Layers in the folder *cache*, there until the end of the block."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._cache.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def layer(self, kind: str, made_from: Sequence[str], build: Callable[[Path], None]) -> Path:
        """The layer of that kind and key; *build* fills an empty folder when there is none."""
        text = "\0".join([platform.machine(), *made_from])
        key = hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
        place = self._cache / f"{kind}-{key}"
        self._remove_others(kind, place)
        lock = self._held.enter_context(place.with_suffix(".lock").open("a"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            unfinished = place.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            unfinished.chmod(0o777 & ~UMASK)
            build(unfinished)
            unfinished.rename(place)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return place

    def _remove_others(self, kind: str, place: Path) -> None:
        for lock_path in self._cache.glob(f"{kind}-*.lock"):
            other = lock_path.with_suffix("")
            if other == place:
                continue
            with lock_path.open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(other, ignore_errors=True)
                shutil.rmtree(other.with_suffix(".unfinished"), ignore_errors=True)


class Layers:
    """The two layers of a container, in *cache* until the end of the block."""

    def __init__(self, cache: Path) -> None:
        self._kept = Kept(cache)
        self.system = cache
        self.libraries = cache

    @property
    def lower(self) -> str:
        """``lowerdir=`` of an overlay."""
        return f"{self.libraries}:{self.system}"

    def __enter__(self) -> Self:
        kept = self._kept.__enter__()
        try:
            suite = host_suite()
            made_from = [inspect.getsource(bootstrap), suite, *PACKAGES]
            self.system = kept.layer("system", made_from, lambda folder: bootstrap(folder, suite, PACKAGES))
            sources = [inspect.getsource(function) for function in (_install, _download, _run)]
            made_from = [self.system.name, *sources, (LOCKS / "server.txt").read_text("utf-8"), _setuptools()]
            self.libraries = kept.layer("libraries", made_from, lambda folder: _install(folder, self.system))
        except BaseException:
            kept.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.__exit__()


def bootstrap(folder: Path, suite: str, packages: Sequence[str]) -> None:
    """A small Debian with *packages* in *folder*."""
    words = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, str(folder)]
    _run(words)
    for path in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
        shutil.rmtree(folder / path, ignore_errors=True)


def _install(folder: Path, system: Path) -> None:
    """The portal's libraries in a virtual environment, by the hashes of its lock; the wheels stay in it."""
    wheels = folder / WHEELS.lstrip("/")
    wheels.mkdir()
    _download(wheels, system)
    (folder / "lock.txt").write_bytes((LOCKS / "server.txt").read_bytes())
    install = [
        f"{VENV}/bin/pip",
        "install",
        "--quiet",
        "--no-index",
        "--find-links",
        WHEELS,
        "--require-hashes",
    ]
    for command in (["python3", "-m", "venv", VENV], [*install, "--requirement", "/lock.txt"]):
        _run([*overlay(f"{system}", folder), "chroot", "merged", *command], cwd=folder.parent)


def _download(wheels: Path, system: Path) -> None:
    """The wheels for the container's Python and C library, which need not be this host's."""
    code = "import platform, sys; print(*sys.version_info[:2], platform.libc_ver()[1].split('.')[1])"
    major, minor, glibc = _run(["chroot", str(system), "python3", "-c", code]).split()
    machine = platform.machine()
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    words += ["--only-binary=:all:", "--implementation", "cp", "--python-version", f"{major}.{minor}"]
    for abi in (f"cp{major}{minor}", "abi3", "none"):
        words += ["--abi", abi]
    for version in range(OLDEST_GLIBC, int(glibc) + 1):
        words += ["--platform", f"manylinux_2_{version}_{machine}"]
    words += ["--platform", f"manylinux2014_{machine}", "--require-hashes", "--dest", str(wheels)]
    build = wheels.parent / "build.txt"
    build.write_text(_setuptools(), "utf-8")
    for requirements in (LOCKS / "server.txt", build):
        _run([*words, "--requirement", str(requirements)])


def _setuptools() -> str:
    """What builds our own wheel, from the developers' lock with its hashes."""
    found = re.search(r"^setuptools==(?:.*\\\n)*.*$", (LOCKS / "dev.txt").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[0] + "\n"


def overlay(lower: str, upper: Path) -> list[str]:
    """The words before a command that is to run where *lower* and *upper* are mounted as ``merged``.

    The mount is seen by that command alone and ends with it; ``merged`` and ``work`` are made beside *upper*.
    """
    for name in ("merged", "work"):
        (upper.parent / name).mkdir(exist_ok=True)
    options = f"lowerdir={lower},upperdir={upper},workdir={upper.parent / 'work'}"
    script = 'cd "$1" && shift && mount -t overlay overlay -o "$1" merged && shift && exec "$@"'
    return ["unshare", "--mount", "--", "sh", "-c", script, "sh", str(upper.parent), options]


def _run(words: Sequence[str], *, cwd: Path | None = None) -> str:
    # Only what these programs need: pip's configuration in files, and the way out.
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    env = {
        name: value for name, value in os.environ.items() if name in kept or name.lower().endswith("_proxy")
    }
    env |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    run = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        umask=UMASK,
    )
    if run.returncode != 0:
        raise BuildFailed(f"{words[0]}: exit status {run.returncode}\n{(run.stdout + run.stderr)[-2000:]}")
    return run.stdout
