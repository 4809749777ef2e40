"""Publishing a signed proposal: all that follows from it is signed here, and put in place in one step.

The online key of the root to come signs snapshot and timestamp, and a product's role whose keys changed is
signed by the new ones: those private keys must be here. Nothing else is needed, and nothing is written
before every signature has been checked.

A thief may have published the next numbers of a role under his own content, and caches keep such files for
ever: roles that get new keys therefore go on from a number far ahead (``GAP``). Where he has run the numbers
up to the end, they begin anew with the lowest free one: clients forget numbers when the keys change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import DelegatedRole, Metadata, MetaFile, Root, Snapshot, Targets

from engineshed_packages.errors import KeyUnusable, Refused
from engineshed_packages.locks import exclusive
from engineshed_packages.metadata.cache import MetadataFile, file_name
from engineshed_packages.metadata.seen import MAX_VERSION
from engineshed_packages.repository import LOCK_WAIT_S, Repository
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.lifetimes import age_of, check_alive
from engineshed_packages.repository.proposals import Proposal
from engineshed_packages.repository.published import Published
from engineshed_packages.repository.signing import Online, Signer, described
from engineshed_packages.repository.staging import replace_together

GAP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a proposal.

    Attributes:
        changed: False when it was applied before, and nothing was written.
        signed: the products whose roles were signed here with new keys.
    """

    published: Published
    changed: bool
    signed: tuple[str, ...] = ()


def apply_proposal(repository: Repository, keys: KeyFolder, proposal: Proposal, *, now: datetime) -> Applied:
    """Publish *proposal*, or nothing.

    Raises:
        Refused: code ``proposal-outdated``: the repository has changed since it was made.
        Conflict: code ``locked``.
        KeyUnusable: codes ``signatures-missing``, ``key-missing``, ``role-expired``, ``clock-behind``.
        OSError: nothing has changed, or the next command completes it.
    """
    with exclusive(repository.folder / ".lock", wait_s=LOCK_WAIT_S):
        current = repository.published_locked()
        if _is_applied(proposal, current):
            return Applied(published=current, changed=False)
        _check_base(proposal, current)
        _check_signatures(proposal)
        files, signed = _files(repository, proposal, current, Signer(keys, now))
        replace_together(repository.folder, files, metadata=repository.metadata)
        return Applied(published=repository.published_locked(), changed=True, signed=signed)


def _is_applied(proposal: Proposal, current: Published) -> bool:
    root, targets = proposal.root, proposal.targets
    return (root is None or root.signed == current.root) and (
        targets is None or targets.signed == current.roles[Targets.type].signed
    )


def _check_base(proposal: Proposal, current: Published) -> None:
    """Compare-and-swap: the proposal follows directly on what is published."""
    targets = current.roles[Targets.type].signed
    fits = (
        proposal.base.signed == current.root
        and (proposal.root is None or proposal.root.signed.version == current.root.version + 1)
        and (proposal.targets is None or proposal.targets.signed.version == targets.version + 1)
    )
    if not fits:
        raise Refused(
            "proposal-outdated",
            f"this proposal ({proposal.change}) was made from root {proposal.base.signed.version}; now root "
            f"{current.root.version} and targets {targets.version} are published: make it anew",
        )


def _check_signatures(proposal: Proposal) -> None:
    for one in proposal.requirements():
        if not one.is_met:
            names = ", ".join(proposal.key_name(keyid) for keyid in one.missing)
            raise KeyUnusable(
                "signatures-missing",
                f"{one.what} has {len(one.signed)} of {one.threshold} signatures {one.asked_by} asks for: "
                f"sign it with {one.threshold - len(one.signed)} of {names}",
            )


def _files(
    repository: Repository, proposal: Proposal, current: Published, signer: Signer
) -> tuple[list[MetadataFile], tuple[str, ...]]:
    """Every file to be written, the timestamp last, and the products whose roles were signed here."""
    files: list[MetadataFile] = []
    signed: list[str] = []
    meta = dict(current.snapshot.signed.meta)
    if proposal.root is not None:
        files.append(_file(proposal.root))
    if proposal.targets is not None:
        files.append(_file(proposal.targets))
        meta[f"{Targets.type}.json"] = described(files[-1], proposal.targets.signed.version)
        for name in _to_sign(proposal.targets.signed, current):
            role = _role_to_sign(repository, name, current)
            file = signer.role_file(name, role, proposal.targets.signed)
            meta[f"{name}.json"] = described(file, role.version)
            files.append(file)
            signed.append(name)
    replaced = proposal.new_root.roles[Snapshot.type].keyids != current.root.roles[Snapshot.type].keyids
    before = _online(repository, current, replaced=replaced)
    online = signer.online_files(proposal.new_root, meta, before=before)
    _check_alive(proposal, current, signer.now)
    return [*files, *online], tuple(signed)


def _file(part: Metadata[Root] | Metadata[Targets]) -> MetadataFile:
    return MetadataFile(file_name(part.signed.type, part.signed.version), part.to_bytes())


def _to_sign(targets: Targets, current: Published) -> list[str]:
    """The products whose role is new, or no longer signed by those who may."""
    found = []
    for name in _delegated(targets):
        here = current.roles.get(name)
        try:
            if here is None:
                raise RepositoryError(f"{name} is new")
            metadata = Metadata[Targets].from_bytes(here.data)
            targets.verify_delegate(name, metadata.signed_bytes, metadata.signatures)
        except RepositoryError:
            found.append(name)
    return found


def _role_to_sign(repository: Repository, name: str, current: Published) -> Targets:
    here, listed = current.roles.get(name), current.snapshot.signed.meta.get(f"{name}.json")
    role = Targets(version=1) if here is None else Metadata[Targets].from_bytes(here.data).signed
    if listed is not None:  # also of a product that was taken away: clients remember its number
        role.version = _later(repository, name, listed)
    return role


def _online(repository: Repository, current: Published, *, replaced: bool) -> Online:
    snapshot, timestamp = current.snapshot.signed, current.timestamp.signed
    if not replaced:
        return Online(snapshot=snapshot, timestamp=timestamp)
    listed = MetaFile(version=snapshot.version)
    version = timestamp.version + 1
    return Online(
        snapshot=snapshot,
        timestamp=timestamp,
        replaced_by=(
            _later(repository, Snapshot.type, listed),
            version if version <= MAX_VERSION else 1,
        ),
    )


def _later(repository: Repository, role: str, listed: MetaFile) -> int:
    """A number for *role* that nobody can have used; see the module."""
    if listed.version + GAP <= MAX_VERSION // 2:
        return listed.version + GAP
    number = 1
    while (repository.metadata / file_name(role, number)).exists():
        number += 1
    return number


def _check_alive(proposal: Proposal, current: Published, now: datetime) -> None:
    targets = current.roles[Targets.type].signed if proposal.targets is None else proposal.targets.signed
    expires = {Root.type: proposal.new_root.expires, Targets.type: targets.expires}
    check_alive(age_of(name, ends, now=now) for name, ends in expires.items())


def _delegated(targets: Targets) -> Mapping[str, DelegatedRole]:
    return {} if targets.delegations is None else targets.delegations.roles or {}
