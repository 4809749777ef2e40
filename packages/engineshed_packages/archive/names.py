"""Which names an entry of an archive may have: the same on every system, whoever reads it.

A name that is harmless on Linux and something else on Windows (a device, a stream, a drive, a folder in
other letters) is refused on both. Otherwise a package that was verified here would mean something else
there. The rules hold for writing too: what cannot be read is never written.

Sources: Microsoft, "Naming Files, Paths, and Namespaces"; Unicode Standard Annex 15 (NFC); CVE-2021-42574
for characters that turn the direction of text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from engineshed_packages.errors import ArchiveRefused

MAX_NAME_CHARS = 240
# File systems count bytes: 255 on ext4 and XFS, less what a temporary suffix needs.
MAX_PART_BYTES = 240

_FORBIDDEN = frozenset('\\:*?"<>|')
_RESERVED = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"}
    | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"}
)
# Control, format (direction marks, zero width), surrogate, private use, line and paragraph separator.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Sorts below every character a name may have: joined parts then sort as the tuples of parts would.
_PART_END = "\0"


def check_name(name: str) -> str:
    """Return *name* when it is a relative path of a file that means the same everywhere.

    Raises:
        ArchiveRefused: code ``archive-name-refused``.
    """
    fault = _fault_of_name(name)
    if fault is not None:
        raise ArchiveRefused(
            "archive-name-refused",
            f"the entry name {name[:300]!a} is refused: {fault}; expected a relative path with forward "
            f"slashes, at most {MAX_NAME_CHARS} characters, that is valid on Linux and on Windows",
        )
    return name


def _fault_of_name(name: str) -> str | None:
    if len(name) > MAX_NAME_CHARS:
        return f"it has {len(name)} characters"
    for character in name:
        if character in _FORBIDDEN:
            return f"it contains {character!r}"
        if not character.isprintable() and unicodedata.category(character) in _FORBIDDEN_CATEGORIES:
            return f"it contains the invisible character U+{ord(character):04X}"
    if name.startswith("/"):
        return "it is absolute"
    if name.endswith("/"):
        return "it names a folder, and only files are entries"
    for part in name.split("/"):
        fault = _fault_of_part(part)
        if fault is not None:
            return fault
    return None


def _fault_of_part(part: str) -> str | None:
    if not part:
        return "it is empty or contains an empty part"
    if part in (".", ".."):
        return f"it contains the part {part!r}"
    if part[-1] in ". ":
        return f"its part {part!r} ends with a dot or a space, which Windows drops"
    if len(part.encode("utf-8")) > MAX_PART_BYTES:
        return f"its part {part[:40]!r}… has more than {MAX_PART_BYTES} bytes"
    # Windows takes NUL, nul.txt and "NUL .txt" for the device.
    if part.partition(".")[0].rstrip(" ").upper() in _RESERVED:
        return f"its part {part!r} is a device on Windows"
    return None


def check_names(names: Iterable[str]) -> None:
    """Refuse *names* of which two would meet in one file on some system.

    That is: the same name twice; names (or the folders in them) that differ by case or by Unicode
    normalisation only; a name that is a file here and a folder there.

    Raises:
        ArchiveRefused: code ``archive-duplicate``.
    """
    # Sorted by folded parts, all names that share a folder stand together, and a file stands right
    # before what claims it as a folder: comparing neighbours compares all. No set of all folders is
    # needed, which a hostile directory of deep names could blow up.
    folded = sorted((_fold(name), name) for name in names)
    for (first_fold, first), (second_fold, second) in pairwise(folded):
        if _meet(first_fold, first, second_fold, second):
            raise ArchiveRefused(
                "archive-duplicate",
                f"the entries {first!a} and {second!a} would be one file or folder on some system: every "
                "name must stand once, also when case and Unicode normalisation do not count",
            )


def _fold(name: str) -> str:
    parts = (unicodedata.normalize("NFC", part).casefold() for part in name.split("/"))
    return _PART_END.join(unicodedata.normalize("NFC", part) for part in parts)


def _meet(first_fold: str, first: str, second_fold: str, second: str) -> bool:
    """Whether two neighbours of the sorted names are one file, file and folder, or spell a folder twice."""
    first_keys, second_keys = first_fold.split(_PART_END), second_fold.split(_PART_END)
    if second_keys[: len(first_keys)] == first_keys:
        return True
    spelled = zip(first.split("/"), second.split("/"), strict=False)
    for key, other_key, (part, other_part) in zip(first_keys, second_keys, spelled, strict=False):
        if key != other_key:
            return False
        if part != other_part:
            return True
    return False
