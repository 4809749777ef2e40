"""Adding a release to the vendor's repository, and changing later what may change of it.

A release is a version of a product, with one package per platform. Once published its bytes are fixed: the
same bytes again are no change, other bytes are refused. Only channel, severity, floor, withdrawn and the
message may change.

    add_release(repository, keys, packages, ReleaseTerms(severity="critical"), now=now)
    change_release(repository, keys, product, version, ReleaseChange(withdrawn=True), now=now)

A release that was withdrawn may be offered again: the vendor signs that like any other change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import TargetFile, Targets

from engineshed_packages.archive import naming, open_archive
from engineshed_packages.digests import digest_file
from engineshed_packages.errors import ReleaseRefused
from engineshed_packages.files import read_limited
from engineshed_packages.manifest import check_contents, read_manifest
from engineshed_packages.notes import MAX_NOTES_BYTES, Notes
from engineshed_packages.repository import Draft, Repository
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.target import ANY, DEFAULT_CHANNEL, Target, consistent_name, notes_path, target_path
from engineshed_packages.versions import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTerms:
    """What the vendor says of a release, the same for all its packages; fields as in ``Target``.

    Attributes:
        notes: a file as ``Notes`` reads it, with Markdown and longer messages per language, or None.
    """

    channel: str = DEFAULT_CHANNEL
    severity: str = "optional"
    mode: str = "automatic"
    min_version: Version | None = None
    floor: Version | None = None
    message: str = ""
    notes: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseChange:
    """What is to change of a published release; None leaves as it is. Nothing else can change.

    Attributes:
        platforms: the packages it is for; all of the release when empty.
    """

    channel: str | None = None
    severity: str | None = None
    floor: Version | None = None
    withdrawn: bool | None = None
    message: str | None = None
    platforms: tuple[str, ...] = ()

    def applied_to(self, target: Target) -> Target:
        """*target* with this change.

        Raises:
            TargetRefused: a value that makes no sense.
        """
        names = ("channel", "severity", "floor", "withdrawn", "message")
        new = {name: value for name in names if (value := getattr(self, name)) is not None}
        return replace(target, **new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a command published.

    Attributes:
        targets: the packages as they are signed now, by platform.
        changed: False when all of it was published before, and nothing was written.
    """

    targets: tuple[Target, ...]
    changed: bool


def add_release(
    repository: Repository, keys: KeyFolder, packages: Sequence[Path], terms: ReleaseTerms, *, now: datetime
) -> Release:
    """Publish *packages*, all of one version of one product, under *terms*.

    Raises:
        ReleaseRefused: codes ``release-other-bytes``, ``release-published`` (other terms than before),
            ``release-version-text``, ``release-mixed``, ``release-floor``, and those of ``Notes``.
        FileRefused: the file of notes is missing or too large.
        ArchiveRefused, ManifestRefused, ContentMismatch, TargetRefused: a package is not sound.
        Refused: code ``product-unknown``. Conflict, KeyUnusable, OSError: as ``Repository.publish``.
    """
    notes = None if terms.notes is None else _read_notes(terms.notes)
    targets = [_target_of(path, terms, now) for path in packages]
    product, version = _one_version(targets)
    with repository.draft() as draft:
        role = draft.base.role_for(targets[0].path)
        listed = draft.base.roles[role].signed
        _check_version_text(listed, product, version)
        fresh = [target for target in targets if not _is_listed(listed, target)]
        for target, path in zip(targets, packages, strict=True):
            if target in fresh:
                repository.add_file(draft, target.download_name, path)
                draft.change(role).targets[target.path] = _signed_target(target)
        if notes is not None:
            _add_notes(repository, draft, role, path=notes_path(product, version), notes=notes)
        if draft.roles:
            repository.publish(draft, keys, now)
        return Release(targets=tuple(targets), changed=bool(draft.roles))


def change_release(
    repository: Repository,
    keys: KeyFolder,
    product: str,
    version: Version,
    change: ReleaseChange,
    *,
    now: datetime,
) -> Release:
    """Apply *change* to the packages of a published release; return those it is for.

    Raises:
        ReleaseRefused: codes ``release-unknown`` (also for one of the platforms), ``release-floor``.
        TargetRefused: a value that makes no sense.
        Conflict, KeyUnusable, OSError: as ``Repository.publish``.
    """
    with repository.draft() as draft:
        role = draft.base.role_for(target_path(product, version, ANY))
        old = [
            target
            for target in packages_in(draft.base.roles[role].signed)
            if target.product == product
            and target.version == version
            and (not change.platforms or target.platform in change.platforms)
        ]
        absent = set(change.platforms) - {target.platform for target in old}
        if not old or absent:
            what = f"{product} {version}" + (f" for {', '.join(sorted(absent))}" if absent else "")
            raise ReleaseRefused("release-unknown", f"{what} was never published here")
        targets = tuple(_with_sane_floor(change.applied_to(target)) for target in old)
        for target in targets:
            if target not in old:
                draft.change(role).targets[target.path] = _signed_target(target)
        if draft.roles:
            repository.publish(draft, keys, now)
        return Release(targets=targets, changed=bool(draft.roles))


def packages_in(role: Targets) -> list[Target]:
    """The packages a role lists, notes aside, in the order of their paths."""
    return [
        Target.from_custom(path, length_bytes=file.length, sha256=file.hashes["sha256"], custom=file.custom)
        for path, file in sorted(role.targets.items())
        if file.custom is not None
    ]


def _target_of(path: Path, terms: ReleaseTerms, now: datetime) -> Target:
    digests = digest_file(path)
    with naming(path), open_archive(path) as archive:
        manifest = read_manifest(archive)
        check_contents(archive, manifest)
    target = Target(
        path=target_path(manifest.product, manifest.version, manifest.platform),
        length_bytes=digests.length_bytes,
        sha256=digests.sha256,
        product=manifest.product,
        version=manifest.version,
        platform=manifest.platform,
        manifest_sha256=manifest.sha256,
        disk_bytes=manifest.disk_bytes,
        published=now,
        channel=terms.channel,
        severity=terms.severity,
        mode=terms.mode,
        min_version=terms.min_version,
        floor=terms.floor,
        message=terms.message,
        notes=None if terms.notes is None else notes_path(manifest.product, manifest.version),
    )
    return _with_sane_floor(target)


def _with_sane_floor(target: Target) -> Target:
    if target.floor is not None and target.floor > target.version:
        raise ReleaseRefused(
            "release-floor",
            f"{target.product} {target.version} would have the floor {target.floor}, above itself: "
            "expected a floor up to its own version",
        )
    return target


def _one_version(targets: Sequence[Target]) -> tuple[str, Version]:
    kinds = {(target.product, target.version.text) for target in targets}
    platforms = {target.platform for target in targets}
    if len(kinds) != 1 or len(platforms) != len(targets):
        found = ", ".join(target.path for target in targets) or "none"
        raise ReleaseRefused(
            "release-mixed",
            f"a release is one version of one product, one package per platform; found {found}",
        )
    return targets[0].product, targets[0].version


def _check_version_text(listed: Targets, product: str, version: Version) -> None:
    """3.4 and 3.4.0 are the same version: written both ways it would be two releases."""
    for target in packages_in(listed):
        if target.product == product and target.version == version and target.version.text != version.text:
            raise ReleaseRefused(
                "release-version-text",
                f"{product} {version.text} is the version that was published as {target.version.text}",
            )


def _is_listed(listed: Targets, target: Target) -> bool:
    """Whether just this package was published before, its date aside."""
    file = listed.targets.get(target.path)
    if file is None:
        return False
    if file.hashes.get("sha256") != target.sha256 or file.length != target.length_bytes:
        raise ReleaseRefused(
            "release-other-bytes",
            f"{target.path} was published with other bytes (SHA-256 {file.hashes.get('sha256')}, now "
            f"{target.sha256}): raise the version",
        )
    old = Target.from_custom(target.path, length_bytes=file.length, sha256=target.sha256, custom=file.custom)
    if replace(target, published=old.published) != old:
        raise ReleaseRefused(
            "release-published",
            f"{target.path} was published under other terms; of a published release only channel, severity, "
            "floor, withdrawn and message change, by a change of the release",
        )
    return True


def _signed_target(target: Target) -> TargetFile:
    return TargetFile(
        target.length_bytes, {"sha256": target.sha256}, target.path, {"custom": dict(target.to_custom())}
    )


@dataclass(frozen=True, slots=True)
class _NotesFile:
    """A file of notes that was read and found right."""

    path: Path
    data: bytes


def _read_notes(path: Path) -> _NotesFile:
    data = read_limited(path, MAX_NOTES_BYTES)
    try:
        Notes.from_bytes(data)
    except ReleaseRefused as err:
        raise ReleaseRefused(err.code, f"{path}: {err.message}") from err
    return _NotesFile(path, data)


def _add_notes(repository: Repository, draft: Draft, role: str, *, path: str, notes: _NotesFile) -> None:
    sha256 = hashlib.sha256(notes.data).hexdigest()
    listed = draft.base.roles[role].signed.targets.get(path)
    if listed is not None and listed.hashes.get("sha256") != sha256:
        raise ReleaseRefused("release-other-bytes", f"{path} was published with other bytes")
    if listed is None:
        repository.add_file(draft, consistent_name(path, sha256), notes.path)
        draft.change(role).targets[path] = TargetFile(len(notes.data), {"sha256": sha256}, path)
