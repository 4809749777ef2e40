"""How long the roles of a set last that was verified before: read from its folder, nothing is verified again.

    read_lives(folder)      folder: of a portal's published metadata, or ``metadata/`` of a cache

For monitoring, which must also tell of a set that has expired: ``trusted_view`` refuses that.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp

from engineshed_packages.errors import FileRefused, MetadataRefused
from engineshed_packages.files import read_limited
from engineshed_packages.metadata.cache import MAX_FILE_BYTES, TIMESTAMP, file_name
from engineshed_packages.metadata.updater import RoleLife

S = TypeVar("S", bound=Signed)

_ROOT = re.compile(r"([1-9][0-9]{0,9})\.root\.json", re.ASCII)


def read_lives(folder: Path) -> tuple[RoleLife, ...]:
    """All roles of the set that the timestamp in *folder* names, the newest root first; empty without one.

    Raises:
        MetadataRefused: codes ``metadata-missing``, ``metadata-unreadable``.
    """
    if not (folder / TIMESTAMP).is_file():
        return ()
    numbers = [int(found[1]) for path in folder.iterdir() if (found := _ROOT.fullmatch(path.name))]
    timestamp = _read(folder, TIMESTAMP, Timestamp)
    snapshot = _read(folder, file_name(Snapshot.type, timestamp.snapshot_meta.version), Snapshot)
    roles: list[tuple[str, Signed]] = [
        (Root.type, _read(folder, file_name(Root.type, max(numbers, default=1)), Root)),
        (Timestamp.type, timestamp),
        (Snapshot.type, snapshot),
    ]
    for meta_name, meta in sorted(snapshot.meta.items()):
        role = meta_name.removesuffix(".json")
        roles.append((role, _read(folder, file_name(role, meta.version), Targets)))
    return tuple(RoleLife(name, signed.version, signed.expires) for name, signed in roles)


def _read(folder: Path, name: str, kind: type[S]) -> S:
    try:
        signed = Metadata.from_bytes(read_limited(folder / name, MAX_FILE_BYTES)).signed
    except FileRefused as err:
        raise MetadataRefused("metadata-missing", f"{folder / name}: {err.message}") from err
    except RepositoryError as err:
        raise MetadataRefused("metadata-unreadable", f"{folder / name}: {err}") from err
    if not isinstance(signed, kind):
        raise MetadataRefused("metadata-unreadable", f"{folder / name} is of role {signed.type}")
    return signed
