"""What `engineshed-packages` does for releases, one function per command: values in, an answer out.

Nothing is printed here. `runs.py` reads the arguments, `__init__.py` prints answers and turns errors into
exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import TOP_LEVEL_ROLE_NAMES

from engineshed_packages.builder import build_package
from engineshed_packages.bundle import write_bundle, write_metadata_bundle
from engineshed_packages.cli.answers import (
    Answer,
    age_notices,
    age_rows,
    ages_data,
    target_data,
    target_rows,
)
from engineshed_packages.digests import digest_file
from engineshed_packages.jsontext import Json
from engineshed_packages.repository import Repository, role_ages
from engineshed_packages.repository.creation import refresh
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.lifetimes import check_alive
from engineshed_packages.repository.releases import (
    ReleaseChange,
    ReleaseTerms,
    add_release,
    change_release,
)
from engineshed_packages.target import ANY, target_path
from engineshed_packages.versions import Version


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
        rows=[("Release", f"{first.product} {first.version} {said}"), *target_rows(released.targets)],
        data={"changed": released.changed, "targets": [target_data(target) for target in released.targets]},
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
    rows, data = _written(path)
    return Answer(
        rows=[*rows, *target_rows(targets)],
        data={**data, "targets": [target_data(target) for target in targets]},
        notices=age_notices(ages),
    )


def metadata_bundle(repository: Repository, *, output: Path, now: datetime) -> Answer:
    """Write a bundle without packages; *output* is a file, or a folder to name it in."""
    published = repository.published()
    ages = role_ages(published, now)
    check_alive(age for age in ages if age.name in TOP_LEVEL_ROLE_NAMES)  # no portal would take it
    version = published.timestamp.signed.version
    path = output / f"metadata-{version}-bundle.zip" if output.is_dir() else output
    write_metadata_bundle(repository, output=path)
    rows, data = _written(path)
    return Answer(
        rows=[*rows, ("Timestamp", f"version {version}"), ("Root", f"version {published.root.version}")],
        data={**data, "timestamp_version": version, "root_version": published.root.version},
        notices=age_notices(ages),
    )


def withdraw(
    repository: Repository,
    keys: KeyFolder,
    product: str,
    version: str,
    change: ReleaseChange,
    *,
    output: Path,
    now: datetime,
) -> Answer:
    """Withdraw a release, or offer it again as *change* says, and write the bundle that tells portals."""
    changed = change_release(repository, keys, product, Version.parse(version), change, now=now)
    written = metadata_bundle(repository, output=output, now=now)
    what = "withdrawn" if change.withdrawn else "offered again"
    said = what if changed.changed else f"was {what} before for the same reason, nothing changed"
    return Answer(
        rows=[
            ("Release", f"{product} {version} {said}"),
            *((("Reason", change.message),) if change.message else ()),
            *written.rows,
            *target_rows(changed.targets),
        ],
        data={
            "changed": changed.changed,
            **written.data,
            "targets": [target_data(target) for target in changed.targets],
        },
        notices=[
            "Publish the bundle as any other: portals obey from its upload on, engines from their next poll.",
            *written.notices,
        ],
    )


def _written(path: Path) -> tuple[list[tuple[str, str]], dict[str, Json]]:
    digests = digest_file(path)
    rows = [
        ("Bundle", str(path)),
        ("Bytes", str(digests.length_bytes)),
        ("SHA-256", digests.sha256),
        ("SHA-1", digests.sha1),
    ]
    return rows, {
        "bundle": str(path),
        "length_bytes": digests.length_bytes,
        "sha256": digests.sha256,
        "sha1": digests.sha1,
    }


def refresh_repository(
    repository: Repository, keys: KeyFolder, *, roles: Sequence[str], now: datetime
) -> Answer:
    """Sign the timestamp and *roles* anew."""
    published = refresh(repository, keys, now, roles=roles)
    ages = repository.ages(now)
    return Answer(
        rows=[("Timestamp", f"version {published.timestamp.signed.version}"), *age_rows(ages)],
        data={"timestamp_version": published.timestamp.signed.version, "roles": ages_data(ages)},
        notices=age_notices(ages),
    )
