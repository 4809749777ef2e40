"""The first entry of an archive, found in its first bytes alone: what a package is need not cost the package.

``MANIFEST.json`` is the first entry of a package and is stored, so its content stands there as it is. Nothing
is judged here: whoever takes the content holds it against a signed digest.
"""

from __future__ import annotations

from dataclasses import dataclass

from engineshed_packages.archive.records import LOCAL, LOCAL_MARK, SATURATED_32, STORED, read_zip64_extra
from engineshed_packages.errors import ArchiveRefused

HEAD_BYTES = 64 * 1024  # a local header with the longest name, and the whole content of a small manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstEntry:
    """Where the content of the first entry stands, counted from the start of the archive."""

    name: str
    offset: int
    size_bytes: int


def find_first_entry(head: bytes) -> FirstEntry:
    """The first entry of the archive that begins with *head*.

    Raises:
        ArchiveRefused: codes ``archive-not-zip``, ``archive-truncated``, ``archive-not-stored``,
            ``archive-name-refused`` or ``archive-mismatch``.
    """
    if head[:4] != LOCAL_MARK:
        raise ArchiveRefused("archive-not-zip", "no entry of an archive stands at its beginning")
    if len(head) < LOCAL.size:
        raise ArchiveRefused("archive-truncated", "the archive ends in its first header")
    # fmt: off
    (_, _, _, method, _, _, _, packed_bytes, size_bytes, name_bytes, extra_bytes) = LOCAL.unpack_from(head)
    # fmt: on
    offset = LOCAL.size + name_bytes + extra_bytes
    if len(head) < offset:
        raise ArchiveRefused("archive-truncated", "the archive ends in its first header")
    if method != STORED:
        raise ArchiveRefused("archive-not-stored", "the first entry of the archive is compressed")
    extra = head[LOCAL.size + name_bytes : offset]
    if SATURATED_32 in (size_bytes, packed_bytes):
        numbers = read_zip64_extra(extra, [size_bytes, packed_bytes].count(SATURATED_32))
        if numbers is None:
            raise ArchiveRefused("archive-mismatch", "the first entry of the archive has no length")
        size_bytes = numbers[0]
    try:
        name = head[LOCAL.size : LOCAL.size + name_bytes].decode("utf-8")
    except UnicodeDecodeError as err:
        raise ArchiveRefused("archive-name-refused", "the first entry has a name that is not UTF-8") from err
    return FirstEntry(name=name, offset=offset, size_bytes=size_bytes)
