"""The vendor's TUF repository on disk: the one way to publish.

    <folder>/metadata/timestamp.json  1.root.json …  4.snapshot.json  1.targets.json  3.<role>.json
    <folder>/targets/<product>/<version>/<sha256>.<file>

Invariants: consistent snapshots; every file but ``timestamp.json`` is immutable once that leads to it, and
what it does not lead to is not published. Publishing is compare-and-swap: a draft remembers the version of
each role it was made from; under the lock these must still be the current ones, else ``Conflict``, and
nothing has changed. ``timestamp.json`` is written last, by rename: killed anywhere, the repository is what
it was or what it was to be. Other keys for a role come by a proposal (`rotation.py`, `applying.py`).

    with repository.draft() as draft:
        draft.change(role)…                    `releases.py` knows what
        repository.add_file(draft, …)
        repository.publish(draft, keys, now)
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from engineshed_packages.errors import Conflict
from engineshed_packages.files import fsync_folder, write_file
from engineshed_packages.locks import exclusive
from engineshed_packages.metadata.cache import MetadataFile
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.lifetimes import RoleAge, age_of, check_alive
from engineshed_packages.repository.published import Published, load_published
from engineshed_packages.repository.signing import Online, Signer, described
from engineshed_packages.repository.staging import finish, is_staged
from engineshed_packages.sources import METADATA_FOLDER, TARGETS_FOLDER

LOCK_WAIT_S = 30
_LEFT_BEHIND_S = 24 * 3600  # an incoming file this old was left by a kill


class Draft:
    """Changes to publish together.

    Attributes:
        base: the set the draft was made from.
        roles: the new content of each changed role, its version still the old one.
        incoming: copied files by their name below ``targets/``, to be renamed to it.
        root_renewed: whether root is to be signed anew, as it is.
    """

    def __init__(self, base: Published) -> None:
        self.base = base
        self.roles: dict[str, Targets] = {}
        self.incoming: dict[str, Path] = {}
        self.root_renewed = False

    def change(self, role: str) -> Targets:
        """The content of *role*, to be changed in place; the same object each time."""
        if role not in self.roles:
            # read again from its bytes: the base must stay what it is
            self.roles[role] = Metadata[Targets].from_bytes(self.base.roles[role].data).signed
        return self.roles[role]


class Repository:
    """The repository in *folder*, made by ``creation.create_repository``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = folder / METADATA_FOLDER
        self.targets = folder / TARGETS_FOLDER

    def published(self) -> Published:
        """The current set; a change of keys that was interrupted is completed first.

        Raises:
            MetadataRefused: as ``load_published``. Conflict: code ``locked``.
        """
        self.complete()
        return load_published(self.metadata)

    def published_locked(self) -> Published:
        """The same for whoever holds the lock already."""
        if is_staged(self.folder):
            finish(self.folder, metadata=self.metadata)
        return load_published(self.metadata)

    def complete(self) -> bool:
        """Complete what ``staging`` says was decided and not finished; whether there was such a thing.

        Raises:
            Conflict: code ``locked``.
        """
        if not is_staged(self.folder):
            return False
        with exclusive(self.folder / ".lock", wait_s=LOCK_WAIT_S):
            found = is_staged(self.folder)
            if found:
                finish(self.folder, metadata=self.metadata)
            return found

    def ages(self, now: datetime) -> tuple[RoleAge, ...]:
        """The age of every role's signature at *now*."""
        return role_ages(self.published(), now)

    def first_root(self) -> bytes:
        """The first root: what a client may begin with, whenever it is installed."""
        return self.published().roots[0].data

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """A draft of changes to the current set; copies that were not published are removed at the end."""
        draft = Draft(self.published())
        try:
            yield draft
        finally:
            for path in draft.incoming.values():
                path.unlink(missing_ok=True)

    def add_file(self, draft: Draft, name: str, source: Path) -> None:
        """Copy *source* to where publishing *draft* renames it to *name* below ``targets/``.

        Before the lock is taken: copying may take minutes, renaming takes none.

        Raises:
            OSError: it cannot be copied.
        """
        if (self.targets / name).exists():
            return  # it is named by its digest: the same bytes
        self.targets.mkdir(parents=True, exist_ok=True)
        path = self.targets / f".incoming-{secrets.token_hex(8)}"
        draft.incoming[name] = path
        with source.open("rb") as reader, path.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1024 * 1024)
            writer.flush()
            os.fsync(writer.fileno())

    def publish(self, draft: Draft, keys: KeyFolder, now: datetime) -> Published:
        """Sign and publish *draft*; return the new set.

        Raises:
            Conflict: codes ``published-meanwhile`` and ``locked``.
            KeyUnusable: a key is missing or cannot be opened; ``role-expired`` for a role above the changed
                ones; ``clock-behind``. Nothing has changed, as after Conflict.
            OSError: the repository is as before, or as it was to be.
        """
        with exclusive(self.folder / ".lock", wait_s=LOCK_WAIT_S):
            current = self.published_locked()
            _check_unchanged(draft, current)
            _check_alive_above(draft, current, now)
            files = _signed_files(draft, current, Signer(keys, now))
            self._sweep()
            for name, path in list(draft.incoming.items()):
                self._place(path, self.targets / name)
                del draft.incoming[name]
            for file in files:
                write_file(self.metadata / file.name, file.data)
            return load_published(self.metadata)

    def _place(self, path: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        for folder in (target.parent, target.parent.parent, self.targets):
            fsync_folder(folder)

    def _sweep(self) -> None:
        for path in self.targets.glob(".incoming-*"):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                path.unlink(missing_ok=True)


def role_ages(published: Published, now: datetime) -> tuple[RoleAge, ...]:
    """The age of every role of *published* at *now*."""
    roles = {
        Root.type: published.root.expires,
        Timestamp.type: published.timestamp.signed.expires,
        Snapshot.type: published.snapshot.signed.expires,
        **{name: role.signed.expires for name, role in published.roles.items()},
    }
    return tuple(age_of(name, expires, now=now) for name, expires in roles.items())


def _check_unchanged(draft: Draft, current: Published) -> None:
    """The compare of compare-and-swap, role by role: another product's release is no conflict."""
    for name in draft.roles:
        was, now = draft.base.roles[name], current.roles.get(name)
        if now is None or now.data != was.data:
            raise Conflict(
                "published-meanwhile",
                f"somebody else published {name} meanwhile, this was made from its version "
                f"{was.signed.version}; nothing was changed, run the command again",
            )
    if draft.root_renewed and draft.base.root.version != current.root.version:
        raise Conflict(
            "published-meanwhile", "somebody else signed the root anew meanwhile; nothing was changed"
        )


def _check_alive_above(draft: Draft, current: Published, now: datetime) -> None:
    """Refuse to sign below a role that engines no longer accept, unless it is signed anew as well."""
    renewed = {*draft.roles, Root.type} if draft.root_renewed else set(draft.roles)
    needed = {Root.type}.union(*(current.above(name) for name in draft.roles)) - renewed
    check_alive(age for age in role_ages(current, now) if age.name in needed)


def _signed_files(draft: Draft, current: Published, signer: Signer) -> tuple[MetadataFile, ...]:
    """All new files, in the order in which they must be written."""
    files: list[MetadataFile] = []
    root = current.root
    if draft.root_renewed:
        root = Metadata[Root].from_bytes(current.roots[-1].data).signed
        root.version += 1
        files.append(signer.role_file(Root.type, root, current.root, root))
    meta = dict(current.snapshot.signed.meta)
    for name, targets in draft.roles.items():
        targets.version += 1
        file = signer.role_file(name, targets, current.delegator(name))
        meta[f"{name}.json"] = described(file, targets.version)
        files.append(file)
    before = Online(snapshot=current.snapshot.signed, timestamp=current.timestamp.signed)
    return (*files, *signer.online_files(root, meta, before=before))
