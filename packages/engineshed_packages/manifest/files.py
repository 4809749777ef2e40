"""The files of an engine package and the classes they fall into.

A pattern that ends with ``/`` means a folder and all below it (``conf/``). Any other is matched by
``fnmatch`` against the whole relative path, upper and lower case apart, where ``*`` also crosses ``/``
(``logs/*.log``, ``conf/*.toml``, ``*.pid``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from engineshed_packages.archive.names import MAX_NAME_CHARS, check_name
from engineshed_packages.digests import is_sha256
from engineshed_packages.errors import ArchiveRefused, ManifestRefused
from engineshed_packages.jsontext import Fields, Json

_MODE = re.compile(r"0[0-7]{3}", re.ASCII)


class FileClass(StrEnum):
    """Whose a file is.

    The first three stand in manifests; ``UNLISTED`` is a file in the engine's folder that no manifest
    and no pattern names.
    """

    SHIPPED = "shipped"  # the vendor's: hashed, replaced by every update
    KEPT = "kept"  # the customer's: goes along unchanged
    RUNTIME = "runtime"  # the engine's own: goes along, never hashed
    UNLISTED = "unlisted"


def check_pattern(pattern: str) -> str:
    """Return *pattern* when it can match relative paths.

    Raises:
        ManifestRefused: code ``manifest-pattern``.
    """
    parts = pattern.removesuffix("/").split("/")
    if "\\" in pattern or len(pattern) > MAX_NAME_CHARS or any(part in ("", ".", "..") for part in parts):
        raise ManifestRefused(
            "manifest-pattern",
            f"the pattern {pattern[:100]!r} is refused: expected a relative path with forward slashes, a "
            "folder with a slash at its end, or a pattern with * ? [ ]",
        )
    return pattern


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of *patterns* means the relative *path*."""
    return any(
        path.startswith(pattern) if pattern.endswith("/") else fnmatchcase(path, pattern)
        for pattern in patterns
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a package.

    Attributes:
        path: relative to the engine's folder, with forward slashes.
        mode: permission bits, 0 to 0o777.
        file_class: shipped, kept or runtime; a kept file in a package is the default of a new engine.
        extra: fields this version does not know.

    Raises:
        ManifestRefused: code ``manifest-unreadable``.
    """

    path: str
    sha256: str
    size_bytes: int
    mode: int
    file_class: FileClass
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        try:
            check_name(self.path)
        except ArchiveRefused as err:
            raise ManifestRefused("manifest-unreadable", f"manifest: {err}") from err
        good = is_sha256(self.sha256) and self.size_bytes >= 0 and not self.mode & ~0o777
        if not good or self.file_class is FileClass.UNLISTED:
            raise ManifestRefused(
                "manifest-unreadable",
                f"manifest: {self.path!r} has SHA-256 {self.sha256[:80]!r}, {self.size_bytes} bytes, mode "
                f"{self.mode:o} and class {self.file_class}: expected a file of class shipped, kept or "
                "runtime",
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> FileEntry:
        """Read one element of ``files``.

        Raises:
            ManifestRefused: code ``manifest-unreadable``.
        """
        fields = Fields(values, "manifest", refusal=ManifestRefused)
        path = fields.text("path", max_chars=MAX_NAME_CHARS)
        mode = fields.text("mode")
        if not _MODE.fullmatch(mode):
            raise fields.wrong("mode", "permission bits such as 0644")
        file_class = fields.text("class")
        if file_class not in FileClass._value2member_map_:
            raise fields.wrong("class", "shipped, kept or runtime")
        return cls(
            path=path,
            sha256=fields.sha256("sha256"),
            size_bytes=fields.integer("size"),
            mode=int(mode, 8),
            file_class=FileClass(file_class),
            extra=fields.rest(),
        )

    def to_dict(self) -> dict[str, Json]:
        """The element of ``files``."""
        return {
            **self.extra,
            "path": self.path,
            "sha256": self.sha256,
            "size": self.size_bytes,
            "mode": f"{self.mode:04o}",
            "class": self.file_class.value,
        }
