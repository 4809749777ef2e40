"""What a vendor's repository publishes now: its current metadata, read from disk and verified.

The current set is what ``timestamp.json`` leads to, not what happens to lie in the folder. Signatures are
checked on the way, so that the online key never vouches for a role somebody else has put there. Expiry is
not checked here: signing anew is how an expired role is mended (`lifetimes.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, T, Targets, Timestamp

from engineshed_packages.errors import FileRefused, MetadataRefused, Refused
from engineshed_packages.files import read_limited
from engineshed_packages.metadata.cache import MAX_FILE_BYTES, TIMESTAMP, file_name


@dataclass(frozen=True, slots=True)
class SignedFile(Generic[T]):
    """One role as it lies on disk: its file's bytes and what they say."""

    name: str
    data: bytes
    signed: T


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The current set.

    Attributes:
        roots: all versions, the first one first.
        roles: the targets role and all delegated ones by name. parents: who delegates to each.
    """

    roots: tuple[SignedFile[Root], ...]
    timestamp: SignedFile[Timestamp]
    snapshot: SignedFile[Snapshot]
    roles: Mapping[str, SignedFile[Targets]]
    parents: Mapping[str, str]

    @property
    def root(self) -> Root:
        """The newest root."""
        return self.roots[-1].signed

    def role_for(self, path: str) -> str:
        """The delegated role that speaks for the target *path*.

        Raises:
            Refused: code ``product-unknown``.
        """
        parent = Targets.type
        while (child := self._first_child(parent, path)) is not None:
            parent = child
        if parent == Targets.type:
            known = ", ".join(sorted(name for name, above in self.parents.items() if above == parent))
            raise Refused(
                "product-unknown",
                f"{path.partition('/')[0]} is no product of this repository, which has {known or 'none'}: "
                "check the name, or make it one with engineshed-packages keys add-product",
            )
        return parent

    def _first_child(self, parent: str, path: str) -> str | None:
        delegations = self.roles[parent].signed.delegations
        if delegations is None:
            return None
        names = (name for name, _ in delegations.get_roles_for_target(path))
        return next((name for name in names if self.parents.get(name) == parent), None)

    def above(self, role: str) -> set[str]:
        """The roles that lead from root to *role*; itself, snapshot and timestamp are not among them."""
        names = {Root.type}
        while (parent := self.parents.get(role)) is not None:
            names.add(parent)
            role = parent
        return names

    def delegator(self, role: str) -> Root | Targets:
        """The metadata that lists the keys of *role*."""
        parent = self.parents.get(role)
        return self.root if parent is None else self.roles[parent].signed

    def files(self) -> tuple[tuple[str, bytes], ...]:
        """Name and bytes of every file of the set, the timestamp last."""
        return (
            *((file.name, file.data) for file in self.roots),
            *((file.name, file.data) for file in self.roles.values()),
            (self.snapshot.name, self.snapshot.data),
            (self.timestamp.name, self.timestamp.data),
        )


def load_published(metadata: Path) -> Published:
    """Read the current set from the folder *metadata*.

    Raises:
        MetadataRefused: codes ``metadata-missing``, ``metadata-signature``, ``metadata-unreadable``.
    """
    roots = _load_roots(metadata)
    root = roots[-1].signed
    timestamp = _load(metadata, TIMESTAMP, Timestamp, root)
    version = timestamp.signed.snapshot_meta.version
    snapshot = _load(metadata, file_name(Snapshot.type, version), Snapshot, root)
    roles: dict[str, SignedFile[Targets]] = {}
    parents: dict[str, str] = {}
    pending: list[tuple[str, str | None]] = [(Targets.type, None)]
    while pending:
        name, parent = pending.pop()
        if name in roles:
            continue
        meta = snapshot.signed.meta.get(f"{name}.json")
        if meta is None:
            raise MetadataRefused(
                "metadata-missing", f"the snapshot of {metadata} does not list the role {name}"
            )
        delegator = root if parent is None else roles[parent].signed
        roles[name] = _load(metadata, file_name(name, meta.version), Targets, delegator, role=name)
        if parent is not None:
            parents[name] = parent
        delegations = roles[name].signed.delegations
        children = {} if delegations is None else delegations.roles or {}
        pending.extend((child, name) for child in children)
    return Published(roots=roots, timestamp=timestamp, snapshot=snapshot, roles=roles, parents=parents)


def _load_roots(metadata: Path) -> tuple[SignedFile[Root], ...]:
    if not metadata.exists():
        raise MetadataRefused(
            "metadata-missing",
            f"{metadata} does not exist: name the repository's folder with --repository, or make one with "
            "engineshed-packages keys init",
        )
    first: SignedFile[Root] = _load(metadata, file_name(Root.type, 1), Root, None)
    roots = [first]
    while (metadata / file_name(Root.type, len(roots) + 1)).exists():
        name = file_name(Root.type, len(roots) + 1)
        roots.append(_load(metadata, name, Root, roots[-1].signed))
    return tuple(roots)


def _load(
    metadata: Path, name: str, kind: type[T], delegator: Root | Targets | None, *, role: str | None = None
) -> SignedFile[T]:
    path = metadata / name
    try:
        data = read_limited(path, MAX_FILE_BYTES)
        loaded: Metadata[T] = Metadata.from_bytes(data)
        if loaded.signed.type != kind.type:
            raise MetadataRefused(
                "metadata-unreadable", f"{path} holds {loaded.signed.type}, not {kind.type}"
            )
        if delegator is None and isinstance(loaded.signed, Root):
            delegator = loaded.signed  # the first root vouches for itself
        assert delegator is not None  # only the first root is loaded without one
        delegator.verify_delegate(role or kind.type, loaded.signed_bytes, loaded.signatures)
    except FileRefused as err:
        raise MetadataRefused("metadata-missing", err.message) from err
    except RepositoryError as err:
        raise MetadataRefused("metadata-signature", f"{path}: {err}") from err
    return SignedFile(name, data, loaded.signed)
