"""The names around a package: products, platforms, channels, and the paths of the TUF repository.

These are rules without state. ``target`` hands them on, so that whoever has a target has its names too.
"""

from __future__ import annotations

import platform as _host
import re
import sys

from engineshed_packages.errors import TargetRefused
from engineshed_packages.versions import Version

ANY = "any"
PLATFORMS = ("linux-x86_64", "windows-x86_64", ANY)

UPDATER_PRODUCT = "engineshed-client"  # the updater itself, which is released like any engine
PRODUCT_PATTERN = r"[a-z](?:[a-z0-9-]{0,62}[a-z0-9])?"
_PRODUCT = re.compile(PRODUCT_PATTERN, re.ASCII)
CHANNEL_PATTERN = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_CHANNEL = re.compile(CHANNEL_PATTERN, re.ASCII)
_MACHINES = frozenset({"x86_64", "amd64"})
# A product is a folder, a file name and a TUF role: names that mean something else to Windows or to TUF
# are nobody's product.
_TAKEN = re.compile(r"root|targets|snapshot|timestamp|online|con|prn|aux|nul|(?:com|lpt)[0-9]", re.ASCII)


def check_product(text: str) -> str:
    """Return *text* when it can name a product: 1 to 64 of a-z, 0-9 and inner hyphens, a letter first.

    Raises:
        TargetRefused: code ``product-name``.
    """
    if not _PRODUCT.fullmatch(text) or _TAKEN.fullmatch(text):
        raise TargetRefused(
            "product-name",
            f"{text[:80]!r} cannot name a product: expected 1 to 64 characters a-z, 0-9 and inner hyphens, a "
            "letter first, and none of the names Windows or TUF keep for themselves (con, root, targets, …)",
        )
    return text


def check_platform(text: str) -> str:
    """Return *text* when it is one of ``PLATFORMS``.

    Raises:
        TargetRefused: code ``platform-unknown``.
    """
    if text not in PLATFORMS:
        raise TargetRefused(
            "platform-unknown", f"{text[:80]!r} is no platform: expected one of {', '.join(PLATFORMS)}"
        )
    return text


def check_channel(text: str) -> str:
    """Return *text* when it can name a channel: 1 to 64 of a-z, 0-9 and inner ``. _ -``.

    Raises:
        TargetRefused: code ``channel-name``.
    """
    if not _CHANNEL.fullmatch(text):
        raise TargetRefused(
            "channel-name",
            f"{text[:80]!r} cannot name a channel: expected 1 to 64 characters a-z, 0-9 and inner . _ -",
        )
    return text


def host_platform() -> str:
    """The platform of this host; ``any`` on one nobody builds for: only packages for any fit there."""
    if _host.machine().lower() in _MACHINES:
        if sys.platform == "linux":
            return "linux-x86_64"
        if sys.platform == "win32":
            return "windows-x86_64"
    return ANY


def package_name(product: str, version: Version, platform: str) -> str:
    """File name of a package: ``<product>-<version>-<platform>.zip``.

    Raises:
        TargetRefused: *product* or *platform* is none.
    """
    return f"{check_product(product)}-{version.text}-{check_platform(platform)}.zip"


def target_path(product: str, version: Version, platform: str) -> str:
    """Path of a package in the TUF repository: ``<product>/<version>/<product>-<version>-<platform>.zip``.

    Raises:
        TargetRefused: *product* or *platform* is none.
    """
    return f"{product}/{version.text}/{package_name(product, version, platform)}"


def notes_path(product: str, version: Version) -> str:
    """Path of a version's notes: ``<product>/<version>/<product>-<version>-notes.json``.

    Raises:
        TargetRefused: *product* is none.
    """
    return f"{check_product(product)}/{version.text}/{product}-{version.text}-notes.json"


def check_notes_path(path: str) -> str:
    """Return *path* when ``notes_path`` gives it for some version.

    Raises:
        TargetRefused: code ``target-path-mismatch``, or as ``notes_path``.
        VersionUnreadable: its version is none.
    """
    product, _, rest = path.partition("/")
    expected = notes_path(product, Version.parse(rest.partition("/")[0]))
    if path != expected:
        raise TargetRefused(
            "target-path-mismatch",
            f"the target {path[:200]!r} says nothing of itself, as only notes do: expected {expected!r}",
        )
    return path


def consistent_name(path: str, sha256: str) -> str:
    """Where a repository with consistent snapshots keeps the target *path*: the digest before the file name.

    Source: The Update Framework specification 1.0.33, section 6.2.
    """
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{sha256}.{name}"
