"""Versions: the text as the vendor writes it, ordered by one canonical key that both sides share.

The order is that of PEP 440 as ``packaging.version`` implements it: 2.9 < 2.10, 3.4.0rc1 < 3.4.0, and
3.4 and 3.4.0 are the same version. A text that cannot be ordered is refused when the vendor builds, so
that no portal and no engine ever has to guess.

``sort_key`` is the same order as a string: for a database column, for ``max()`` in SQL, for a file. It
uses digits and nothing else, so that no collation of any database can order it differently.

    Version.parse("2.10") > Version.parse("2.9")
    Version.parse("3.4") == Version.parse("3.4.0")
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache, total_ordering

from packaging.version import InvalidVersion
from packaging.version import Version as _Pep440

from engineshed_packages.errors import VersionUnreadable

MAX_VERSION_CHARS = 64
MAX_SORT_KEY_CHARS = 200

# Versions stand in paths and URLs. Checked before packaging sees the text: its pattern ignores case
# over all of Unicode and lets white space around the version pass.
_ALPHABET = re.compile(r"[A-Za-z0-9.!_-]+", re.ASCII)
_END_OF_RELEASE = "00"  # sorts below the length of any further component, so that 3.4 < 3.4.1
_PRE_RANKS = {"a": "1", "b": "2", "rc": "3"}


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One version.

    Equality, order and hash go by ``sort_key``: ``3.4`` and ``3.4.0`` are equal although their texts
    differ. Compare ``text`` where the spelling counts, as in a path.

    Attributes:
        text: as the vendor writes it, at most 64 ASCII characters, without a local part (``+…``).
        sort_key: at most 200 digits whose order as a string is the order of the versions.

    Raises:
        VersionUnreadable: code ``version-unreadable``.
    """

    text: str
    sort_key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # A frozen dataclass with slots has no other way to keep a derived value.
        object.__setattr__(self, "sort_key", _sort_key_of(self.text))

    @classmethod
    def parse(cls, text: object) -> Version:
        """Read *text*, which may be anything that came from outside.

        Raises:
            VersionUnreadable: code ``version-unreadable``.
        """
        if not isinstance(text, str):
            raise _unreadable(text)
        return cls(text)

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self.sort_key == other.sort_key

    def __lt__(self, other: Version) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self.sort_key < other.sort_key

    def __hash__(self) -> int:
        return hash(self.sort_key)


def _unreadable(found: object) -> VersionUnreadable:
    return VersionUnreadable(
        "version-unreadable",
        f"{str(found)[:80]!r} is no version that can be ordered: expected at most {MAX_VERSION_CHARS} ASCII "
        "characters such as 3.4.0, 3.4.0rc1 or 3.4.0.post1, without white space and without a +local part",
    )


@lru_cache(maxsize=1024)  # a fleet has few versions, and every poll names one
def _sort_key_of(text: str) -> str:
    return _sort_key(_read(text))


def _read(text: str) -> _Pep440:
    if len(text) > MAX_VERSION_CHARS or not _ALPHABET.fullmatch(text):
        raise _unreadable(text)
    try:
        return _Pep440(text)
    except InvalidVersion as err:
        raise _unreadable(text) from err


def _number(value: int) -> str:
    """A number with its count of digits before it: strings of these sort as the numbers do."""
    digits = str(value)
    return f"{len(digits):02d}{digits}"


def _sort_key(version: _Pep440) -> str:
    """Epoch, release without trailing zeros, pre, post, dev, in the order of PEP 440.

    Source: PEP 440, "Summary of permitted suffixes and relative ordering". A development release of the
    final version sorts before its first alpha, hence the lowest rank for "no pre, no post, but dev".
    """
    release = list(version.release)
    while release and release[-1] == 0:
        release.pop()
    if version.pre is not None:
        letter, count = version.pre
        pre = _PRE_RANKS[letter] + _number(count)
    else:
        pre = "0" if version.post is None and version.dev is not None else "4"
    post = "0" if version.post is None else "1" + _number(version.post)
    dev = "1" if version.dev is None else "0" + _number(version.dev)
    components = "".join(_number(part) for part in release)
    return f"{_number(version.epoch)}{components}{_END_OF_RELEASE}{pre}{post}{dev}"
