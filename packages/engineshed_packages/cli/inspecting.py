"""What a package, bundle or repository says of itself, and whether it is true: `inspect` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from engineshed_packages.archive import Archive, naming, open_archive
from engineshed_packages.bundle import MAX_ROOT_BYTES, Bundle, copy_target, open_bundle
from engineshed_packages.cli.answers import (
    Answer,
    age_notices,
    age_rows,
    ages_data,
    target_data,
    target_rows,
)
from engineshed_packages.digests import digest_file
from engineshed_packages.errors import FileRefused, MetadataRefused
from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import Json, escape_controls
from engineshed_packages.manifest import MANIFEST_NAME, check_package, read_manifest
from engineshed_packages.metadata import NotesFile, View, open_view
from engineshed_packages.repository.lifetimes import age_of
from engineshed_packages.sources import FolderSource, Source
from engineshed_packages.target import Target
from engineshed_packages.times import format_time


def inspect(path: Path) -> Answer:
    """What a package or bundle says of itself. Nothing is verified."""
    digests = digest_file(path)
    with naming(path), open_archive(path) as archive:
        rows, data = _inspect_package(archive) if archive.find(MANIFEST_NAME) else _inspect_bundle(archive)
    return Answer(
        rows=[
            ("File", str(path)),
            ("Bytes", str(digests.length_bytes)),
            ("SHA-256", digests.sha256),
            ("SHA-1", digests.sha1),
            *rows,
        ],
        data={
            "file": str(path),
            "length_bytes": digests.length_bytes,
            "sha256": digests.sha256,
            "sha1": digests.sha1,
            **data,
        },
        notices=["Nothing was verified: that is what engineshed-packages verify does."],
    )


def verify(path: Path, *, root_file: Path, now: datetime) -> Answer:
    """Verify a bundle, or a repository's folder, with all its packages and notes, against the vendor's root.

    A bundle that was made without packages is verified for what it is.

    Raises:
        MetadataRefused, ContentMismatch, ManifestRefused, ArchiveRefused: it is not genuine or not sound.
    """
    root = read_limited(root_file, MAX_ROOT_BYTES)
    with TemporaryDirectory(prefix="engineshed-verify-") as folder:
        if path.is_dir():
            source: Source = FolderSource(path)
            view = open_view(source, cache=Path(folder) / "cache", trusted_root=root, now=now)
            packages, empty = view.targets, False
            _check_files(source, packages, tuple(view.notes.values()), Path(folder) / "target.part")
        else:
            with open_bundle(path) as opened:
                verified = opened.verify(cache=Path(folder) / "cache", trusted_root=root, now=now)
                view, packages = verified.view, verified.packages
                empty = not opened.has_packages
                _check_files(opened.source, packages, verified.notes, Path(folder) / "target.part")
    if not packages and not empty:
        raise MetadataRefused("nothing-to-verify", f"{path} holds no package that its metadata lists")
    return _verified(path, view, packages, now)


def _check_files(source: Source, packages: Sequence[Target], notes: Sequence[NotesFile], part: Path) -> None:
    for listed in notes:
        with part.open("w+b") as file:
            copy_target(source, listed, file)
    for target in packages:
        with part.open("w+b") as file:
            copy_target(source, target, file)
        with open_archive(part) as archive:
            check_package(archive, target)


def _verified(path: Path, view: View, packages: Sequence[Target], now: datetime) -> Answer:
    ages = tuple(age_of(role.name, role.expires, now=now) for role in view.roles)
    issued = "no date" if view.issued is None else format_time(view.issued)
    return Answer(
        rows=[
            ("Verified", f"{path}: signed by this vendor, every byte as signed"),
            (
                "Issued",
                f"{issued}, timestamp version {view.timestamp_version}, root version {view.root_version}",
            ),
            *target_rows(packages),
            *age_rows(ages),
        ],
        data={
            "verified": True,
            "issued": None if view.issued is None else format_time(view.issued),
            "root_version": view.root_version,
            "timestamp_version": view.timestamp_version,
            "targets": [target_data(target) for target in packages],
            "roles": ages_data(ages),
        },
        notices=[
            *([] if packages else ["It holds no package: signed metadata alone."]),
            *age_notices(ages),
            *(f"warning: {name}: {why}" for name, why in view.unusable.items()),
        ],
    )


def _inspect_package(archive: Archive) -> tuple[list[tuple[str, str]], dict[str, Json]]:
    manifest = read_manifest(archive)
    classes = {entry.file_class.value for entry in manifest.files}
    counts = {
        name: sum(entry.file_class.value == name for entry in manifest.files) for name in sorted(classes)
    }
    rows = [
        ("Package", f"{manifest.product} {manifest.version} for {manifest.platform}"),
        ("Files", ", ".join(f"{count} {name}" for name, count in counts.items())),
        ("Unpacked", f"{manifest.disk_bytes} bytes"),
        ("Kept", " ".join(manifest.kept) or "-"),
        ("Runtime", " ".join(manifest.runtime) or "-"),
        ("Start", escape_controls(" ".join(manifest.start.command))),
    ]
    return rows, {"kind": "package", "manifest": manifest.to_dict()}


def _inspect_bundle(archive: Archive) -> tuple[list[tuple[str, str]], dict[str, Json]]:
    text = Bundle(archive).version_txt()
    if not text and archive.find("metadata/timestamp.json") is None:
        raise FileRefused("file-unknown", "this zip is neither an engine package nor a bundle")
    lines = [escape_controls(line) for line in text.splitlines()]
    names = [entry.name for entry in archive.entries]
    rows = [
        ("Bundle", f"{len(names)} entries; its Version.txt says:"),
        *(("", line) for line in lines if line),
    ]
    return rows, {"kind": "bundle", "version_txt": text, "entries": [*names]}
