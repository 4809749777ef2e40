"""What `engineshed-packages keys` does, one function per command: values in, an answer out."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from engineshed_packages.cli.answers import Answer
from engineshed_packages.files import write_file
from engineshed_packages.repository import Repository
from engineshed_packages.repository.creation import NewRepository, create_repository
from engineshed_packages.repository.keys import KeyFolder


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
