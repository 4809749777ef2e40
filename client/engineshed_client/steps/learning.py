"""What the vendor says of an engine that was installed long ago: its release's manifest, or the next best.

The manifest of the very version is fetched out of its package, a few kilobytes by range, and held against the
signed target. Where that version is not published, the nearest one tells how such an engine is started and
probed and which files are the customer's; without any, updater.toml has to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from engineshed_client.errors import ContentRefused, NotApproved, PortalUnavailable, client_boundary
from engineshed_client.fetch import Portal
from engineshed_client.install.inventory import Pattern
from engineshed_client.settings import Settings
from engineshed_client.steps.context import Context
from engineshed_packages.archive.first import HEAD_BYTES, find_first_entry
from engineshed_packages.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, ProbeSpec, StartSpec
from engineshed_packages.target import ANY, Target
from engineshed_packages.versions import Version

# A portal that has nothing of the vendor's yet, or nothing that is good still.
_NOTHING_PUBLISHED = frozenset({"metadata-missing", "metadata-expired"})
_NO_PROBE = ProbeSpec(tcp="127.0.0.1:9")  # replaced by the settings' own


@dataclass(frozen=True, slots=True)
class PutOff:
    """Not yet: *code* and *message* say what has to come first."""

    code: str
    message: str


def learn(context: Context, portal: Portal, version: Version) -> Pattern | PutOff:
    """After what the inventory of an engine of *version* is taken.

    Raises:
        ContentRefused: what the portal hands out is not what the vendor signed.
        SettingsRefused, DiskTrouble: as ``Portal.open_view``.
        EnrolmentRefused: as ``Portal.poll``.
    """
    settings = context.settings
    try:
        own = _own_targets(portal, settings)
        exact = [one for one in own if one.version == version]
        nearest = _nearest(own, version)
        release = fetch_manifest(portal, exact[0]) if exact else None
        guide = fetch_manifest(portal, nearest) if release is None and nearest is not None else None
    except (NotApproved, PortalUnavailable) as err:
        return PutOff(err.code, err.message)
    like = release or guide or _by_settings(settings, version)
    if like is None:
        return PutOff(
            "release-unknown",
            f"no release of {settings.product} is published on the portal, and updater.toml does not say how "
            "the engine is started and probed: publish one, or name start and a probe in section [engine]",
        )
    return Pattern(like=like, release=release, guide=guide, kept=settings.kept)


def _own_targets(portal: Portal, settings: Settings) -> Sequence[Target]:
    """Targets of this product and platform, the one made for the platform before the one for any."""
    try:
        targets = portal.open_view().targets
    except ContentRefused as err:
        if err.code not in _NOTHING_PUBLISHED:
            raise
        return ()
    own = (one for one in targets if one.product == settings.product and one.fits(settings.platform))
    return sorted(own, key=lambda one: one.platform == ANY)


def _nearest(own: Sequence[Target], version: Version) -> Target | None:
    """The oldest of the newer ones, else the newest of the older ones."""
    newer = [one for one in own if one.version > version]
    older = [one for one in own if one.version < version]
    if newer:
        return min(newer, key=lambda one: one.version)
    return max(older, key=lambda one: one.version, default=None)


def fetch_manifest(portal: Portal, target: Target) -> Manifest:
    """The manifest inside the package of *target*, and nothing else of it.

    Raises:
        PortalUnavailable, NotApproved, EnrolmentRefused: as ``Portal.read_part``.
        ContentRefused: it is not the one that was signed.
    """
    with client_boundary():
        head = portal.read_part(target, start=0, length=min(HEAD_BYTES, target.length_bytes))
        entry = find_first_entry(head)
        if entry.name != MANIFEST_NAME or entry.size_bytes > MAX_MANIFEST_BYTES:
            raise ContentRefused(
                "package-mismatch",
                f"{target.path} begins with {entry.name[:80]!r} of {entry.size_bytes} bytes, expected "
                f"{MANIFEST_NAME}",
            )
        end = entry.offset + entry.size_bytes
        if end > len(head):
            head += portal.read_part(target, start=len(head), length=end - len(head))
        data = head[entry.offset : end]
        if hashlib.sha256(data).hexdigest() != target.manifest_sha256:
            raise ContentRefused(
                "package-mismatch", f"the manifest in {target.path} is not the one the vendor signed"
            )
        return Manifest.from_bytes(data)


def _by_settings(settings: Settings, version: Version) -> Manifest | None:
    """A manifest of what updater.toml says alone; None when it says too little."""
    engine = settings.engine
    probes = (engine.probe_url, engine.probe_tcp, engine.probe_command)
    if engine.start is None or probes == (None, None, None):
        return None
    return Manifest(
        product=settings.product,
        version=version,
        platform=settings.platform,
        files=(),
        start=StartSpec(command=engine.start),
        probe=engine.probe_for(_NO_PROBE),
    )
