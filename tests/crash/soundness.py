"""What must hold of a portal's disk after any death, seen by a process that starts anew."""

from datetime import datetime
from pathlib import Path

from engineshed_packages.digests import sha256_file
from engineshed_packages.metadata import NotesFile, verify_view
from engineshed_packages.sources import FolderSource
from engineshed_packages.target import Target
from engineshed_server.db import releases as release_rows
from engineshed_server.services import releases
from engineshed_server.services.portal import Portal


def faults(portal: Portal, *, root: bytes, cache: Path, now: datetime) -> list[str]:
    """What is half-published, one line each: rows without their bytes, listed releases that are not public.

    `cache` is a folder for an updater's own view of the metadata.
    """
    with portal.database.read() as session:
        rows = release_rows.list_packages(session)
        notes = release_rows.list_notes(session)
    every: list[Target | NotesFile] = [*(row.target for row in rows), *notes.values()]
    found = [f"{one.path} has a row and no bytes" for one in every if not _has_bytes(portal, one)]
    if portal.metadata.timestamp() is None:
        public = set()
    else:
        source = FolderSource(portal.metadata.folder.parent)
        view = verify_view(source, cache=cache, trusted_root=root, now=now)
        public = {target.path for target in view.targets}
    for release in releases.list_releases(portal):
        listed = {target.path for target in release.targets}
        found += [f"{path} is listed and not public" for path in sorted(listed - public)]
        if (release.notes is None) != (release.targets[0].notes is None):
            found.append(f"{release.version} is listed without its notes")
    return found


def _has_bytes(portal: Portal, listed: Target | NotesFile) -> bool:
    path = portal.blobs.find(listed.sha256, length_bytes=listed.length_bytes)
    if path is None or releases.find_target(portal, listed.download_name) is None:
        return False
    return sha256_file(path) == listed.sha256
