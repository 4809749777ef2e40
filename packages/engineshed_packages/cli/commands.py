"""What `engineshed-packages` does, one function per command: values in, an answer out, nothing printed.

`cli.py` reads arguments, prints answers and turns errors into exit codes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from engineshed_packages.archive import Archive, open_archive
from engineshed_packages.builder import build_package
from engineshed_packages.bundle import Bundle, copy_target, write_bundle
from engineshed_packages.digests import digest_file
from engineshed_packages.errors import FileRefused, MetadataRefused
from engineshed_packages.files import read_limited, write_file
from engineshed_packages.jsontext import Json, escape_controls
from engineshed_packages.manifest import MANIFEST_NAME, check_package, read_manifest
from engineshed_packages.metadata import NotesFile, View, open_view
from engineshed_packages.repository import Repository, role_ages
from engineshed_packages.repository.creation import NewRepository, create_repository, refresh
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.lifetimes import RoleAge, age_of, check_alive
from engineshed_packages.repository.releases import ReleaseTerms, add_release
from engineshed_packages.sources import FolderSource, Source
from engineshed_packages.target import ANY, Target, target_path
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

MAX_ROOT_BYTES = 512_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command has to say.

    Attributes:
        rows: name and value for people; an empty name continues the one above, an empty row parts blocks.
        data: the same for programs.
        notices: for stderr: warnings and what to do next.
    """

    rows: Sequence[tuple[str, str]]
    data: Mapping[str, Json]
    notices: Sequence[str] = field(default_factory=tuple)


def init_keys(
    repository: Repository, keys: KeyFolder, plan: NewRepository, *, root_out: Path, now: datetime
) -> Answer:
    """Make keys and repository, write the root to hand out."""
    create_repository(repository, keys, plan, now)
    root = repository.first_root()
    write_file(root_out, root)
    names = [file.name for file in keys.files()]
    fingerprint = hashlib.sha256(root).hexdigest()
    return Answer(
        rows=[
            ("Repository", str(repository.folder)),
            ("Root", f"{root_out}  {plan.threshold} of {plan.root_keys} keys"),
            ("SHA-256", fingerprint),
            ("Keys", str(keys.folder)),
            *(("", name) for name in names),
        ],
        data={
            "repository": str(repository.folder),
            "root": str(root_out),
            "root_sha256": fingerprint,
            "keys": [*names],
        },
        notices=[
            f"Hand out {root_out} with every updater and portal; compare its SHA-256 by another way.",
            "Take the keys root-… and targets to an offline place; daily work needs online and product-….",
        ],
    )


def build(sources: Sequence[Path], *, version: str, platform: str, output: Path) -> Answer:
    """Build a package from folders."""
    output.mkdir(parents=True, exist_ok=True)
    built = build_package(sources, version=Version.parse(version), platform=platform, output=output)
    return Answer(
        rows=[
            ("Package", str(built.path)),
            ("Product", f"{built.manifest.product} {built.manifest.version} for {built.manifest.platform}"),
            ("Files", f"{len(built.manifest.files)}, {built.manifest.disk_bytes} bytes unpacked"),
            ("Bytes", str(built.digests.length_bytes)),
            ("SHA-256", built.digests.sha256),
            ("SHA-1", built.digests.sha1),
        ],
        data={
            "package": str(built.path),
            "product": built.manifest.product,
            "version": built.manifest.version.text,
            "platform": built.manifest.platform,
            "length_bytes": built.digests.length_bytes,
            "sha256": built.digests.sha256,
            "sha1": built.digests.sha1,
        },
    )


def release(
    repository: Repository, keys: KeyFolder, packages: Sequence[Path], terms: ReleaseTerms, *, now: datetime
) -> Answer:
    """Sign and publish packages as one release."""
    released = add_release(repository, keys, packages, terms, now=now)
    first = released.targets[0]
    said = "published" if released.changed else "was published before with the same bytes, nothing changed"
    return Answer(
        rows=[("Release", f"{first.product} {first.version} {said}"), *_target_rows(released.targets)],
        data={"changed": released.changed, "targets": [_target_data(target) for target in released.targets]},
        notices=age_notices(repository.ages(now)),
    )


def bundle(
    repository: Repository,
    product: str,
    version: str,
    *,
    platforms: Sequence[str],
    output: Path,
    now: datetime,
) -> Answer:
    """Write the bundle of a published release; *output* is a file, or a folder to name it in."""
    parsed = Version.parse(version)
    published = repository.published()
    role = published.role_for(target_path(product, parsed, ANY))
    needed = {*published.above(role), role, "snapshot", "timestamp"}
    ages = role_ages(published, now)
    check_alive(age for age in ages if age.name in needed)  # no engine would take such a bundle
    path = output / f"{product}-{parsed}-bundle.zip" if output.is_dir() else output
    targets = write_bundle(repository, product, parsed, platforms=platforms, output=path)
    digests = digest_file(path)
    return Answer(
        rows=[
            ("Bundle", str(path)),
            ("Bytes", str(digests.length_bytes)),
            ("SHA-256", digests.sha256),
            ("SHA-1", digests.sha1),
            *_target_rows(targets),
        ],
        data={
            "bundle": str(path),
            "length_bytes": digests.length_bytes,
            "sha256": digests.sha256,
            "sha1": digests.sha1,
            "targets": [_target_data(target) for target in targets],
        },
        notices=age_notices(ages),
    )


def refresh_repository(
    repository: Repository, keys: KeyFolder, *, roles: Sequence[str], now: datetime
) -> Answer:
    """Sign the timestamp and *roles* anew."""
    published = refresh(repository, keys, now, roles=roles)
    ages = repository.ages(now)
    return Answer(
        rows=[("Timestamp", f"version {published.timestamp.signed.version}"), *_age_rows(ages)],
        data={"timestamp_version": published.timestamp.signed.version, "roles": _ages_data(ages)},
        notices=age_notices(ages),
    )


def inspect(path: Path) -> Answer:
    """What a package or bundle says of itself. Nothing is verified."""
    digests = digest_file(path)
    with open_archive(path) as archive:
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

    Raises:
        MetadataRefused, ContentMismatch, ManifestRefused, ArchiveRefused: it is not genuine or not sound.
    """
    root = read_limited(root_file, MAX_ROOT_BYTES)
    with TemporaryDirectory(prefix="engineshed-verify-") as folder:
        if path.is_dir():
            source: Source = FolderSource(path)
            view = open_view(source, cache=Path(folder) / "cache", trusted_root=root, now=now)
            packages = view.targets
            _check_files(source, packages, tuple(view.notes.values()), Path(folder) / "target.part")
        else:
            with open_archive(path) as archive:
                opened = Bundle(archive)
                verified = opened.verify(cache=Path(folder) / "cache", trusted_root=root, now=now)
                view, packages = verified.view, verified.packages
                _check_files(opened.source, packages, verified.notes, Path(folder) / "target.part")
    if not packages:
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
            *_target_rows(packages),
            *_age_rows(ages),
        ],
        data={
            "verified": True,
            "issued": None if view.issued is None else format_time(view.issued),
            "root_version": view.root_version,
            "timestamp_version": view.timestamp_version,
            "targets": [_target_data(target) for target in packages],
            "roles": _ages_data(ages),
        },
        notices=[*age_notices(ages), *(f"warning: {name}: {why}" for name, why in view.unusable.items())],
    )


def age_notices(ages: Sequence[RoleAge]) -> list[str]:
    """A warning for each role past 80 % of its life."""
    return [
        f"warning: the signature of {age.name} ends on {format_time(age.expires)} ({age.days_left} days "
        f"left): engineshed-packages refresh --role {age.name}"
        for age in ages
        if age.needs_warning
    ]


def _age_rows(ages: Sequence[RoleAge]) -> list[tuple[str, str]]:
    rows = [("", f"{age.name}: {age.days_left} days left, until {format_time(age.expires)}") for age in ages]
    return [("Roles", rows[0][1]), *rows[1:]] if rows else []


def _ages_data(ages: Sequence[RoleAge]) -> list[Json]:
    return [
        {"name": age.name, "expires": format_time(age.expires), "days_left": age.days_left} for age in ages
    ]


def _target_rows(targets: Sequence[Target]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for target in targets:
        terms = f"{target.channel}, {target.severity}, {target.mode}"
        rows += [
            ("", ""),
            ("Package", target.path.rpartition("/")[2]),
            ("Terms", terms + (", withdrawn" if target.withdrawn else "")),
            ("Bytes", str(target.length_bytes)),
            ("SHA-256", target.sha256),
        ]
    return [*rows, ("", "")]


def _target_data(target: Target) -> Json:
    return {
        "path": target.path,
        "length_bytes": target.length_bytes,
        "sha256": target.sha256,
        **target.to_custom(),
    }


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
