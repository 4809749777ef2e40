"""``journal.json`` on disk: read without a change, replaced durably, set aside when it says nothing."""

from __future__ import annotations

import logging

from engineshed_client.errors import DiskTrouble, JournalUnwritable, client_boundary, disk_trouble
from engineshed_client.fsops import FsOps
from engineshed_client.journal.record import Journal
from engineshed_client.paths import Paths
from engineshed_packages.errors import PackagesError

logger = logging.getLogger(__name__)


class JournalUnreadable(DiskTrouble):
    """The journal is there but says nothing; what happened is decided by facts on disk."""


class JournalFile:
    """``journal.json`` on disk."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        self._path = paths.journal
        self._fs = fs

    def load(self) -> Journal | None:
        """The journal, or None when no attempt is under way. Changes nothing.

        Raises:
            NewerSchema: a newer updater wrote it.
            JournalUnreadable: it is damaged; see ``set_aside``.
            DiskTrouble: whether it is there cannot be told.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as err:
            raise disk_trouble(err) from err
        try:
            return Journal.from_bytes(data)
        except (PackagesError, ValueError) as err:
            raise JournalUnreadable(
                "journal-unreadable", f"{self._path} has {len(data)} bytes that are no journal: {err}"
            ) from err

    def save(self, journal: Journal) -> None:
        """Replace the journal on disk, durably.

        Raises:
            JournalUnwritable: the journal on disk is as it was.
        """
        data = journal.to_bytes()
        try:
            self._fs.write_file(self._path, data, mode=0o600)
        except OSError as err:
            if self._says(data):
                # Only the folder could not be synchronised. What counts is what the next reader finds:
                # acting as if this had not been written would part the journal from what is done.
                logger.error("journal saved, its folder not synchronised", extra={"reason": str(err)})
                return
            trouble = disk_trouble(err)
            raise JournalUnwritable(trouble.code, f"the journal cannot be saved: {trouble.message}") from err

    def _says(self, data: bytes) -> bool:
        try:
            return self._path.read_bytes() == data
        except OSError:
            return False

    def set_aside(self) -> None:
        """Keep an unreadable journal as ``journal.json.corrupt``, for people.

        Raises:
            DiskTrouble: it may be where it was.
        """
        with client_boundary():
            self._fs.replace(self._path, self._path.with_name(self._path.name + ".corrupt"))
            self._fs.sync_folder(self._path.parent)

    def drop(self) -> None:
        """The attempt is over.

        Raises:
            DiskTrouble: the journal may still be there.
        """
        with client_boundary():
            self._fs.remove_file(self._path)
            self._fs.sync_folder(self._path.parent)
