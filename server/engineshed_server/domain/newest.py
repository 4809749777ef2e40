"""The newest release for an engine, and whether the engine is behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engineshed_packages.errors import VersionUnreadable
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from engineshed_server.domain.decide import Candidate
from engineshed_server.domain.engine_lists import Behind, Installed, Kind

Candidates = Mapping[str, Sequence[Candidate]]


def newest_for(candidates: Iterable[Candidate], *, platform: str, channel: str) -> Target | None:
    """The newest of its product's *candidates* that such an engine gets by itself, when nothing else stands
    in the way of that one engine: neither withdrawn nor on hold, automatic, and not below the floor."""
    fitting = [
        one.target
        for one in candidates
        if one.target.fits(platform)
        and one.target.channel == channel
        and one.target.mode == "automatic"
        and not (one.target.withdrawn or one.held)
        and (one.floor is None or one.target.version >= one.floor)
    ]
    return max(fitting, key=lambda target: target.version, default=None)


def is_behind(version: str | None, newest: Target | None) -> bool:
    """Whether an engine with *version* is older than the *newest* for it; one without any engine is too."""
    if newest is None:
        return False
    found = parsed(version)
    return found is None or found < newest.version


def list_behind(installed: Iterable[Installed], candidates: Candidates) -> tuple[Behind, ...]:
    """Of each kind of engine the versions that are behind; kinds without such are left out."""
    versions: dict[Kind, set[str | None]] = {}
    for one in installed:
        versions.setdefault(one.kind, set()).add(one.version)
    found = []
    for kind, known in versions.items():
        newest = newest_of(kind, candidates)
        behind = tuple(version for version in known if is_behind(version, newest))
        if behind:
            found.append(Behind(kind=kind, versions=behind))
    return tuple(found)


def newest_of(kind: Kind, candidates: Candidates) -> Target | None:
    """The newest release for engines of that kind."""
    return newest_for(candidates.get(kind.product, ()), platform=kind.platform, channel=kind.channel)


def parsed(version: str | None) -> Version | None:
    """*version* as one that can be compared, None when it cannot."""
    try:
        return None if version is None else Version.parse(version)
    except VersionUnreadable:
        return None


def rank(versions: Iterable[str | None]) -> tuple[str, ...]:
    """The versions there are, the oldest first."""
    known = {version: parsed(version) for version in versions}
    readable = [(found, text) for text, found in known.items() if found is not None and text is not None]
    return tuple(text for _, text in sorted(readable))
