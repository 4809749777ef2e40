"""Proposals to change who may sign: keys of a role, and which products there are. Pure: nothing is written.

    root      root N+1 names the new root keys; old and new keys sign it
    online    root N+1 names the new key of snapshot and timestamp
    targets   root N+1 names the new key, targets N+1 is signed with it
    PRODUCT   targets N+1 names the new key; ``applying`` signs the product's role with it

A key is never used twice: what replaces a key is new, or was made for it elsewhere and comes as its public
half.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from securesystemslib.signer import SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Metadata,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from engineshed_packages.errors import Refused
from engineshed_packages.repository.lifetimes import expiry_of
from engineshed_packages.repository.proposals import SHOWN_KEYID_CHARS, Proposal
from engineshed_packages.repository.published import Published
from engineshed_packages.target import check_product

ONLINE = "online"  # the shared role name of snapshot and timestamp, for people and commands
MAX_ROLE_KEYS = 16
_MIN_KEYID_CHARS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """Which keys of *role* are to go and to come.

    Attributes:
        role: ``root``, ``targets``, ``online`` or a product.
        remove: ids. add: public halves by name.
        threshold: how many keys must sign from now on; None leaves that as it is.
    """

    role: str
    remove: tuple[str, ...]
    add: Mapping[str, SSlibKey]
    threshold: int | None = None


def role_keys(published: Published, role: str) -> Role:
    """The keys of *role* as published now; those of ``timestamp`` for ``online``.

    Raises:
        Refused: code ``role-unknown``.
    """
    if role in (Root.type, Targets.type):
        return published.root.roles[role]
    if role == ONLINE:
        return published.root.roles[Timestamp.type]
    found = _delegated(published).get(role)
    if found is None:
        known = ", ".join([Root.type, Targets.type, ONLINE, *_delegated(published)])
        raise Refused("role-unknown", f"the repository has no role {role!r}; it has {known}")
    return found


def find_keys(
    published: Published, role: str, wanted: Iterable[str], *, names: Mapping[str, str]
) -> list[str]:
    """The ids of *role*'s keys that are called *wanted*: by name, or by the beginning of their id.

    Raises:
        Refused: codes ``key-unknown``, ``role-unknown``.
    """
    listed, found = role_keys(published, role).keyids, []
    for text in wanted:
        by_name = [keyid for keyid in listed if names.get(keyid) == text]
        by_id = [keyid for keyid in listed if len(text) >= _MIN_KEYID_CHARS and keyid.startswith(text)]
        matches = by_name or by_id
        if len(matches) != 1:
            known = ", ".join(f"{names.get(keyid, '?')} {keyid[:SHOWN_KEYID_CHARS]}" for keyid in listed)
            raise Refused("key-unknown", f"{text!r} is not one key of {role}; its keys are {known}")
        found.append(matches[0])
    return found


def propose_keys(
    published: Published, change: KeyChange, *, names: Mapping[str, str], now: datetime
) -> Proposal:
    """The proposal that carries *change* out.

    Raises:
        Refused: codes ``role-unknown``, ``keys-plan``: no sensible set of keys would be left;
            ``key-used``: a new key signs something else already.
    """
    role_keys(published, change.role)
    _check_unused(published, change)
    said = _in_words(published, change, names)
    known = {**names, **{key.keyid: name for name, key in change.add.items()}}
    root = targets = None
    if change.role in (Root.type, ONLINE, Targets.type):
        root = _next_root(published, now)
        roles = (Snapshot.type, Timestamp.type) if change.role == ONLINE else (change.role,)
        for role in roles:
            _exchange(root.signed, role, change)
    if change.role == Targets.type or root is None:
        targets = _next_targets(published, now)
        if root is None:
            _exchange(targets.signed, change.role, change)
    return Proposal(change=said, base=_base(published), root=root, targets=targets, names=known)


def propose_product(
    published: Published,
    product: str,
    keys: Mapping[str, SSlibKey],
    *,
    names: Mapping[str, str],
    now: datetime,
) -> Proposal:
    """The proposal for a new product, whose releases *keys* sign, each of them alone.

    Raises:
        Refused: codes ``product-exists``, ``key-used``, ``keys-plan``. TargetRefused: code ``product-name``.
    """
    check_product(product)
    if product in _delegated(published):
        raise Refused("product-exists", f"there is a product {product} already")
    change = KeyChange(role=product, remove=(), add=keys)
    _check_unused(published, change)
    targets = _next_targets(published, now)
    role = DelegatedRole(product, keyids=[], threshold=1, terminating=True, paths=[f"{product}/*/*"])
    _roles(targets.signed)[product] = role
    _exchange(targets.signed, product, change)
    known = {**names, **{key.keyid: name for name, key in keys.items()}}
    said = f"a new product {product}, its key {', '.join(keys)}"
    return Proposal(change=said, base=_base(published), targets=targets, names=known)


def propose_removal(
    published: Published, product: str, *, names: Mapping[str, str], now: datetime
) -> Proposal:
    """The proposal to take a product away: its releases are not offered or installed any more.

    Raises:
        Refused: codes ``role-unknown``, ``keys-plan``: it is the last one.
    """
    if product not in _delegated(published):
        known = ", ".join(_delegated(published))
        raise Refused("role-unknown", f"the repository has no product {product!r}; it has {known}")
    targets = _next_targets(published, now)
    roles = _roles(targets.signed)
    if len(roles) == 1:
        raise Refused("keys-plan", f"{product} is the only product: nothing would be left to publish")
    for keyid in list(roles[product].keyids):
        targets.signed.revoke_key(keyid, product)
    del roles[product]
    said = f"the product {product} is taken away"
    return Proposal(change=said, base=_base(published), targets=targets, names=names)


def propose_renewal(
    published: Published, roles: Iterable[str], *, names: Mapping[str, str], now: datetime
) -> Proposal:
    """The proposal to sign root, targets or both anew, their content unchanged.

    Raises:
        Refused: code ``role-unknown``.
    """
    wanted = set(roles)
    if not wanted or wanted - {Root.type, Targets.type}:
        raise Refused("role-unknown", f"expected the roles root, targets or both, found {sorted(wanted)}")
    return Proposal(
        change=f"{' and '.join(sorted(wanted))} signed anew, nothing else changes",
        base=_base(published),
        root=_next_root(published, now) if Root.type in wanted else None,
        targets=_next_targets(published, now) if Targets.type in wanted else None,
        names=names,
    )


def used_keyids(published: Published) -> frozenset[str]:
    """The ids of every key any root ever named or a product's role has now."""
    roots = {keyid for file in published.roots for keyid in file.signed.keys}
    return frozenset(roots.union(*(role.keyids for role in _delegated(published).values())))


def _delegated(published: Published) -> Mapping[str, DelegatedRole]:
    return _roles(published.roles[Targets.type].signed)


def _roles(targets: Targets) -> dict[str, DelegatedRole]:
    """The delegated roles, to be changed in place; the targets role is made with some."""
    if targets.delegations is None or targets.delegations.roles is None:
        raise Refused("keys-plan", "the targets role of this repository delegates nothing")
    return targets.delegations.roles


def _base(published: Published) -> Metadata[Root]:
    return Metadata[Root].from_bytes(published.roots[-1].data)


def _next_root(published: Published, now: datetime) -> Metadata[Root]:
    root = _base(published).signed
    root.version += 1
    root.expires = expiry_of(Root.type, now.replace(microsecond=0))
    return Metadata(root)


def _next_targets(published: Published, now: datetime) -> Metadata[Targets]:
    targets = Metadata[Targets].from_bytes(published.roles[Targets.type].data).signed
    targets.version += 1
    targets.expires = expiry_of(Targets.type, now.replace(microsecond=0))
    return Metadata(targets)


def _exchange(delegator: Root | Targets, role: str, change: KeyChange) -> None:
    for keyid in change.remove:
        delegator.revoke_key(keyid, role)
    for key in change.add.values():
        delegator.add_key(key, role)
    listed = delegator.get_delegated_role(role)
    listed.threshold = listed.threshold if change.threshold is None else change.threshold
    if not 1 <= listed.threshold <= len(listed.keyids) <= MAX_ROLE_KEYS:
        raise Refused(
            "keys-plan",
            f"{role} would have {len(listed.keyids)} keys and need {listed.threshold}: expected "
            f"1 <= threshold <= keys <= {MAX_ROLE_KEYS}",
        )


def _check_unused(published: Published, change: KeyChange) -> None:
    """A key that has signed anything may have been stolen there; and one key for two roles joins them."""
    used = used_keyids(published)
    for name, key in change.add.items():
        if key.keyid in used:
            raise Refused("key-used", f"the key {name} is, or was, in use already: make a new one")


def _in_words(published: Published, change: KeyChange, names: Mapping[str, str]) -> str:
    gone = [f"{names.get(keyid, 'a key')} {keyid[:SHOWN_KEYID_CHARS]}" for keyid in change.remove]
    come = [f"{name} {key.keyid[:SHOWN_KEYID_CHARS]}" for name, key in change.add.items()]
    parts = [f"{', '.join(gone)} goes" if gone else "", f"{', '.join(come)} comes" if come else ""]
    if change.threshold is not None:
        parts.append(f"{change.threshold} must sign")
    return f"keys of {change.role}: " + "; ".join(part for part in parts if part)
