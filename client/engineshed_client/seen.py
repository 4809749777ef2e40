"""``seen.json``: the highest and the worst this host has ever seen. Outlives every cache.

Losing the metadata cache must not let an older repository, a replayed order or a downgrade pass, so the
highest accepted order per order key, the highest verified root and timestamp versions, the newest date
the vendor signed and the highest floor per product are kept here; and the releases that failed here.
Values only rise; a release leaves the skip list when an order with ``retry`` is taken up. A floor starts anew
when the vendor names other keys for the product: whoever stole the earlier one could have raised it above
every release to come.

The same is kept in ``seen.json.copy``, written before each replace. A file that is damaged or gone is set
aside as ``seen.json.corrupt`` and restored from the copy. Only when neither can be read a new one is begun:
an updater that refused to work would leave the host without the update that repairs it, and the metadata
cache still protects.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from engineshed_client.errors import NewerSchema, disk_trouble
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_packages.errors import PackagesError
from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import Fields, Json, read_object, without_absent, write_compact
from engineshed_packages.metadata import View
from engineshed_packages.metadata.seen import Seen as SeenMetadata
from engineshed_packages.metadata.speakers import Speakers
from engineshed_packages.orders import Accepted
from engineshed_packages.protocol import MAX_SKIPPED, Skipped
from engineshed_packages.target import UPDATER_PRODUCT
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)

SCHEMA = 1
MAX_SEEN_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was ever seen.

    Attributes:
        accepted: the last accepted order by ``keyid``.
        metadata: the newest root, timestamp and signed date ever verified.
        floors: the highest floor by product. speakers: who signed that product then.
        skipped: releases that failed here, oldest first, at most ``MAX_SKIPPED``.
    """

    accepted: Mapping[str, Accepted] = field(default_factory=dict)
    metadata: SeenMetadata = field(default_factory=SeenMetadata)
    floors: Mapping[str, Version] = field(default_factory=dict)
    speakers: Mapping[str, Speakers] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)

    @property
    def seq(self) -> int:
        """The highest order number ever accepted, for the poll."""
        return max((one.seq for one in self.accepted.values()), default=0)

    def with_order(self, keyid: str, accepted: Accepted) -> Seen:
        """An order signed by *keyid* was accepted."""
        known = self.accepted.get(keyid)
        if known is not None and known.seq >= accepted.seq:
            return self
        return replace(self, accepted={**self.accepted, keyid: accepted})

    def with_answered(self, order_id: str) -> Seen:
        """What became of the order is kept for the portal: it is not carried out again."""
        known = {
            keyid: replace(one, answered=True) if one.id == order_id else one
            for keyid, one in self.accepted.items()
        }
        return self if known == self.accepted else replace(self, accepted=known)

    def with_metadata(self, metadata: SeenMetadata) -> Seen:
        """Metadata was verified; *metadata* is what its view says to keep."""
        return replace(self, metadata=metadata)

    def with_view(self, view: View, product: str) -> Seen:
        """*view* was verified; the floors of the engine's *product* and of the updater are kept."""
        after = self.with_metadata(view.seen)
        for name in (product, UPDATER_PRODUCT):
            after = after.with_floor(name, view.floor(name), speakers=view.speakers.get(name))
        return after

    def with_floor(self, product: str, floor: Version | None, *, speakers: Speakers | None = None) -> Seen:
        """Verified metadata of *product*, which *speakers* sign, holds this floor, or none."""
        before, known = self.speakers.get(product), self.floors.get(product)
        if speakers is not None and speakers.replace(before):
            known = None
        highest = max((one for one in (known, floor) if one is not None), default=None)
        floors = {name: one for name, one in self.floors.items() if name != product}
        floors |= {} if highest is None else {product: highest}
        if speakers is None:
            return replace(self, floors=floors)
        return replace(self, floors=floors, speakers={**self.speakers, product: speakers.newest(before)})

    def with_skipped(self, version: Version, sha256: str) -> Seen:
        """This release failed here."""
        others = self.without_skipped(sha256).skipped
        return replace(self, skipped=(*others, Skipped(version=version, sha256=sha256))[-MAX_SKIPPED:])

    def without_skipped(self, sha256: str) -> Seen:
        """This release may be tried again."""
        return replace(self, skipped=tuple(one for one in self.skipped if one.sha256 != sha256))

    @classmethod
    def from_bytes(cls, data: bytes) -> Seen:
        """Read the file.

        Raises:
            NewerSchema: a newer updater wrote it.
            PackagesError: it cannot be read.
        """
        fields = Fields(read_object(data, what="seen", max_bytes=MAX_SEEN_BYTES), "seen")
        schema = fields.integer("schema", low=1)
        if schema > SCHEMA:
            raise NewerSchema("seen-newer", f"seen.json has schema {schema}, this updater knows {SCHEMA}")
        floors = Fields(fields.object_or_none("floors") or {}, "seen")
        speakers = Fields(fields.object_or_none("speakers") or {}, "seen")
        return cls(
            accepted=_read_accepted(fields.object_or_none("orders") or {}),
            metadata=SeenMetadata.from_dict(fields.object_or_none("metadata") or {}),
            floors={name: Version.parse(floors.text(name, max_chars=64)) for name in sorted(floors.rest())},
            speakers={
                name: Speakers.from_dict(speakers.object_or_none(name) or {})
                for name in sorted(speakers.rest())
            },
            skipped=tuple(
                Skipped.from_dict(item) for item in fields.objects("skipped", max_items=MAX_SKIPPED)
            ),
            extra=fields.rest(),
        )

    def to_bytes(self) -> bytes:
        """The file's content."""
        orders: dict[str, Json] = {
            keyid: without_absent({"seq": one.seq, "id": one.id, "answered": one.answered or None})
            for keyid, one in self.accepted.items()
        }
        floors: dict[str, Json] = {product: floor.text for product, floor in self.floors.items()}
        speakers: dict[str, Json] = {product: one.to_dict() for product, one in self.speakers.items()}
        known: dict[str, Json] = {
            "orders": orders,
            "metadata": self.metadata.to_dict(),
            "floors": floors,
            **({"speakers": speakers} if speakers else {}),
            "skipped": [one.to_dict() for one in self.skipped],
        }
        return write_compact({"schema": SCHEMA, **self.extra, **known})


def _read_accepted(values: Mapping[str, Json]) -> dict[str, Accepted]:
    outer = Fields(values, "seen")
    found = {}
    for keyid in sorted(outer.rest()):
        one = Fields(outer.object_or_none(keyid) or {}, "seen")
        found[keyid] = Accepted(
            seq=one.integer("seq"), id=check_id("ord", one.text("id")), answered=one.flag("answered")
        )
    return found


class SeenFile:
    """``seen.json`` on disk; read and written only under the updater's lock."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        self._path = paths.seen
        self._copy = paths.seen_copy
        self._fs = fs

    def load(self) -> Seen:
        """What was ever seen; nothing before the first time.

        Raises:
            NewerSchema: a newer updater wrote it.
            DiskTrouble: it cannot be read, set aside or restored.
        """
        found = _read(self._path)
        if isinstance(found, Seen):
            return found
        kept = _read(self._copy)
        if found is None and kept is None:
            return Seen()
        if isinstance(found, _Damage):
            self._set_aside(found)
        if isinstance(kept, Seen):
            logger.error("seen.json lost, restored from its copy", extra={"skipped": len(kept.skipped)})
            self.save(kept)
            return kept
        logger.error("seen.json and its copy lost: orders, versions and floors seen before are forgotten")
        return Seen()

    def _set_aside(self, damage: _Damage) -> None:
        logger.error("seen.json unreadable, set aside", extra={"reason": damage.reason})
        try:
            self._fs.replace(self._path, self._path.with_name(self._path.name + ".corrupt"))
            self._fs.sync_folder(self._path.parent)
        except OSError as err:
            raise disk_trouble(err) from err

    def save(self, seen: Seen) -> None:
        """Replace the copy, then the file, durably; at no instant both are in the making.

        Raises:
            DiskTrouble: the file is as it was.
        """
        data = seen.to_bytes()
        try:
            self._fs.write_file(self._copy, data, mode=0o600)
            self._fs.write_file(self._path, data, mode=0o600)
        except OSError as err:
            raise disk_trouble(err) from err


@dataclass(frozen=True, slots=True)
class _Damage:
    """A file that is there and says nothing."""

    reason: str


def _read(path: Path) -> Seen | _Damage | None:
    """What the file *path* holds, None when there is none.

    Raises:
        NewerSchema: a newer updater wrote it. DiskTrouble: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as err:
        raise disk_trouble(err) from err
    try:
        return Seen.from_bytes(data)
    except (PackagesError, ValueError) as err:
        return _Damage(str(err))
