"""What a party has seen of the vendor's metadata: the rollback protection that outlives TUF's cache.

The library remembers the newest versions in its cache only; whoever loses the cache would take an old,
still unexpired repository for the newest. So the highest verified versions and the newest signed date are
kept by the caller, in a place of its own (`seen.json` of the updater, the portal's database).

Whoever holds the stolen online key can sign any version and any date. So neither is remembered before it is
known that it can be read back (``MAX_VERSION``, ``EARLIEST_DATE``), and neither counts any longer when a
newer root names other keys for the timestamp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tuf.api.metadata import Root, Timestamp

from engineshed_packages.errors import MetadataRefused, ProtocolRefused
from engineshed_packages.jsontext import Fields, Json
from engineshed_packages.times import format_time

MAX_TIMESTAMP_KEYS = 16
MAX_KEYID_CHARS = 200
MAX_VERSION = 2**31 - 1  # of any role: one a second for 68 years; readers, file names and columns hold it
EARLIEST_DATE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The newest a party ever verified.

    Attributes:
        newest_date: the newest ``x-issued`` the vendor signed, None before the first.
        timestamp_keys: ids of the keys that may sign the timestamp, sorted. Under a newer root that names
            others its version and ``newest_date`` start anew: the vendor's way out after a stolen key was
            used to run them up.

    Raises:
        ProtocolRefused: code ``seen-unreadable``: made of values that could not be read back.
    """

    root_version: int = 0
    timestamp_version: int = 0
    newest_date: datetime | None = None
    timestamp_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        date, keys = self.newest_date, self.timestamp_keys
        wrong = (
            not 0 <= self.root_version <= MAX_VERSION
            or not 0 <= self.timestamp_version <= MAX_VERSION
            or (date is not None and (date.tzinfo is None or date < EARLIEST_DATE))
            or not _are_keyids(keys)
        )
        if wrong:
            raise ProtocolRefused(
                "seen-unreadable",
                f"seen: root version {self.root_version}, timestamp version {self.timestamp_version}, date "
                f"{date}, {len(keys)} keys: expected versions from 0 to {MAX_VERSION}, an aware date not "
                f"before {EARLIEST_DATE:%Y}, at most {MAX_TIMESTAMP_KEYS} keys",
            )

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
            timestamp_keys=fields.texts(
                "timestamp_keys", max_items=MAX_TIMESTAMP_KEYS, max_chars=MAX_KEYID_CHARS
            ),
        )

    def to_dict(self) -> dict[str, Json]:
        """JSON values."""
        return {
            "root_version": self.root_version,
            "timestamp_version": self.timestamp_version,
            "newest_date": None if self.newest_date is None else format_time(self.newest_date),
            "timestamp_keys": list(self.timestamp_keys),
        }

    def under(self, root: Root) -> Seen:
        """What of this still counts under the verified *root*; to be asked before any time is.

        Raises:
            MetadataRefused: code ``metadata-rollback``: the root is older; ``metadata-unreadable``: it names
                keys that cannot be remembered.
        """
        if root.version < self.root_version:
            raise _rollback("root", root.version, self.root_version)
        keys = tuple(sorted(root.roles[Timestamp.type].keyids))
        if not _are_keyids(keys):
            raise MetadataRefused(
                "metadata-unreadable",
                f"the root names {len(keys)} keys for the timestamp, expected at most {MAX_TIMESTAMP_KEYS}, "
                f"their ids of at most {MAX_KEYID_CHARS} printable ASCII characters",
            )
        newer = root.version > self.root_version
        rotated = newer and bool(self.timestamp_keys) and keys != self.timestamp_keys
        return Seen(
            root_version=root.version,
            timestamp_version=0 if rotated else self.timestamp_version,
            newest_date=None if rotated else self.newest_date,
            timestamp_keys=keys,
        )

    def check(self, timestamp: Timestamp) -> None:
        """Pass a verified *timestamp* that is not older than this.

        Raises:
            MetadataRefused: code ``metadata-rollback``.
        """
        if timestamp.version < self.timestamp_version:
            raise _rollback("timestamp", timestamp.version, self.timestamp_version)

    def after(self, timestamp: Timestamp, issued: datetime | None) -> Seen:
        """What has been seen once *timestamp*, issued at *issued*, was verified and passed ``check``."""
        dates = [date for date in (self.newest_date, issued) if date is not None]
        return replace(self, timestamp_version=timestamp.version, newest_date=max(dates, default=None))


def _are_keyids(keys: tuple[str, ...]) -> bool:
    """Whether *keys* come back as they are: few, short, nothing a reader would write out."""
    return len(keys) <= MAX_TIMESTAMP_KEYS and all(
        len(key) <= MAX_KEYID_CHARS and key.isascii() and key.isprintable() for key in keys
    )


def _rollback(role: str, found: int, seen: int) -> MetadataRefused:
    return MetadataRefused(
        "metadata-rollback",
        f"the {role} metadata has version {found}, version {seen} was seen before: this repository or bundle "
        "is older than what is known already",
    )
