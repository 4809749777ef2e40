"""Several files of metadata replaced as one step, also over a kill or a power cut.

A root that names new keys makes the timestamp before it worthless: between the two renames no client
would accept the repository. So the files are first written to a folder beside ``metadata/``, whose rename
to ``staged/`` is the one step that decides. From then on they are moved, by whoever comes next when this
process is killed.

    <repository>/.staging-…/     being written; worth nothing, swept
    <repository>/staged/         decided; moved into metadata/, the timestamp last
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from engineshed_packages.files import fsync_folder, write_file
from engineshed_packages.metadata.cache import TIMESTAMP, MetadataFile

STAGED = "staged"
_STAGING = ".staging-"


def replace_together(repository: Path, files: Sequence[MetadataFile], *, metadata: Path) -> None:
    """Put *files* into the folder *metadata* of *repository*; the caller holds the repository's lock.

    Raises:
        OSError: nothing has changed, or ``finish`` will complete it.
    """
    for left in repository.glob(f"{_STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)
    staging = repository / f"{_STAGING}{secrets.token_hex(6)}"
    staging.mkdir()
    for file in files:
        write_file(staging / file.name, file.data)
    os.rename(staging, repository / STAGED)
    fsync_folder(repository)
    finish(repository, metadata=metadata)


def is_staged(repository: Path) -> bool:
    """Whether a decided change was not completed."""
    return (repository / STAGED).is_dir()


def finish(repository: Path, *, metadata: Path) -> None:
    """Complete a decided change; may be killed and run again. The caller holds the repository's lock.

    Raises:
        OSError: run it again.
    """
    staged = repository / STAGED
    names = sorted(path.name for path in staged.iterdir())
    for name in sorted(names, key=lambda name: name == TIMESTAMP):
        if name == TIMESTAMP:
            fsync_folder(metadata)  # whatever the power does: never the timestamp before what it names
        os.replace(staged / name, metadata / name)
    fsync_folder(metadata)
    staged.rmdir()
    fsync_folder(repository)
