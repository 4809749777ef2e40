"""What a party has seen of the vendor's metadata: the rollback protection that outlives TUF's cache.

The library remembers the newest versions in its cache only; whoever loses the cache would take an old,
still unexpired repository for the newest. So the highest verified versions and the newest signed date are
kept by the caller, in a place of its own (`seen.json` of the updater, the portal's data folder).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tuf.api.metadata import Root, Timestamp

from engineshed_packages.errors import MetadataRefused, ProtocolRefused
from engineshed_packages.jsontext import Fields, Json
from engineshed_packages.times import format_time

MAX_TIMESTAMP_KEYS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The newest a party ever verified.

    Attributes:
        newest_date: the newest ``x-issued`` the vendor signed, None before the first.
        timestamp_keys: ids of the keys that may sign the timestamp, sorted. Under a newer root that names
            others its version starts anew: the vendor's way out after a stolen key was used to run it up.
    """

    root_version: int = 0
    timestamp_version: int = 0
    newest_date: datetime | None = None
    timestamp_keys: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Seen:
        """Read what ``to_dict`` wrote; unknown fields are ignored.

        Raises:
            ProtocolRefused: code ``seen-unreadable``.
        """
        fields = Fields(values, "seen", refusal=ProtocolRefused)
        return cls(
            root_version=fields.integer("root_version", default=0),
            timestamp_version=fields.integer("timestamp_version", default=0),
            newest_date=fields.time_or_none("newest_date"),
            timestamp_keys=fields.texts("timestamp_keys", max_items=MAX_TIMESTAMP_KEYS),
        )

    def to_dict(self) -> dict[str, Json]:
        """JSON values."""
        return {
            "root_version": self.root_version,
            "timestamp_version": self.timestamp_version,
            "newest_date": None if self.newest_date is None else format_time(self.newest_date),
            "timestamp_keys": list(self.timestamp_keys),
        }

    def check(self, root: Root, timestamp: Timestamp) -> None:
        """Pass a verified *root* and *timestamp* that are not older than this.

        Raises:
            MetadataRefused: code ``metadata-rollback``.
        """
        if root.version < self.root_version:
            raise _rollback("root", root.version, self.root_version)
        if timestamp.version < self.timestamp_version and not self._rotated(root):
            raise _rollback("timestamp", timestamp.version, self.timestamp_version)

    def after(self, root: Root, timestamp: Timestamp, issued: datetime | None) -> Seen:
        """What has been seen once *root* and *timestamp*, issued at *issued*, were verified."""
        dates = [date for date in (self.newest_date, issued) if date is not None]
        rotated = self._rotated(root)
        return Seen(
            root_version=max(root.version, self.root_version),
            timestamp_version=timestamp.version
            if rotated
            else max(timestamp.version, self.timestamp_version),
            newest_date=max(dates, default=None),
            timestamp_keys=_timestamp_keys(root),
        )

    def _rotated(self, root: Root) -> bool:
        newer = root.version > self.root_version
        return newer and bool(self.timestamp_keys) and _timestamp_keys(root) != self.timestamp_keys


def _timestamp_keys(root: Root) -> tuple[str, ...]:
    return tuple(sorted(root.roles[Timestamp.type].keyids))


def _rollback(role: str, found: int, seen: int) -> MetadataRefused:
    return MetadataRefused(
        "metadata-rollback",
        f"the {role} metadata has version {found}, version {seen} was seen before: this repository or bundle "
        "is older than what is known already",
    )
