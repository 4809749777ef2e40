"""What `engineshed-packages keys` does to keys and roles, one function per command: values in, an answer out.

A change of keys is a proposal (`repository/proposals.py`). With all keys at hand one command makes, signs and
publishes it. Else it is written to a file that goes to the machines of the others, each of which signs it
(`ceremony.py`), and comes back to be applied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Root, Targets

from engineshed_packages.cli.answers import Answer
from engineshed_packages.cli.ceremony import complete_with, requirement_rows, requirements_data
from engineshed_packages.cli.commands import metadata_bundle
from engineshed_packages.errors import FileRefused, KeyUnusable, Refused
from engineshed_packages.files import write_file
from engineshed_packages.repository import Repository
from engineshed_packages.repository.applying import apply_proposal
from engineshed_packages.repository.creation import NewRepository, create_repository
from engineshed_packages.repository.keys import KeyFolder, read_public_key
from engineshed_packages.repository.proposals import Proposal
from engineshed_packages.repository.published import Published
from engineshed_packages.repository.rotation import (
    ONLINE,
    KeyChange,
    find_keys,
    propose_keys,
    propose_product,
    propose_removal,
    propose_renewal,
    role_keys,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Which keys of *role* are to be replaced, as it was asked for.

    Attributes:
        remove: names of keys, or beginnings of their ids. add: files of public halves made elsewhere.
        threshold: how many keys must sign from now on.
    """

    role: str
    remove: Sequence[str] = ()
    add: Sequence[Path] = ()
    threshold: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where the result of a change of keys goes.

    Attributes:
        proposal: a file to be signed elsewhere; None to carry the change out at once.
        bundle: file, or folder to name it in, of the bundle for portals, once the change is carried out.
    """

    proposal: Path | None
    bundle: Path


def init_keys(
    repository: Repository, keys: KeyFolder, plan: NewRepository, *, root_out: Path, now: datetime
) -> Answer:
    """Make keys and repository, write the root to hand out."""
    create_repository(repository, keys, plan, now)
    root = repository.first_root()
    write_file(root_out, root)
    names = [file.name for file in keys.files()]
    fingerprint = hashlib.sha256(root).hexdigest()
    return Answer(
        rows=[
            ("Repository", str(repository.folder)),
            ("Root", f"{root_out}  {plan.threshold} of {plan.root_keys} keys"),
            ("SHA-256", fingerprint),
            ("Keys", str(keys.folder)),
            *(("", name) for name in names),
        ],
        data={
            "repository": str(repository.folder),
            "root": str(root_out),
            "root_sha256": fingerprint,
            "keys": [*names],
        },
        notices=[
            f"Hand out {root_out} with every updater and portal; compare its SHA-256 by another way.",
            "Take the keys root-… and targets to an offline place; daily work needs online and product-….",
        ],
    )


def new_keys(keys: KeyFolder, names: Sequence[str]) -> Answer:
    """Make pairs of keys for a role that another machine's repository will name."""
    made = {name: keys.generate(name) for name in names}
    return Answer(
        rows=[("Keys", str(keys.folder)), *(("", f"{name}  {key.keyid}") for name, key in made.items())],
        data={"keys": [{"name": name, "keyid": key.keyid} for name, key in made.items()]},
        notices=[
            "Carry the files NAME.pub to the repository: keys rotate --add NAME.pub. The .pem stay here."
        ],
    )


def rotate(
    repository: Repository, keys: KeyFolder, wanted: Rotation, *, outcome: Outcome, now: datetime
) -> Answer:
    """Replace keys of a role."""
    if repository.complete():
        return _completed(repository, outcome=outcome, now=now)
    published = repository.published()
    names = _names(keys)
    remove = find_keys(published, wanted.role, wanted.remove, names=names)
    if not wanted.remove and not wanted.add and wanted.threshold is None:
        remove = _only_key(published, wanted.role)
    _check_signers(published, keys, wanted.role, outcome)
    add = _public_keys(wanted.add)
    if not add:
        stem = wanted.role if wanted.role in (Root.type, Targets.type, ONLINE) else f"product-{wanted.role}"
        add = _new_keys(keys, stem, number=len(remove))
    change = KeyChange(role=wanted.role, remove=tuple(remove), add=add, threshold=wanted.threshold)
    proposal = propose_keys(published, change, names=names, now=now)
    return _carry_out(repository, keys, proposal, outcome=outcome, now=now)


def add_product(
    repository: Repository,
    keys: KeyFolder,
    product: str,
    *,
    add: Sequence[Path],
    outcome: Outcome,
    now: datetime,
) -> Answer:
    """Let a new product be released."""
    if repository.complete():
        return _completed(repository, outcome=outcome, now=now)
    published = repository.published()
    _check_signers(published, keys, product, outcome)
    public = _public_keys(add) or _new_keys(keys, f"product-{product}", number=1)
    proposal = propose_product(published, product, public, names=_names(keys), now=now)
    return _carry_out(repository, keys, proposal, outcome=outcome, now=now)


def remove_product(
    repository: Repository, keys: KeyFolder, product: str, *, outcome: Outcome, now: datetime
) -> Answer:
    """Take a product away."""
    if repository.complete():
        return _completed(repository, outcome=outcome, now=now)
    published = repository.published()
    proposal = propose_removal(published, product, names=_names(keys), now=now)
    return _carry_out(repository, keys, proposal, outcome=outcome, now=now)


def renew(
    repository: Repository, keys: KeyFolder, roles: Sequence[str], *, proposal: Path, now: datetime
) -> Answer:
    """Write a proposal to sign root and targets anew, whose keys are elsewhere."""
    made = propose_renewal(repository.published(), roles, names=_names(keys), now=now)
    return _carry_out(repository, keys, made, outcome=Outcome(proposal=proposal, bundle=Path()), now=now)


def apply(
    repository: Repository, keys: KeyFolder, proposal: Proposal, *, output: Path, now: datetime
) -> Answer:
    """Publish a proposal that was signed, and write the bundle for portals."""
    outcome = Outcome(proposal=None, bundle=output)
    repository.complete()
    return _carry_out(repository, keys, proposal, outcome=outcome, now=now)


def _carry_out(
    repository: Repository, keys: KeyFolder, proposal: Proposal, *, outcome: Outcome, now: datetime
) -> Answer:
    proposal = complete_with(keys, proposal)
    if outcome.proposal is not None:
        _check_new(outcome.proposal)
        write_file(outcome.proposal, proposal.to_bytes())
        return Answer(
            rows=[
                ("Proposal", str(outcome.proposal)),
                ("Change", proposal.change),
                *requirement_rows(proposal),
            ],
            data={
                "proposal": str(outcome.proposal),
                "change": proposal.change,
                **requirements_data(proposal),
            },
            notices=[
                "Nothing has changed yet: carry the file to the missing keys (keys sign), then keys apply."
            ],
        )
    before = _keyids(repository.published())
    applied = apply_proposal(repository, keys, proposal, now=now)
    written = metadata_bundle(repository, output=outcome.bundle, now=now)
    said = proposal.change if applied.changed else f"{proposal.change}: was applied before, nothing changed"
    return Answer(
        rows=[("Change", said), *(("Signed", name) for name in applied.signed), *written.rows],
        data={"changed": applied.changed, "change": proposal.change, **written.data},
        notices=[
            "Publish the bundle as any other: portals and engines take the new keys from it.",
            *_to_destroy(keys, before - _keyids(applied.published)),
            *written.notices,
        ],
    )


def _completed(repository: Repository, *, outcome: Outcome, now: datetime) -> Answer:
    """An earlier command was killed when it had decided; its change is in force now, and no other."""
    written = metadata_bundle(repository, output=outcome.bundle, now=now)
    said = "a change of keys that was interrupted is complete now; nothing else was done"
    return Answer(
        rows=[("Change", said), *written.rows],
        data={"changed": True, "change": said, **written.data},
        notices=["If this is not the change you asked for, run the command again.", *written.notices],
    )


def _names(keys: KeyFolder) -> Mapping[str, str]:
    return {file.public.keyid: file.name for file in keys.files()}


def _only_key(published: Published, role: str) -> list[str]:
    listed = role_keys(published, role).keyids
    if len(listed) != 1:
        raise Refused("keys-plan", f"{role} has {len(listed)} keys: name the one to replace with --remove")
    return list(listed)


def _check_signers(published: Published, keys: KeyFolder, role: str, outcome: Outcome) -> None:
    """Before a key is made in vain: can those sign here who must?

    Raises:
        KeyUnusable: as ``KeyFolder.signers``.
    """
    if outcome.proposal is not None:
        _check_new(outcome.proposal)
        return
    by_root = role in (Root.type, Targets.type, ONLINE)
    signing = published.root.roles[Root.type if by_root else Targets.type]
    what = Root.type if by_root else Targets.type
    try:
        keys.signers(signing.keyids, threshold=signing.threshold, what=what)
    except KeyUnusable as err:
        if err.code != "key-missing":
            raise
        raise KeyUnusable(err.code, f"{err.message}; or write a --proposal to be signed elsewhere") from err


def _check_new(path: Path) -> None:
    if path.exists():
        raise FileRefused("file-exists", f"{path} exists: it may hold signatures; remove it, or name another")


def _public_keys(paths: Sequence[Path]) -> dict[str, SSlibKey]:
    return {path.stem: read_public_key(path) for path in paths}


def _new_keys(keys: KeyFolder, stem: str, *, number: int) -> dict[str, SSlibKey]:
    made = {}
    for _ in range(number):
        name = keys.new_name(stem)
        made[name] = keys.generate(name)
    return made


def _keyids(published: Published) -> frozenset[str]:
    """The ids of all keys that may sign anything."""
    delegations = [role.signed.delegations for role in published.roles.values()]
    return frozenset(published.root.keys).union(*(one.keys for one in delegations if one is not None))


def _to_destroy(keys: KeyFolder, gone: frozenset[str]) -> list[str]:
    left = [file.name for file in keys.files() if file.has_private and file.public.keyid in gone]
    return [f"No role names these keys any more, destroy them: {', '.join(left)}."] if left else []
