"""A proposal among the people who sign it: `keys sign`, `keys status FILE`; and `keys status` alone.

What a proposal would change is shown from its metadata, key by key, and not only in its own words: who signs
can compare it with what was agreed on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Metadata, Role, Root, Snapshot, Timestamp

from engineshed_packages.cli.answers import Answer, age_notices
from engineshed_packages.errors import FileRefused, MetadataRefused
from engineshed_packages.files import read_limited, write_file
from engineshed_packages.jsontext import Json
from engineshed_packages.repository import Repository, role_ages
from engineshed_packages.repository.keys import KeyFile, KeyFolder, list_keys
from engineshed_packages.repository.lifetimes import RoleAge
from engineshed_packages.repository.proposals import (
    MAX_PROPOSAL_BYTES,
    SHOWN_KEYID_CHARS,
    Proposal,
    Requirement,
)
from engineshed_packages.repository.rotation import role_keys
from engineshed_packages.times import format_time

MAX_ROOT_BYTES = 512_000


def read_proposals(files: Sequence[Path]) -> Proposal:
    """The proposal in *files*, copies of one, with the signatures of all.

    Raises:
        FileRefused: one cannot be read. Refused: code ``proposal-differs``.
    """
    proposal, *others = (Proposal.from_bytes(read_limited(file, MAX_PROPOSAL_BYTES)) for file in files)
    for other in others:
        proposal = proposal.merged(other)
    return proposal


def complete_with(keys: KeyFolder, proposal: Proposal) -> Proposal:
    """*proposal* signed by every key that is here and is asked for."""
    for signer in keys.signers(proposal.asked_keyids(), threshold=0, what="proposal"):
        proposal = proposal.signed_by(signer)
    return proposal


def sign(file: Path, keys: Sequence[tuple[KeyFolder, str]], *, root: Path | None, output: Path) -> Answer:
    """Sign the proposal in *file* with *keys*, each a name in a folder, and write it to *output*.

    Raises:
        MetadataRefused: code ``proposal-base``: it was not made from the root in the file *root*.
        KeyUnusable: code ``key-not-asked``, and as ``KeyFolder.signer``.
    """
    proposal = read_proposals([file])
    if root is not None:
        _check_base(proposal, root)
    for folder, name in keys:
        signer = folder.signer(name)
        proposal = proposal.signed_by(signer)
    write_file(output, proposal.to_bytes())
    return _told(output, proposal)


def proposal_status(files: Sequence[Path]) -> Answer:
    """What a proposal would change, who has signed it, and who is missing."""
    return _told(files[0], read_proposals(files))


def repository_status(repository: Repository, folder: Path, *, now: datetime) -> Answer:
    """Every role of the repository: its keys, which of them are in *folder*, and how long it still lives."""
    published = repository.published()
    files = {file.public.keyid: file for file in list_keys(folder)}
    ages = role_ages(published, now)
    roles = {age.name: _keys_of(published.root, age.name) or role_keys(published, age.name) for age in ages}
    versions = {
        Root.type: published.root.version,
        Timestamp.type: published.timestamp.signed.version,
        Snapshot.type: published.snapshot.signed.version,
        **{name: role.signed.version for name, role in published.roles.items()},
    }
    named = {keyid for role in roles.values() for keyid in role.keyids}
    unused = [file.name for keyid, file in files.items() if keyid not in named]
    rows = [(age.name, _role_line(age, roles[age.name], versions[age.name], files)) for age in ages]
    return Answer(
        rows=[*rows, *((("unused", ", ".join(unused)),) if unused else ())],
        data={
            "roles": [_role_data(age, roles[age.name], versions[age.name], files) for age in ages],
            "unused": [*unused],
        },
        notices=age_notices(ages),
    )


def requirement_rows(proposal: Proposal) -> list[tuple[str, str]]:
    """One row for each requirement."""
    return [(one.what, _requirement_line(proposal, one)) for one in proposal.requirements()]


def requirements_data(proposal: Proposal) -> dict[str, Json]:
    """The same for programs."""
    found: list[Json] = [
        {
            "what": one.what,
            "asked_by": one.asked_by,
            "threshold": one.threshold,
            "signed": [*one.signed],
            "missing": [*one.missing],
            "met": one.is_met,
        }
        for one in proposal.requirements()
    ]
    return {"complete": proposal.is_complete, "requirements": found}


def _told(file: Path, proposal: Proposal) -> Answer:
    changes = differences(proposal)
    following = (
        "publish it: keys apply" if proposal.is_complete else "carry it to the missing keys: keys sign"
    )
    return Answer(
        rows=[
            ("Proposal", str(file)),
            ("Change", proposal.change),
            *(("", line) for line in changes),
            *requirement_rows(proposal),
        ],
        data={
            "proposal": str(file),
            "change": proposal.change,
            "differences": [*changes],
            **requirements_data(proposal),
        },
        notices=[f"Complete; {following}." if proposal.is_complete else f"Not complete; {following}."],
    )


def differences(proposal: Proposal) -> list[str]:
    """What the proposal would really change, read from its metadata."""
    lines = []
    if proposal.root is not None:
        new = proposal.root.signed
        lines.append(f"root {new.version}, until {format_time(new.expires)}")
        for name, role in sorted(new.roles.items()):
            lines += _role_differences(proposal, name, proposal.base.signed.roles[name], role)
    if proposal.targets is not None:
        targets = proposal.targets.signed
        lines.append(f"targets {targets.version}, until {format_time(targets.expires)}, and in it")
        roles = {} if targets.delegations is None else targets.delegations.roles or {}
        for name, delegated in sorted(roles.items()):
            names = ", ".join(proposal.key_name(keyid) for keyid in delegated.keyids)
            lines.append(f"  {name}: {delegated.threshold} of {names}")
        if targets.targets:
            lines.append(f"  {len(targets.targets)} packages of its own: it should have none")
    return lines


def _role_differences(proposal: Proposal, name: str, old: Role, new: Role) -> list[str]:
    lines = [f"  {name}: goes {proposal.key_name(key)}" for key in old.keyids if key not in new.keyids]
    lines += [f"  {name}: comes {proposal.key_name(key)}" for key in new.keyids if key not in old.keyids]
    if old.threshold != new.threshold:
        lines.append(f"  {name}: {new.threshold} of {len(new.keyids)} must sign, before {old.threshold}")
    return lines


def _check_base(proposal: Proposal, root: Path) -> None:
    try:
        known = Metadata[Root].from_bytes(read_limited(root, MAX_ROOT_BYTES)).signed
    except ValueError as err:
        raise FileRefused("file-unreadable", f"{root} is no root metadata: {err}") from err
    if known != proposal.base.signed:
        raise MetadataRefused(
            "proposal-base",
            f"this proposal was made from another root (version {proposal.base.signed.version}) than {root} "
            f"(version {known.version}): what it shows as a change may not be one",
        )


def _requirement_line(proposal: Proposal, one: Requirement) -> str:
    signed = ", ".join(proposal.key_name(keyid) for keyid in one.signed) or "nobody"
    missing = ", ".join(proposal.key_name(keyid) for keyid in one.missing)
    needed = one.threshold - len(one.signed)
    more = "" if one.is_met else f"; missing {needed} of {missing}"
    return f"{len(one.signed)} of {one.threshold} that {one.asked_by} asks for: {signed}{more}"


def _keys_of(root: Root, name: str) -> Role | None:
    return root.roles.get(name)


def _role_line(age: RoleAge, role: Role, version: int, files: Mapping[str, KeyFile]) -> str:
    names = [_key_line(keyid, files.get(keyid)) for keyid in role.keyids]
    return f"version {version}, {age.days_left} days left, {role.threshold} of {', '.join(names)}"


def _key_line(keyid: str, file: KeyFile | None) -> str:
    short = keyid[:SHOWN_KEYID_CHARS]
    if file is None:
        return f"{short}…"
    return f"{file.name} ({short}…{', here' if file.has_private else ''})"


def _role_data(age: RoleAge, role: Role, version: int, files: Mapping[str, KeyFile]) -> Json:
    keys: list[Json] = []
    for keyid in role.keyids:
        file = files.get(keyid)
        name = None if file is None else file.name
        keys.append({"keyid": keyid, "name": name, "here": file is not None and file.has_private})
    return {
        "name": age.name,
        "version": version,
        "expires": format_time(age.expires),
        "days_left": age.days_left,
        "threshold": role.threshold,
        "keys": keys,
    }
