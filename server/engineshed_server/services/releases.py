"""Releases as operators see them, and the files of the TUF tree as engines fetch them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

from engineshed_packages.errors import VersionUnreadable
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from engineshed_server.db import releases
from engineshed_server.errors import NotFound
from engineshed_server.services.portal import Portal


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPackage:
    """A package whose bytes are stored here.

    Attributes:
        sha1: to be shown beside the SHA-256 of *target*, never to be trusted.
        path: the file to send.
    """

    target: Target
    sha1: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of one product as this portal offers it.

    Attributes:
        published: when its first package became visible.
        held: kept back by the portal's admin.
        targets: one per platform. sha1: of each of them, in the same order.
    """

    product: str
    version: str
    published: datetime
    held: bool
    targets: tuple[Target, ...]
    sha1: tuple[str, ...]


def list_releases(portal: Portal) -> tuple[Release, ...]:
    """All published releases, by product, the newest version first."""
    with portal.database.read() as session:
        return _group(releases.list_packages(session))


def show_release(portal: Portal, product: str, *, version: str) -> Release:
    """One release; *version* may be spelt differently, as 3.4 for 3.4.0.

    Raises:
        NotFound: code ``release-unknown``.
    """
    try:
        wanted = Version.parse(version)
    except VersionUnreadable as err:
        raise _unknown(product, version) from err
    for release in list_releases(portal):
        if (release.product, Version.parse(release.version)) == (product, wanted):
            return release
    raise _unknown(product, version)


def _unknown(product: str, version: str) -> NotFound:
    return NotFound("release-unknown", f"no release {product[:64]} {version[:64]} is published here")


def find_package(portal: Portal, download_name: str) -> PublishedPackage | None:
    """The package with that name below ``targets/``; no SQL when this process knows it.

    An order may come from a process that knows a release half a second earlier than this one: what is not
    in memory is looked up in the database before it is denied.
    """
    record = portal.snapshot.current().packages.get(download_name)
    if record is None:
        record = _look_up(portal, download_name)
    if record is None:
        return None
    path = portal.blobs.find(record.target.sha256, length_bytes=record.target.length_bytes)
    return None if path is None else PublishedPackage(target=record.target, sha1=record.sha1, path=path)


def find_metadata(portal: Portal, name: str) -> Path | None:
    """The published file of that name, as ``timestamp.json`` or ``3.root.json``; no SQL."""
    return portal.metadata.find(name)


def _look_up(portal: Portal, download_name: str) -> releases.PackageRecord | None:
    folder, _, file_name = download_name.rpartition("/")
    sha256, _, package_name = file_name.partition(".")
    with portal.database.read() as session:
        record = releases.find_package(session, f"{folder}/{package_name}"[:400])
    return record if record is not None and record.target.sha256 == sha256 else None


def _group(records: Iterable[releases.PackageRecord]) -> tuple[Release, ...]:
    visible = [record for record in records if record.state == releases.PUBLISHED]
    found: list[Release] = []
    for (product, version), group in groupby(
        visible, key=lambda one: (one.target.product, one.target.version)
    ):
        packages = list(group)
        found.append(
            Release(
                product=product,
                version=version.text,
                published=min(one.published for one in packages if one.published is not None),
                held=packages[0].held,
                targets=tuple(one.target for one in packages),
                sha1=tuple(one.sha1 for one in packages),
            )
        )
    return tuple(found)
