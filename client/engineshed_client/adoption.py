"""``adoption.json``: an engine installed long ago is to be taken over, as soon as all that needs is known.

Written when an administrator says which version is installed, removed when the engine's manifest is written
or cannot be. In between the portal's admin may have to approve, or the portal has yet to be reached: the
running updater goes on with it by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from engineshed_client.errors import disk_trouble
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_packages.errors import FileRefused, PackagesError
from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import Fields, Json, read_object, write_compact
from engineshed_packages.versions import Version

MAX_ADOPTION_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Adoption:
    """An engine that lies in its folder without a manifest, and its version as the administrator says it.

    Attributes:
        summary: what was found, written down before the manifest is; empty before that.
    """

    version: Version
    summary: str = ""


class AdoptionFile:
    """``adoption.json`` on disk."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        self._path = paths.adoption
        self._fs = fs

    def load(self) -> Adoption | None:
        """What is to be adopted; None when nothing is. One that cannot be read has to be said again.

        Raises:
            DiskTrouble: whether it is there cannot be told.
        """
        try:
            data = read_limited(self._path, MAX_ADOPTION_BYTES)
            fields = Fields(read_object(data, what="adoption", max_bytes=MAX_ADOPTION_BYTES), "adoption")
            version = Version.parse(fields.text("version", max_chars=64))
            return Adoption(version, summary=fields.text_or_none("summary", max_chars=1000) or "")
        except FileRefused as err:
            if isinstance(err.__cause__, OSError) and err.code != "file-missing":
                raise disk_trouble(err.__cause__) from err
            return None
        except PackagesError:
            return None

    def save(self, adoption: Adoption) -> None:
        """Write it, durably.

        Raises:
            DiskTrouble: it is not written.
        """
        try:
            values: dict[str, Json] = {"version": adoption.version.text, "summary": adoption.summary}
            self._fs.write_file(self._path, write_compact(values), mode=0o600)
        except OSError as err:
            raise disk_trouble(err) from err

    def drop(self) -> None:
        """Remove it: the engine is adopted, or cannot be.

        Raises:
            DiskTrouble: it is still there.
        """
        try:
            self._fs.remove_file(self._path)
            self._fs.sync_folder(self._path.parent)
        except OSError as err:
            raise disk_trouble(err) from err
