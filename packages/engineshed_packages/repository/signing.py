"""Signing the vendor's metadata: a role by all keys of its that are here, then snapshot and timestamp.

Functions take the metadata as it is to be and give back files; nothing is written here. The one key of
snapshot and timestamp is the publishing box's; it vouches for what is consistent and recent, never for
what is a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, T, Targets, Timestamp

from engineshed_packages.errors import KeyUnusable
from engineshed_packages.metadata import ISSUED_FIELD, issued_of
from engineshed_packages.metadata.cache import MetadataFile, file_name
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.lifetimes import age_of, expiry_of
from engineshed_packages.times import format_time

# Between releases the snapshot is signed anew only when this much of its life is used: its file stays the
# same, and so do the copies in every mirror and cache. The timestamp is signed anew each time.
RENEW_SNAPSHOT_FROM_PERCENT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Online:
    """Snapshot and timestamp as they are published now.

    Attributes:
        replaced_by: the versions of those to come when they get new keys: then both are signed anew, and
            the last date does not count, which a thief of the old key may have put ahead.
    """

    snapshot: Snapshot
    timestamp: Timestamp
    replaced_by: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, and when: *keys* at *now*, aware UTC, fractions cut off."""

    keys: KeyFolder
    now: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", self.now.astimezone(UTC).replace(microsecond=0))

    def role_file(self, role: str, signed: T, *delegators: Root | Targets) -> MetadataFile:
        """The file of *role*, its life beginning now, signed with every key here that a delegator lists.

        Raises:
            KeyUnusable: fewer keys than a delegator's threshold.
        """
        signed.expires = expiry_of(role, self.now)
        metadata = Metadata(signed)
        for delegator in delegators:
            wanted = delegator.get_delegated_role(role)
            for signer in self.keys.signers(wanted.keyids, threshold=wanted.threshold, what=role):
                metadata.sign(signer, append=True)
        version = None if isinstance(signed, Timestamp) else signed.version
        return MetadataFile(file_name(role, version), metadata.to_bytes())

    def online_files(
        self,
        root: Root,
        meta: Mapping[str, MetaFile],
        *,
        before: Online | None,
    ) -> tuple[MetadataFile, ...]:
        """Snapshot, when needed, and timestamp over the roles *meta*; the latter last.

        Args:
            before: what is published now, None in a new repository.

        Raises:
            KeyUnusable: the key is missing, or code ``clock-behind``: the last one was signed later than now.
        """
        numbers = (1, 1) if before is None else before.replaced_by
        if before is not None and numbers is None:
            self._check_clock(before.timestamp)
            numbers = (before.snapshot.version + 1, before.timestamp.version + 1)
            if before.snapshot.meta == meta and not self._aged(before.snapshot):
                return (self._timestamp_file(root, numbers[1], before.timestamp.snapshot_meta),)
        assert numbers is not None  # each of the three cases has its own
        file = self.role_file(Snapshot.type, Snapshot(version=numbers[0], meta=dict(meta)), root)
        return (file, self._timestamp_file(root, numbers[1], described(file, numbers[0])))

    def _timestamp_file(self, root: Root, version: int, snapshot: MetaFile) -> MetadataFile:
        timestamp = Timestamp(version=version, snapshot_meta=snapshot)
        timestamp.unrecognized_fields[ISSUED_FIELD] = format_time(self.now)
        return self.role_file(Timestamp.type, timestamp, root)

    def _check_clock(self, timestamp: Timestamp) -> None:
        last = issued_of(timestamp)
        if last is not None and last > self.now:
            raise KeyUnusable(
                "clock-behind",
                f"this machine's clock says {format_time(self.now)}, but the repository was last signed at "
                f"{format_time(last)}: set the clock right",
            )

    def _aged(self, snapshot: Snapshot) -> bool:
        age = age_of(Snapshot.type, snapshot.expires, now=self.now)
        return age.used_percent >= RENEW_SNAPSHOT_FROM_PERCENT


def described(file: MetadataFile, version: int) -> MetaFile:
    """What the snapshot says of a role's *file*: version, length, SHA-256."""
    return MetaFile.from_data(version, file.data, ["sha256"])
