"""Building an engine package from folders: byte-identical from the same input, on any machine.

Each source is a folder; a later one overlays the earlier ones file by file. ``package.toml`` at the top
of a source describes the package and is not packed; its top-level keys replace those of earlier sources:

    product = "sample-engine"
    kept = ["conf/", "ext/lib/"]
    runtime = ["logs/", "data/"]
    logs = ["logs/*.log"]

    [start]
    command = ["{python}", "{engine}/bin/engine.py"]

    [stop]
    timeout_s = 20

    [probe]
    url = "http://127.0.0.1:8750/health"
    version_pointer = "/version"

Of a file only path, content and whether its owner may execute it count: the mode becomes 0755 or 0644.
Symbolic links are packed as what they point to, which must lie inside the same source. Empty folders and
what Python caches beside its sources are not packed. Windows knows no such permission: build packages
that hold programs on Linux.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from engineshed_packages.archive import Item, open_archive, write_archive
from engineshed_packages.digests import Digests, digest_file, sha256_file
from engineshed_packages.errors import ManifestRefused
from engineshed_packages.files import fsync_folder
from engineshed_packages.jsontext import Json
from engineshed_packages.manifest import (
    MANIFEST_FORMAT,
    MANIFEST_NAME,
    FileClass,
    FileEntry,
    Manifest,
    check_contents,
    matches,
)
from engineshed_packages.manifest.engine import PLACEHOLDERS
from engineshed_packages.target import check_platform, check_product, package_name
from engineshed_packages.versions import Version

DESCRIPTION_NAME = "package.toml"
MAX_DESCRIPTION_BYTES = 256 * 1024
# Written by whoever runs or installs a Python file, with the date of its source inside.
PYTHON_CACHE_NAME = "__pycache__"
# What a description may say; everything else in a manifest follows from the sources.
_KEYS = frozenset({"product", "kept", "runtime", "logs", "needs", "start", "stop", "probe"})
SAMPLE_FOLDER = Path(__file__).parent / "sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPackage:
    """A package on disk, its digests and its manifest."""

    path: Path
    digests: Digests
    manifest: Manifest


def sample_sources(version: str) -> tuple[Path, Path]:
    """The sources of the sample engine in *version*, ``1.0.0`` or ``1.1.0``; product ``sample-engine``."""
    return SAMPLE_FOLDER / "common", SAMPLE_FOLDER / version


def build_package(sources: Sequence[Path], *, version: Version, platform: str, output: Path) -> BuiltPackage:
    """Build ``<product>-<version>-<platform>.zip`` in the folder *output* from the folders *sources*.

    Raises:
        ManifestRefused: codes ``package-source``, ``package-description`` and those of ``Manifest``.
        ArchiveRefused: a file has a name no package may hold, or changed while it was read.
        ContentMismatch: a file changed while it was read.
        TargetRefused: *platform* or the product is none.
        OSError: a source cannot be read or *output* cannot be written.
    """
    check_platform(platform)
    files: dict[str, Path] = {}
    description: dict[str, Json] = {}
    for source in sources:
        files.update(_files_below(source))
        found = files.pop(DESCRIPTION_NAME, None)
        if found is not None:
            description |= _read_description(found)
    manifest = _describe(description, files, version=version, platform=platform)
    path = output / package_name(manifest.product, version, platform)
    items = [Item.of_bytes(MANIFEST_NAME, manifest.to_bytes())]
    items += [Item.of_file(entry.path, files[entry.path], mode=entry.mode) for entry in manifest.files]
    _write_proven(path, items, manifest)
    return BuiltPackage(path=path, digests=digest_file(path), manifest=manifest)


def _write_proven(path: Path, items: Sequence[Item], manifest: Manifest) -> None:
    """Write the package under its name only when it holds what its manifest says.

    A source may have changed between its digest and its packing.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        write_archive(part, items)
        with open_archive(part) as archive:
            check_contents(archive, manifest)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def _describe(
    description: dict[str, Json], files: dict[str, Path], *, version: Version, platform: str
) -> Manifest:
    product = description.get("product")
    if not isinstance(product, str):
        raise ManifestRefused(
            "package-description",
            f"no {DESCRIPTION_NAME} of the sources names a product: expected product = …",
        )
    check_product(product)
    if MANIFEST_NAME in files:
        raise ManifestRefused(
            "package-source", f"{files[MANIFEST_NAME]} must not be there: the build writes {MANIFEST_NAME}"
        )
    kept, runtime = _patterns(description, "kept"), _patterns(description, "runtime")
    listed: list[Json] = [
        _file_entry(path, files[path], kept=kept, runtime=runtime).to_dict() for path in sorted(files)
    ]
    manifest = Manifest.from_dict(
        {
            **description,
            "format": MANIFEST_FORMAT,
            "version": version.text,
            "platform": platform,
            "files": listed,
        }
    )
    # Unknown fields of a newer format are kept when reading; in a file a person wrote they are typing errors.
    unknown = sorted({*manifest.start.extra, *manifest.stop.extra, *manifest.probe.extra})
    if unknown:
        raise ManifestRefused(
            "package-description",
            f"{DESCRIPTION_NAME} has the unknown keys {', '.join(unknown)} in start, stop or probe",
        )
    _check_commands(manifest)
    return manifest


def _check_commands(manifest: Manifest) -> None:
    """Refuse what would only fail on the engine's host: typing errors in commands.

    Braces that a shell reads, as in ``${HOME}``, and those with anything but one word inside are let through.
    """
    start = manifest.start.command
    commands = {"start": start, "stop": manifest.stop.command, "probe": manifest.probe.command}
    for name, command in commands.items():
        for word in re.findall(r"(?<!\$)\{([A-Za-z_][A-Za-z0-9_]*)\}", " ".join(command or ())):
            if word not in PLACEHOLDERS:
                known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                raise ManifestRefused(
                    "package-description",
                    f"{DESCRIPTION_NAME}: the {name} command holds {{{word}}}: expected one of {known}",
                )
    program = start[1] if start[0] == "{python}" and len(start) > 1 else start[0]
    path = program.removeprefix("{engine}/")
    packed = {entry.path for entry in manifest.files}
    # Windows finds a program without its .exe, too.
    if path != program and not packed & {path, f"{path}.exe"}:
        raise ManifestRefused(
            "package-description",
            f"{DESCRIPTION_NAME}: the start command runs {program}, which is in no source",
        )


def _patterns(description: dict[str, Json], name: str) -> list[str]:
    patterns = description.get(name, [])
    if not isinstance(patterns, list):
        raise ManifestRefused("package-description", f"{DESCRIPTION_NAME}: {name} must be a list of patterns")
    return [str(pattern) for pattern in patterns]


def _file_entry(path: str, file: Path, *, kept: list[str], runtime: list[str]) -> FileEntry:
    status = file.stat()
    file_class = FileClass.SHIPPED
    if matches(path, kept):
        file_class = FileClass.KEPT
    elif matches(path, runtime):
        file_class = FileClass.RUNTIME
    return FileEntry(
        path=path,
        sha256=sha256_file(file),
        size_bytes=status.st_size,
        mode=0o755 if status.st_mode & stat.S_IXUSR else 0o644,
        file_class=file_class,
    )


def _read_description(path: Path) -> dict[str, Json]:
    if path.stat().st_size > MAX_DESCRIPTION_BYTES:
        raise ManifestRefused("package-description", f"{path} has more than {MAX_DESCRIPTION_BYTES} bytes")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise ManifestRefused("package-description", f"{path} is no TOML: {err}") from err
    unknown = sorted(values.keys() - _KEYS)
    if unknown:
        raise ManifestRefused(
            "package-description",
            f"{path} has the unknown keys {', '.join(unknown)}: expected some of {', '.join(sorted(_KEYS))}",
        )
    return values


def _files_below(source: Path) -> dict[str, Path]:
    """All files of one source by relative path, links resolved; the first fault is raised."""
    if not source.is_dir():
        raise ManifestRefused("package-source", f"the source {source} is no folder")
    root = source.resolve(strict=True)
    return dict(_walk(root, "", root=root, above=(root,)))


def _walk(folder: Path, prefix: str, *, root: Path, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Files below *folder*; *above* holds the folders it stands in, so that no link leads in a circle."""
    for entry in sorted(os.scandir(folder), key=lambda found: found.name):
        path, name = Path(entry.path), prefix + entry.name
        if entry.name == PYTHON_CACHE_NAME:
            continue
        if path.is_symlink():
            path = _resolve_link(path, root)
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            yield name, path
        elif not stat.S_ISDIR(mode):
            _refuse_source(path, "is neither a file nor a folder nor a link to one")
        elif path in above:
            _refuse_source(Path(entry.path), "is a link to a folder it stands in")
        else:
            yield from _walk(path, f"{name}/", root=root, above=(*above, path))


def _resolve_link(link: Path, root: Path) -> Path:
    try:
        path = link.resolve(strict=True)
    except (OSError, RuntimeError) as err:  # RuntimeError: a circle of links, before Python 3.13
        raise ManifestRefused("package-source", f"the link {link} leads nowhere: {err}") from err
    if not path.is_relative_to(root):
        _refuse_source(link, f"is a link to {path}, outside the source {root}")
    return path


def _refuse_source(path: Path, what: str) -> NoReturn:
    raise ManifestRefused("package-source", f"{path} {what}: take it out of the source")
