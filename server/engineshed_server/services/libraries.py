"""The libraries this portal runs on, as they are installed: names, versions, licences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.metadata import PackageMetadata, PackageNotFoundError

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_OURS = "engineshed"
_EXTRAS = frozenset({"server", "sign", "postgres", "mariadb"})  # what of it a portal may have
_MAX_LICENCE_CHARS = 80  # some write the whole text into the field for its name
_CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library; *licence* as it says itself, None when it does not."""

    name: str
    version: str
    licence: str | None


@cache
def installed_libraries() -> tuple[Library, ...]:
    """All that the portal needs, and what they need, by name; read once in a process."""
    found: dict[str, Library] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(_OURS, _EXTRAS)]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            distribution = metadata.distribution(name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed
        if name != _OURS:
            found[name] = _library(distribution.metadata, version=distribution.version)
        waiting += _needed(distribution.requires or [], extras)
    return tuple(library for _, library in sorted(found.items()))


def _needed(requires: list[str], extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    needed: list[tuple[str, frozenset[str]]] = []
    for text in requires:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue  # of a library that wrote it so; pip has warned
        marker = wanted.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            needed.append((canonicalize_name(wanted.name), frozenset(wanted.extras)))
    return needed


def _library(told: PackageMetadata, *, version: str) -> Library:
    names = told.get_all("License-Expression") or told.get_all("License") or []
    licence = next((name.strip() for name in names if 0 < len(name.strip()) <= _MAX_LICENCE_CHARS), None)
    if licence is None or licence == "UNKNOWN":
        classifiers = told.get_all("Classifier") or []
        classes = [one.removeprefix(_CLASSIFIER) for one in classifiers if one.startswith(_CLASSIFIER)]
        licence = ", ".join(classes) or None
    return Library(name=told["Name"], version=version, licence=licence)
