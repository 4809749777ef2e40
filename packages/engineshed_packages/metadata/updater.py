"""`tuf.ngclient` as we use it: our clock, our errors, and a walk over all delegations.

``VerifyingUpdater`` is the only place that reaches behind the library's public face, because the library
takes no reference time, lists no targets and hands out no role. setup.cfg pins its major version, and
tests/packages/test_metadata.py exercises each reach. ``refusals`` turns its errors into ours.

One object serves one verification in a scratch folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import Updater

from engineshed_packages.errors import MetadataRefused
from engineshed_packages.metadata.cache import ROOT_HISTORY, MetadataFile, file_name
from engineshed_packages.metadata.fetcher import SourceFetcher
from engineshed_packages.metadata.seen import MAX_VERSION
from engineshed_packages.metadata.speakers import Speakers
from engineshed_packages.sources import METADATA_FOLDER
from engineshed_packages.times import format_time

MAX_ROLES = 1000


@dataclass(frozen=True, slots=True)
class RoleLife:
    """One role of the verified set and when its signature ends."""

    name: str
    version: int
    expires: datetime


class VerifyingUpdater(Updater):
    """One verification.

    Args:
        scratch: a folder filled by ``MetadataCache.scratch``.
        trusted_root: where trust begins; the library's own cached root is never asked.

    Raises:
        MetadataRefused: code ``trusted-root``.
    """

    def __init__(self, scratch: Path, fetcher: SourceFetcher, trusted_root: bytes) -> None:
        self._scratch = scratch
        self._source = fetcher
        self._walked: dict[str, Targets] = {}
        self._expired: dict[str, RoleLife] = {}
        try:
            super().__init__(str(scratch), METADATA_FOLDER, fetcher=fetcher, bootstrap=trusted_root)
        except tuf_errors.RepositoryError as err:
            message = f"the trusted root cannot be used: {err}; expected the root.json the vendor handed out"
            raise MetadataRefused("trusted-root", message) from err

    @property
    def root(self) -> Root:
        """The newest verified root."""
        return self._trusted_set.root

    @property
    def timestamp(self) -> Timestamp:
        """The verified timestamp."""
        return self._trusted_set.timestamp

    @property
    def unusable(self) -> dict[str, str]:
        """Roles that were left out, and why."""
        return {name: f"expired on {format_time(life.expires)}" for name, life in self._expired.items()}

    def refresh_root(self) -> None:
        """Follow the vendor's roots to the newest one. No time is asked for that: TUF 5.3."""
        self._load_root()
        _check_version(Root.type, self.root.version)

    def refresh_at(self, trusted_time: datetime) -> None:
        """Verify the other top-level roles, all expiry judged by *trusted_time*, not by the system's clock.

        In the order of the library's ``refresh``; no version is used in a name before it was checked.
        """
        self._trusted_set.reference_time = trusted_time
        self._load_timestamp()
        _check_version(Timestamp.type, self.timestamp.version)
        _check_version(Snapshot.type, self.timestamp.snapshot_meta.version)
        self._load_snapshot()
        for name, meta in self._trusted_set.snapshot.meta.items():
            _check_version(name.removesuffix(".json"), meta.version)
        self._load_targets(Targets.type, Root.type)
        if not self.root.consistent_snapshot:
            raise MetadataRefused("metadata-unreadable", "the repository has no consistent snapshots")

    def advance(self, trusted_time: datetime) -> None:
        """Judge the top-level roles again by a later *trusted_time*, which all that follows will use."""
        self._trusted_set.reference_time = trusted_time
        for signed in self._top_level():
            if signed.is_expired(trusted_time):
                raise _expired(signed.type, signed.expires)

    def walk(self) -> None:
        """Load every delegated role from the targets role on. An expired one is left out, and named."""
        pending = [(Targets.type, Root.type)]
        while pending:
            name, parent = pending.pop()
            if name in self._walked or name in self._expired:
                continue
            if len(self._walked) == MAX_ROLES:
                raise MetadataRefused("metadata-unreadable", f"more than {MAX_ROLES} delegated roles")
            try:
                targets = self._load_targets(name, parent)
            except tuf_errors.ExpiredMetadataError:
                # One forgotten product must not stop the others. Only expiry: anything else is an attack.
                self._expired[name] = self._life_of_expired(name)
                continue
            self._walked[name] = targets
            roles = None if targets.delegations is None else targets.delegations.roles
            pending.extend((child, name) for child in roles or {})

    def listed(self) -> Iterator[TargetFile]:
        """Each target once, from the role that is trusted for its path.

        A role may list what it likes; it is asked through the delegations as for any single target, so
        that a path outside a role's own, or one of a more trusted role, counts for nothing.
        """
        for targets in self._walked.values():
            for path, file in targets.targets.items():
                if self._trusted_for(path) is file:
                    yield file

    def _trusted_for(self, path: str) -> TargetFile | None:
        try:
            return self.get_targetinfo(path)
        except tuf_errors.ExpiredMetadataError:
            return None

    def speakers(self, path: str) -> Speakers:
        """Who may sign the target *path*."""
        delegator: Root | Targets = self.root
        role = Targets.type
        while (targets := self._walked.get(role)) is not None and targets.delegations is not None:
            names = (name for name, _ in targets.delegations.get_roles_for_target(path))
            child = next(names, None)
            if child is None:
                break
            delegator, role = targets, child
        keyids = tuple(sorted(delegator.get_delegated_role(role).keyids))
        return Speakers(keyids=keyids, named_by=delegator.version)

    def lives(self) -> tuple[RoleLife, ...]:
        """All roles of the set, expired delegated ones included."""
        delegated = [(name, role) for name, role in self._walked.items() if name != Targets.type]
        known = [(signed.type, signed) for signed in self._top_level()] + delegated
        lives = [RoleLife(name, signed.version, signed.expires) for name, signed in known]
        return (*lives, *self._expired.values())

    def files(self) -> tuple[MetadataFile, ...]:
        """The verified files as they were signed, in the order they may be published."""
        roots = [
            MetadataFile(file_name(Root.type, version), path.read_bytes())
            for version in range(1, self.root.version + 1)
            if (path := self._scratch / ROOT_HISTORY / file_name(Root.type, version)).exists()
        ]
        versions = {name: targets.version for name, targets in self._walked.items()}
        versions |= {name: life.version for name, life in self._expired.items()}
        roles = [self._file(name, version) for name, version in versions.items()]
        snapshot = self._file(Snapshot.type, self._trusted_set.snapshot.version)
        return (*roots, *roles, snapshot, MetadataFile("timestamp.json", self._cached(Timestamp.type)))

    def _top_level(self) -> tuple[Signed, ...]:
        trusted = self._trusted_set
        return (trusted.root, trusted.timestamp, trusted.snapshot, trusted.targets)

    def _file(self, role: str, version: int) -> MetadataFile:
        name = file_name(role, version)
        data = (
            self._cached(role)
            if role not in self._expired
            else self._source.data[f"{METADATA_FOLDER}/{name}"]
        )
        return MetadataFile(name, data)

    def _cached(self, role: str) -> bytes:
        return (self._scratch / file_name(role, None)).read_bytes()

    def _life_of_expired(self, name: str) -> RoleLife:
        """The library checks expiry last: what it called expired has the right signatures and version."""
        version = self._trusted_set.snapshot.meta[f"{name}.json"].version
        data = self._source.data[f"{METADATA_FOLDER}/{file_name(name, version)}"]
        return RoleLife(name, version, Metadata[Targets].from_bytes(data).signed.expires)


def _check_version(role: str, version: int) -> None:
    """Refuse what could be signed, published and stored, but not read back; a stolen key signs it."""
    if version > MAX_VERSION:
        shown = str(version)[:20]
        raise MetadataRefused(
            "metadata-version-absurd",
            f"the {role} metadata has version {shown}, at most {MAX_VERSION} is accepted: its key may be "
            "stolen; ask the vendor for metadata signed with new keys",
        )


def _expired(role: str, expires: datetime) -> MetadataRefused:
    return MetadataRefused(
        "metadata-expired",
        f"the {role} metadata expired on {format_time(expires)}: check this machine's clock, then ask the "
        "vendor for newer metadata",
    )


@contextmanager
def refusals(fetcher: SourceFetcher) -> Iterator[None]:
    """Let only our errors out of what the library does inside the block; *fetcher* knows the file in hand."""
    try:
        yield
    except tuf_errors.ExpiredMetadataError as err:
        message = f"{err}: check this machine's clock, then ask the vendor for newer metadata"
        raise MetadataRefused("metadata-expired", message) from err
    except tuf_errors.UnsignedMetadataError as err:
        message = f"{fetcher.last} is not signed by the vendor's keys: {err}"
        raise MetadataRefused("metadata-signature", message) from err
    except tuf_errors.LengthOrHashMismatchError as err:
        raise MetadataRefused("metadata-signature", f"{fetcher.last} was altered: {err}") from err
    except tuf_errors.BadVersionNumberError as err:
        known = ("timestamp.json", "snapshot.json")
        code = "metadata-rollback" if fetcher.last.endswith(known) else "metadata-unreadable"
        raise MetadataRefused(code, f"{fetcher.last}: {err}") from err
    except tuf_errors.DownloadHTTPError as err:
        raise MetadataRefused("metadata-missing", f"{fetcher.last} is not there: {err}") from err
    except (tuf_errors.RepositoryError, tuf_errors.DownloadError) as err:
        raise MetadataRefused("metadata-unreadable", f"{fetcher.last} cannot be read: {err}") from err
