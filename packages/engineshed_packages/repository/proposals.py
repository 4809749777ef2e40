"""A proposal: new root or targets metadata on its way to the people who must sign it.

One file goes in and out of each machine that holds a key, by stick or by mail. It is signed where the keys
are, several copies of it may be signed at once, and it changes nothing until ``applying`` publishes it:

    proposal = propose_keys(published, change, …)      `rotation.py`
    proposal = proposal.signed_by(signer)              on the machine of each key, in any order
    proposal = proposal.merged(copy)
    proposal.requirements()                            who has signed, and who is missing

    {"format": 1, "change": "…", "names": {"<keyid>": "root-1"}, "base": {root metadata},
     "parts": {"root": {root metadata}, "targets": {targets metadata}}}

Nothing in it is trusted but signatures: ``applying`` holds it against the repository that is published.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, T, Targets

from engineshed_packages.errors import FileRefused, KeyUnusable, PackagesError, Refused
from engineshed_packages.jsontext import Fields, Json, escape_controls, read_object

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

PROPOSAL_FORMAT = 1
MAX_PROPOSAL_BYTES = 16 * 1024 * 1024
MAX_CHANGE_CHARS = 1000
_MAX_KEYS = 10_000
SHOWN_KEYID_CHARS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What one delegator asks of one part.

    Attributes:
        what: the part, as ``root 2``. asked_by: who lists the keys, as ``root 1``.
        signed, missing: key ids.
    """

    what: str
    asked_by: str
    threshold: int
    signed: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_met(self) -> bool:
        """Whether enough keys have signed."""
        return len(self.signed) >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """New metadata of the offline roles; a value, never changed in place.

    Attributes:
        change: what it is for, in words.
        base: the root it was made from, the one in force.
        root, targets: the new metadata, None when that role does not change.
        names: what people call the keys, by id.
    """

    change: str
    base: Metadata[Root]
    root: Metadata[Root] | None = None
    targets: Metadata[Targets] | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def new_root(self) -> Root:
        """The root that is in force once the proposal is applied."""
        return self.base.signed if self.root is None else self.root.signed

    def requirements(self) -> tuple[Requirement, ...]:
        """Whose signatures each part needs: a root those of the old and of the new keys."""
        found = []
        if self.root is not None:
            what = f"root {self.root.signed.version}"
            for delegator in (self.base.signed, self.root.signed):
                found.append(_requirement(what, self.root, delegator, role=Root.type))
        if self.targets is not None:
            what = f"targets {self.targets.signed.version}"
            found.append(_requirement(what, self.targets, self.new_root, role=Targets.type))
        return tuple(found)

    @property
    def is_complete(self) -> bool:
        """Whether every requirement is met."""
        return all(one.is_met for one in self.requirements())

    def asked_keyids(self) -> frozenset[str]:
        """Ids of all keys whose signature counts here."""
        return frozenset(keyid for one in self.requirements() for keyid in (*one.signed, *one.missing))

    def key_name(self, keyid: str) -> str:
        """What a key is called, for people: its name where it is known, and the beginning of its id."""
        short = keyid[:SHOWN_KEYID_CHARS]
        return f"{self.names[keyid]} ({short}…)" if keyid in self.names else f"{short}…"

    def signed_by(self, signer: Signer) -> Proposal:
        """This proposal with the signature of one more key on each part that asks for it.

        Raises:
            KeyUnusable: code ``key-not-asked``.
        """
        keyid = signer.public_key.keyid
        if keyid not in self.asked_keyids():
            asked = ", ".join(sorted(self.key_name(other) for other in self.asked_keyids()))
            raise KeyUnusable(
                "key-not-asked", f"no part of this proposal asks for the key {self.key_name(keyid)}: {asked}"
            )
        root, targets = copy.deepcopy(self.root), copy.deepcopy(self.targets)
        if root is not None and any(
            keyid in other.roles[Root.type].keyids for other in (self.base.signed, root.signed)
        ):
            root.sign(signer, append=True)
        if targets is not None and keyid in self.new_root.roles[Targets.type].keyids:
            targets.sign(signer, append=True)
        return replace(self, root=root, targets=targets)

    def merged(self, other: Proposal) -> Proposal:
        """This proposal with the signatures of a copy that was signed elsewhere.

        Raises:
            Refused: code ``proposal-differs``: it is no copy of the same proposal.
        """
        if _content(self) != _content(other):
            raise Refused(
                "proposal-differs",
                f"these are two proposals, not copies of one: {self.change!r} and {other.change!r}; "
                "take the one that was signed by most",
            )
        root, targets = copy.deepcopy(self.root), copy.deepcopy(self.targets)
        for mine, theirs in ((root, other.root), (targets, other.targets)):
            if mine is not None and theirs is not None:
                mine.signatures.update(theirs.signatures)
        return replace(self, root=root, targets=targets, names={**other.names, **self.names})

    def to_bytes(self) -> bytes:
        """The file's content."""
        parts = {Root.type: self.root, Targets.type: self.targets}
        values = {
            "format": PROPOSAL_FORMAT,
            "change": self.change,
            "names": dict(sorted(self.names.items())),
            "base": self.base.to_dict(),
            "parts": {name: part.to_dict() for name, part in parts.items() if part is not None},
        }
        return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode("utf-8")

    @classmethod
    def from_bytes(cls, data: bytes) -> Proposal:
        """Read the file.

        Raises:
            FileRefused: code ``proposal-unreadable``.
        """
        try:
            return cls._read(read_object(data, what="proposal", max_bytes=MAX_PROPOSAL_BYTES))
        except (RepositoryError, KeyError, ValueError, TypeError, AttributeError) as err:
            raise FileRefused("proposal-unreadable", f"this is no proposal that can be read: {err}") from err
        except PackagesError as err:
            raise FileRefused("proposal-unreadable", err.message) from err

    @classmethod
    def _read(cls, values: Mapping[str, Json]) -> Proposal:
        fields = Fields(values, "proposal")
        if fields.integer("format") != PROPOSAL_FORMAT:
            raise fields.wrong("format", f"{PROPOSAL_FORMAT}: update the software that reads it")
        parts = fields.object_or_none("parts") or {}
        names = fields.object_or_none("names") or {}
        if len(names) > _MAX_KEYS or not parts or parts.keys() - {Root.type, Targets.type}:
            raise fields.wrong("parts", "root, targets or both")
        return cls(
            change=fields.text("change", max_chars=MAX_CHANGE_CHARS),
            base=_of_kind(fields.object_or_none("base"), Root),
            root=_of_kind(parts[Root.type], Root) if Root.type in parts else None,
            targets=_of_kind(parts[Targets.type], Targets) if Targets.type in parts else None,
            names={keyid: escape_controls(str(name))[:100] for keyid, name in names.items()},
        )


def _of_kind(values: object, kind: type[T]) -> Metadata[T]:
    if not isinstance(values, dict):
        raise ValueError(f"expected {kind.__name__} metadata, found {type(values).__name__}")
    # The library takes apart what it is given.
    metadata: Metadata[T] = Metadata.from_dict(copy.deepcopy(values))
    if metadata.signed.type != kind.type:
        raise ValueError(f"expected {kind.__name__} metadata, found {metadata.signed.type}")
    return metadata


def _requirement(
    what: str, part: Metadata[Root] | Metadata[Targets], delegator: Root, *, role: str
) -> Requirement:
    result = delegator.get_verification_result(role, part.signed_bytes, part.signatures)
    return Requirement(
        what=what,
        asked_by=f"root {delegator.version}",
        threshold=result.threshold,
        signed=tuple(result.signed),
        missing=tuple(result.unsigned),
    )


def _content(proposal: Proposal) -> tuple[bytes | None, ...]:
    """What is signed, byte by byte."""
    parts = (proposal.base, proposal.root, proposal.targets)
    return tuple(None if part is None else part.signed_bytes for part in parts)
