"""The verified view of a vendor's TUF repository: what is genuine, and not older than what was seen.

    view = open_view(source, cache=folder, trusted_root=root_bytes, now=now, seen=seen)
    view.targets, view.find(path), view.floor(product), view.files, view.seen

`tuf.ngclient` does the verification, for metadata only; this module adds what it lacks:

- The embedded root is always the start of trust, never one that lies in the cache.
- Trusted time is max(now, newest vendor-signed date): a clock behind does no harm. A date counts as long
  as the newest root names the keys that signed it.
- ``Seen`` is kept by the caller outside the cache: a lost cache does not bring an old repository back.
- A set is taken over into the cache only when all of it was verified.
- Delegations are walked; a target counts only in the role that the walk finds for its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from tuf.api.metadata import TOP_LEVEL_ROLE_NAMES, Timestamp

from engineshed_packages.digests import is_sha256
from engineshed_packages.errors import MetadataRefused, ProtocolRefused, TargetRefused, VersionUnreadable
from engineshed_packages.metadata.cache import MetadataCache, MetadataFile
from engineshed_packages.metadata.fetcher import REFRESH_DEADLINE_S, SourceFetcher
from engineshed_packages.metadata.seen import EARLIEST_DATE, MAX_VERSION, Seen
from engineshed_packages.metadata.speakers import Speakers
from engineshed_packages.metadata.updater import RoleLife, VerifyingUpdater, refusals
from engineshed_packages.sources import FolderSource, Source
from engineshed_packages.target import Target, check_notes_path, consistent_name
from engineshed_packages.times import parse_time
from engineshed_packages.versions import Version

__all__ = [
    "MAX_VERSION",
    "MetadataFile",
    "NotesFile",
    "RoleLife",
    "Seen",
    "Speakers",
    "View",
    "open_view",
    "trusted_view",
    "verify_view",
]

ISSUED_FIELD = "x-issued"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotesFile:
    """A signed file of release notes; *path* as ``Target.notes`` names it."""

    path: str
    length_bytes: int
    sha256: str

    @property
    def download_name(self) -> str:
        """Name under ``targets/``."""
        return consistent_name(self.path, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the vendor's signatures say, verified at ``trusted_time``.

    Attributes:
        issued: when the timestamp was signed, None when it does not say.
        trusted_time: max(now, newest date the vendor signed with the keys of today).
        roles: the whole set: root, timestamp, snapshot, targets, delegated ones.
        targets: all packages of all roles. notes: files of notes by path.
        speakers: by product, who signs its releases now.
        unusable: why a role or target of the set was left out, by its name.
        files: the verified files in the order they may be published: the timestamp last.
        seen: what to keep for the next time.
    """

    root_version: int
    timestamp_version: int
    issued: datetime | None
    trusted_time: datetime
    roles: tuple[RoleLife, ...]
    targets: tuple[Target, ...]
    notes: Mapping[str, NotesFile]
    speakers: Mapping[str, Speakers]
    unusable: Mapping[str, str]
    files: tuple[MetadataFile, ...]
    seen: Seen

    def find(self, path: str) -> Target | None:
        """The package at the target *path*, or None."""
        return next((target for target in self.targets if target.path == path), None)

    @property
    def products(self) -> tuple[str, ...]:
        """What the vendor may release: each product has a delegated role of its name, released or not."""
        return tuple(sorted({role.name for role in self.roles} - TOP_LEVEL_ROLE_NAMES))

    def floor(self, product: str) -> Version | None:
        """The highest floor any release of *product* carries, withdrawn ones included."""
        return max(
            (
                target.floor
                for target in self.targets
                if target.product == product and target.floor is not None
            ),
            default=None,
        )


def verify_view(
    source: Source,
    *,
    cache: Path,
    trusted_root: bytes,
    now: datetime,
    seen: Seen | None = None,
    deadline_s: float = REFRESH_DEADLINE_S,
) -> View:
    """Verify what *source* holds against *trusted_root*, *cache* and what was seen; change nothing.

    Args:
        cache: folder of a ``MetadataCache``.
        trusted_root: the vendor's root as it came with the software, any version.
        now: aware UTC.

    Raises:
        MetadataRefused: codes ``metadata-signature`` (unsigned, stranger, altered), ``metadata-expired``,
            ``metadata-rollback``, ``metadata-missing``, ``metadata-unreadable``, ``trusted-root``,
            ``metadata-version-absurd``, ``metadata-date-absurd`` (could not be read back once stored).
        Unavailable, SourceRefused, ArchiveRefused: from the source.
        OSError: the cache's folder cannot be written.
    """
    fetcher = SourceFetcher(source, deadline_s=deadline_s)
    with MetadataCache(cache).scratch() as scratch, refusals(fetcher):
        updater = VerifyingUpdater(scratch, fetcher, trusted_root)
        updater.refresh_root()
        # First the root, then the time: a newer root may have disowned the key that signed a date ahead.
        before = (seen or Seen()).under(updater.root)
        trusted_time = now if before.newest_date is None else max(now, before.newest_date)
        updater.refresh_at(trusted_time)
        before.check(updater.timestamp)
        issued = issued_of(updater.timestamp)
        if issued is not None and issued > trusted_time:
            trusted_time = issued
            updater.advance(trusted_time)
        updater.walk()
        return _view(updater, before=before, issued=issued, trusted_time=trusted_time)


def open_view(
    source: Source,
    *,
    cache: Path,
    trusted_root: bytes,
    now: datetime,
    seen: Seen | None = None,
    deadline_s: float = REFRESH_DEADLINE_S,
) -> View:
    """As ``verify_view``, and take what was verified over into *cache*.

    The caller makes sure that nobody else writes *cache* meanwhile. On any error it is as before.
    """
    view = verify_view(
        source, cache=cache, trusted_root=trusted_root, now=now, seen=seen, deadline_s=deadline_s
    )
    MetadataCache(cache).keep(view.files)
    return view


def trusted_view(*, cache: Path, trusted_root: bytes, now: datetime, seen: Seen | None = None) -> View:
    """The view of what *cache* already holds, verified anew, without any other source.

    Raises:
        MetadataRefused: as ``verify_view``; ``metadata-missing`` when nothing was verified yet.
    """
    return verify_view(FolderSource(cache), cache=cache, trusted_root=trusted_root, now=now, seen=seen)


def issued_of(timestamp: Timestamp) -> datetime | None:
    """When the vendor signed *timestamp*, by its own signed word; None when it does not say.

    Raises:
        MetadataRefused: codes ``metadata-unreadable``, ``metadata-date-absurd``.
    """
    value = timestamp.unrecognized_fields.get(ISSUED_FIELD)
    if value is None:
        return None
    try:
        issued = parse_time(value)
    except ProtocolRefused as err:
        raise MetadataRefused("metadata-unreadable", f"timestamp.json: {ISSUED_FIELD}: {err}") from err
    if issued < EARLIEST_DATE:
        message = f"timestamp.json: {ISSUED_FIELD} is {value}, expected no date before {EARLIEST_DATE:%Y}"
        raise MetadataRefused("metadata-date-absurd", message)
    return issued


def _view(
    updater: VerifyingUpdater, *, before: Seen, issued: datetime | None, trusted_time: datetime
) -> View:
    targets: list[Target] = []
    notes: dict[str, NotesFile] = {}
    unusable = dict(updater.unusable)
    for file in updater.listed():
        sha256 = file.hashes.get("sha256", "")
        try:
            if not is_sha256(sha256):
                unusable[file.path] = "it has no SHA-256"
            elif file.custom is None:
                path = check_notes_path(file.path)
                notes[path] = NotesFile(path=path, length_bytes=file.length, sha256=sha256)
            elif not isinstance(file.custom, dict):
                unusable[file.path] = "its custom fields are no JSON object"
            else:
                targets.append(
                    Target.from_custom(file.path, length_bytes=file.length, sha256=sha256, custom=file.custom)
                )
        except (TargetRefused, VersionUnreadable) as err:
            # One target of tomorrow's format must not hide today's from an older updater.
            unusable[file.path] = err.message
    return View(
        root_version=updater.root.version,
        timestamp_version=updater.timestamp.version,
        issued=issued,
        trusted_time=trusted_time,
        roles=updater.lives(),
        targets=tuple(targets),
        notes=MappingProxyType(notes),
        speakers=MappingProxyType({one.product: updater.speakers(one.path) for one in targets}),
        unusable=MappingProxyType(unusable),
        files=updater.files(),
        seen=before.after(updater.timestamp, issued),
    )
