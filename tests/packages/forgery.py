"""Metadata our own commands would never write: for tests of those who must refuse it, or survive it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, MetaFile, T, Targets, Timestamp

from engineshed_packages.errors import MetadataRefused
from engineshed_packages.metadata import ISSUED_FIELD, open_view
from engineshed_packages.repository.applying import Applied, apply_proposal
from engineshed_packages.repository.rotation import ONLINE, KeyChange, propose_keys, role_keys
from engineshed_packages.repository.signing import Signer
from engineshed_packages.sources import Source
from tests.vendor import PRODUCT, Vendor


def refused(
    vendor: Vendor, cache: Path, *, source: Source | None = None, **arguments: object
) -> MetadataRefused:
    """The error of a view that must not be given."""
    given = {"cache": cache, "trusted_root": vendor.root, "now": vendor.now, **arguments}
    with pytest.raises(MetadataRefused) as caught:
        open_view(source or vendor.source, **given)  # type: ignore[arg-type]  # tables of cases
    return caught.value


def metadata_file(vendor: Vendor, name: str) -> Path:
    """Path of one of the vendor's metadata files."""
    return vendor.repository.metadata / name


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below *folder* by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def rewrite(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change signed metadata without signing it anew."""
    values = json.loads(path.read_bytes())
    change(values)
    path.write_text(json.dumps(values))


def publish(vendor: Vendor, change: Callable[[Targets], None], *, role: str = PRODUCT) -> None:
    """Publish a role with any content, well signed."""
    with vendor.repository.draft() as draft:
        change(draft.change(role))
        vendor.repository.publish(draft, vendor.keys, vendor.tick())


def sign_timestamp(vendor: Vendor, change: Callable[[Timestamp], None]) -> None:
    """Replace timestamp.json by a changed one, well signed."""
    published = vendor.repository.published()
    timestamp = Metadata[Timestamp].from_bytes(published.timestamp.data).signed
    timestamp.version += 1
    change(timestamp)
    file = Signer(vendor.keys, vendor.tick()).role_file(Timestamp.type, timestamp, published.root)
    metadata_file(vendor, file.name).write_bytes(file.data)


def rotate_online_key(vendor: Vendor) -> None:
    """What a vendor does whose online key was stolen: a new root names another."""
    rotate(vendor, "online")


def rotate(vendor: Vendor, role: str) -> Applied:
    """Replace the only key of *role* by a new one, all keys being at hand."""
    published = vendor.repository.published()
    stem = role if role in ("root", "targets", ONLINE) else f"product-{role}"
    name = vendor.keys.new_name(stem)
    change = KeyChange(
        role=role,
        remove=tuple(role_keys(published, role).keyids),
        add={name: vendor.keys.generate(name)},
    )
    proposal = propose_keys(published, change, names={}, now=vendor.tick())
    for signer in vendor.keys.signers(proposal.asked_keyids(), threshold=0, what="proposal"):
        proposal = proposal.signed_by(signer)
    return apply_proposal(vendor.repository, vendor.keys, proposal, now=vendor.tick())


def sign_with_stolen_online_key(
    vendor: Vendor,
    *,
    issued: str | None = None,
    timestamp_version: int | None = None,
    snapshot_version: int | None = None,
    listed_version: int | None = None,
    listed: str = PRODUCT,
) -> None:
    """All that a thief of the online key can publish: any version, any date, for as long as he likes.

    Args:
        listed_version: the version of the role *listed* in the snapshot.
    """
    published = vendor.repository.published()
    snapshot = published.snapshot.signed
    snapshot.version = snapshot_version or snapshot.version + 1
    if listed_version is not None:
        snapshot.meta[f"{listed}.json"] = MetaFile(listed_version)
    timestamp = Metadata[Timestamp].from_bytes(published.timestamp.data).signed
    timestamp.version = timestamp_version or timestamp.version + 1
    expires = vendor.tick() + timedelta(days=4000)
    signers = vendor.keys.signers(published.root.roles[Timestamp.type].keyids, threshold=1, what="timestamp")

    def signed(role: T) -> bytes:
        role.expires = expires
        metadata = Metadata(role)
        for signer in signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    data = signed(snapshot)
    metadata_file(vendor, f"{snapshot.version}.snapshot.json").write_bytes(data)
    timestamp.snapshot_meta = MetaFile.from_data(snapshot.version, data, ["sha256"])
    if issued is not None:
        timestamp.unrecognized_fields[ISSUED_FIELD] = issued
    metadata_file(vendor, "timestamp.json").write_bytes(signed(timestamp))
