"""The manifest of an engine package: every file with its digest and class, and how the engine is run.

``MANIFEST.json`` is the first entry of a package, lies in the engine's folder after installation and is
not in its own list. It has one form in bytes (sorted names, indent 1, a line end), and another form is
refused: so its SHA-256, which is inside the signed target, proves a whole tree file by file. Texts and
whole numbers only. Unknown fields are kept; an unknown ``format`` or need is refused, because it says
that this software would install the package wrongly.

    manifest = Manifest.from_bytes(data)
    manifest.classify("conf/engine.toml")      → FileClass.KEPT
    check_package(archive, target)             → the manifest of a package that is what was signed
    verify_tree(folder, manifest)              → what is wrong with an engine on disk, [] when nothing
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engineshed_packages.archive import MAX_NAME_CHARS, Archive, check_names
from engineshed_packages.digests import sha256_file, sha256_stream
from engineshed_packages.errors import (
    ArchiveRefused,
    ContentMismatch,
    ManifestRefused,
    ProtocolRefused,
    TargetRefused,
    VersionUnreadable,
)
from engineshed_packages.jsontext import Fields, Json, read_object
from engineshed_packages.manifest.engine import Placeholders, ProbeSpec, StartSpec, StopSpec
from engineshed_packages.manifest.files import FileClass, FileEntry, check_pattern, matches
from engineshed_packages.target import Target, check_platform, check_product
from engineshed_packages.versions import Version

__all__ = [
    "KNOWN_NEEDS",
    "MANIFEST_FORMAT",
    "MANIFEST_NAME",
    "MAX_FILES",
    "MAX_MANIFEST_BYTES",
    "FileClass",
    "FileEntry",
    "Manifest",
    "Placeholders",
    "ProbeSpec",
    "StartSpec",
    "StopSpec",
    "check_contents",
    "check_package",
    "check_pattern",
    "matches",
    "read_manifest",
    "verify_tree",
]

MANIFEST_NAME = "MANIFEST.json"
MANIFEST_FORMAT = 1
MAX_MANIFEST_BYTES = 32 * 1024 * 1024  # 50,000 files with long names
MAX_FILES = 50_000
MAX_PATTERNS = 200
# Capabilities an updater must have to install a package right; the first one comes with hooks.
KNOWN_NEEDS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one package holds.

    Attributes:
        files: sorted by path, MANIFEST.json itself not among them.
        kept, runtime: patterns of the files that are the customer's and the engine's own.
        logs: patterns of the engine's log files.
        needs: capabilities the updater must have.
        extra: fields this version does not know.

    Raises:
        ManifestRefused: codes ``manifest-unreadable``, ``manifest-pattern``, ``manifest-needs-unknown``.
    """

    product: str
    version: Version
    platform: str
    files: tuple[FileEntry, ...]
    start: StartSpec
    probe: ProbeSpec
    stop: StopSpec = field(default_factory=StopSpec)
    kept: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    format: int = MANIFEST_FORMAT
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)
    _by_path: Mapping[str, FileEntry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_path", {entry.path: entry for entry in self.files})
        try:
            check_product(self.product)
            check_platform(self.platform)
            check_names([MANIFEST_NAME, *(entry.path for entry in self.files)])
        except (TargetRefused, ArchiveRefused) as err:
            raise ManifestRefused("manifest-unreadable", f"manifest: {err}") from err
        for pattern in (*self.kept, *self.runtime, *self.logs):
            check_pattern(pattern)
        unknown = sorted(set(self.needs) - KNOWN_NEEDS)
        if unknown:
            raise ManifestRefused(
                "manifest-needs-unknown",
                f"the package needs {', '.join(unknown)[:200]!r}, which this updater cannot do: update the "
                "updater first",
            )
        self._check_files()

    def _check_files(self) -> None:
        if [entry.path for entry in self.files] != sorted(self._by_path):
            raise ManifestRefused("manifest-unreadable", "manifest: files are not sorted by path")
        for entry in self.files:
            # Two answers to "whose file is this" would mean that an update may destroy it.
            if self.classify(entry.path) is not entry.file_class:
                raise ManifestRefused(
                    "manifest-unreadable",
                    f"manifest: {entry.path!r} has class {entry.file_class}, by the patterns it is "
                    f"{self.classify(entry.path)}",
                )

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read ``MANIFEST.json``.

        Raises:
            ManifestRefused: as the class, and codes ``manifest-format-unknown``, ``manifest-not-canonical``.
        """
        try:
            values = read_object(data, what="manifest", max_bytes=MAX_MANIFEST_BYTES)
        except ProtocolRefused as err:
            raise ManifestRefused("manifest-unreadable", str(err)) from err
        manifest = cls.from_dict(values)
        if manifest.to_bytes() != data:
            raise ManifestRefused(
                "manifest-not-canonical",
                f"{MANIFEST_NAME} is not written as engineshed-packages writes it: build the package again",
            )
        return manifest

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Manifest:
        """Read the object of ``MANIFEST.json``.

        Raises:
            ManifestRefused: as the class, and code ``manifest-format-unknown``.
        """
        fields = Fields(values, "manifest", refusal=ManifestRefused)
        number = fields.integer("format")
        if number != MANIFEST_FORMAT:
            raise ManifestRefused(
                "manifest-format-unknown",
                f"the manifest has format {number}, this version reads {MANIFEST_FORMAT}: update the "
                "software that reads it",
            )
        try:
            version = Version.parse(fields.text("version"))
        except VersionUnreadable as err:
            raise fields.wrong("version", "a version such as 3.4.0") from err
        return cls(
            product=fields.text("product"),
            version=version,
            platform=fields.text("platform"),
            files=tuple(FileEntry.from_dict(item) for item in fields.objects("files", max_items=MAX_FILES)),
            start=StartSpec.from_dict(fields.object_or_none("start") or {}),
            probe=ProbeSpec.from_dict(fields.object_or_none("probe") or {}),
            stop=StopSpec.from_dict(fields.object_or_none("stop") or {}),
            kept=fields.texts("kept", max_items=MAX_PATTERNS, max_chars=MAX_NAME_CHARS),
            runtime=fields.texts("runtime", max_items=MAX_PATTERNS, max_chars=MAX_NAME_CHARS),
            logs=fields.texts("logs", max_items=MAX_PATTERNS, max_chars=MAX_NAME_CHARS),
            needs=fields.texts("needs", max_items=MAX_PATTERNS),
            extra=fields.rest(),
        )

    def to_dict(self) -> dict[str, Json]:
        """The object of ``MANIFEST.json``."""
        return {
            **self.extra,
            "format": self.format,
            "product": self.product,
            "version": self.version.text,
            "platform": self.platform,
            "files": [entry.to_dict() for entry in self.files],
            "start": self.start.to_dict(),
            "probe": self.probe.to_dict(),
            "stop": self.stop.to_dict(),
            "kept": list(self.kept),
            "runtime": list(self.runtime),
            "logs": list(self.logs),
            "needs": list(self.needs),
        }

    def to_bytes(self) -> bytes:
        """``MANIFEST.json`` in its one form."""
        return (json.dumps(self.to_dict(), sort_keys=True, indent=1) + "\n").encode("ascii")

    @property
    def sha256(self) -> str:
        """SHA-256 of ``to_bytes()``: what the vendor signs as ``manifest_sha256``."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def disk_bytes(self) -> int:
        """What the unpacked files hold, MANIFEST.json aside."""
        return sum(entry.size_bytes for entry in self.files)

    def find(self, path: str) -> FileEntry | None:
        """The file listed at *path*, or None."""
        return self._by_path.get(path)

    def shipped(self) -> tuple[FileEntry, ...]:
        """The files of class shipped: the ones that prove a tree."""
        return tuple(entry for entry in self.files if entry.file_class is FileClass.SHIPPED)

    def classify(self, path: str) -> FileClass:
        """Whose the file at the relative *path* is; kept goes before runtime, patterns before the list."""
        if path == MANIFEST_NAME:
            return FileClass.SHIPPED
        if matches(path, self.kept):
            return FileClass.KEPT
        if matches(path, self.runtime):
            return FileClass.RUNTIME
        return FileClass.SHIPPED if path in self._by_path else FileClass.UNLISTED


def read_manifest(archive: Archive) -> Manifest:
    """The manifest of a package whose entries are the files it lists: names, order, sizes and modes.

    Raises:
        ManifestRefused: code ``package-mismatch`` and those of ``Manifest.from_bytes``.
        ArchiveRefused: the entry is damaged.
    """
    if not archive.entries or archive.entries[0].name != MANIFEST_NAME:
        raise _mismatch(f"its first entry is not {MANIFEST_NAME}: it is no engine package")
    manifest = Manifest.from_bytes(archive.read(MANIFEST_NAME, max_bytes=MAX_MANIFEST_BYTES))
    found = {entry.name: (entry.size_bytes, entry.mode) for entry in archive.entries[1:]}
    listed = {entry.path: (entry.size_bytes, entry.mode) for entry in manifest.files}
    if found != listed:
        different = sorted(
            name for name in found.keys() | listed.keys() if found.get(name) != listed.get(name)
        )
        raise _mismatch(
            f"its entries are not the files of its manifest, {len(different)} differ in name, size or mode: "
            f"{', '.join(different[:5])}"
        )
    return manifest


def check_package(archive: Archive, target: Target) -> Manifest:
    """The manifest of a package that is the one *target* describes.

    Contents are not read: they are proven by the digest of the whole zip, or by ``check_contents``.

    Raises:
        ManifestRefused: code ``package-mismatch`` and those of ``Manifest.from_bytes``.
        ArchiveRefused: the manifest's entry is damaged.
    """
    manifest = read_manifest(archive)
    if manifest.sha256 != target.manifest_sha256:
        raise _mismatch(f"its manifest has SHA-256 {manifest.sha256}, signed is {target.manifest_sha256}")
    found = (manifest.product, manifest.version.text, manifest.platform)
    signed = (target.product, target.version.text, target.platform)
    if found != signed:
        raise _mismatch(f"inside it is {' '.join(found)}, signed is {' '.join(signed)}")
    return manifest


def check_contents(archive: Archive, manifest: Manifest) -> None:
    """Read every file of a package and compare its SHA-256 with the manifest.

    Raises:
        ContentMismatch: code ``content-sha256``.
        ArchiveRefused: a content is damaged.
    """
    for entry in archive.entries[1:]:
        listed = manifest.find(entry.name)
        with archive.open(entry) as content:
            found = sha256_stream(content)
        if listed is None or listed.sha256 != found:
            raise ContentMismatch(
                "content-sha256", f"{entry.name!r} in the package has SHA-256 {found}, not the manifest's"
            )


def _mismatch(what: str) -> ManifestRefused:
    return ManifestRefused("package-mismatch", f"the package is refused: {what}")


def verify_tree(folder: Path, manifest: Manifest) -> list[str]:
    """What is wrong with the shipped files of the engine in *folder*: one line each, none when all is well.

    Raises:
        OSError: a file cannot be read; only "not found" means that it is missing.
    """
    problems: list[str] = []
    for entry in manifest.shipped():
        path = folder / entry.path
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            problems.append(f"{entry.path}: missing")
            continue
        if not stat.S_ISREG(status.st_mode):
            problems.append(f"{entry.path}: no regular file")
        elif status.st_size != entry.size_bytes:
            problems.append(f"{entry.path}: {status.st_size} bytes, expected {entry.size_bytes}")
        elif sha256_file(path) != entry.sha256:
            problems.append(f"{entry.path}: content differs, expected SHA-256 {entry.sha256}")
    return problems
