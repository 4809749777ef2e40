"""``enrol --adopt --version X``: an engine that was installed long ago joins without being installed anew."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from engineshed_client.adoption import Adoption, AdoptionFile
from engineshed_client.agent import Parts, connect
from engineshed_client.cli.frame import Frame
from engineshed_client.errors import (
    ClientError,
    ContentRefused,
    EnrolmentRefused,
    Refused,
    SettingsRefused,
)
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.steps.adopting import Adopted, adopt
from engineshed_client.steps.learning import PutOff
from engineshed_packages import exits
from engineshed_packages.errors import VersionUnreadable
from engineshed_packages.jsontext import Json
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)

SHOWN = 20  # of each kind, for people
MAX_LISTED = 1000  # of each kind, for programs; their numbers are told too


def wanted_version(frame: Frame) -> Version | None:
    """The version of the engine that is to be adopted; None when none is.

    Raises:
        SettingsRefused: --adopt without --version, or the other way round.
        Refused: code ``version-unreadable``.
    """
    adopts, text = frame.arguments.adopt, frame.arguments.adopted_version
    if adopts != (text is not None):
        raise SettingsRefused(["--adopt and --version X go together: X is the version that is installed"])
    if text is None:
        return None
    try:
        return Version.parse(text)
    except VersionUnreadable as err:
        raise Refused(err.code, err.message) from err


def is_begun(paths: Paths, version: Version) -> bool:
    """Whether the adoption of an engine of *version* was begun here, and has not ended."""
    known = AdoptionFile(paths, FsOps()).load()
    return known is not None and known.version == version


def run_adoption(frame: Frame, version: Version, joined: dict[str, Json], *lines: str) -> int:
    """Adopt the engine of a base that has joined; *joined* and *lines* say how it did, and are told as well.

    Raises:
        Refused: as ``adopt``; nothing was changed in the engine's folder.
    """
    parts = connect(frame.open_base())
    context, product = parts.context, parts.context.settings.product
    with frame.locked(context):
        pending = AdoptionFile(context.paths, context.fs)
        if not is_begun(context.paths, version):
            pending.save(Adoption(version))
        try:
            found = adopt(context, parts.portal, version)
        except (ContentRefused, EnrolmentRefused):
            raise  # the portal's trouble: it may pass
        except (Refused, SettingsRefused):
            pending.drop()
            raise
        if isinstance(found, Adopted):
            _report(parts)
    if isinstance(found, PutOff):
        frame.output.result(
            {**joined, "adopted": None, "code": found.code, "message": found.message},
            *lines,
            f"{product} {version} is not adopted yet: {found.message}",
            "the running updater (engineshed-client run) goes on with it by itself",
        )
        return exits.TRY_LATER
    frame.output.result(
        {**joined, "adopted": _values(found)},
        *lines,
        f"adopted {product} {version}: {found.summary}",
        *found.notes,
        *_differences(found),
    )
    return exits.DONE


def _report(parts: Parts) -> None:
    """Let the portal's admin see at once what differs here; else the running updater tells it."""
    try:
        parts.context.outbox.send(parts.portal)
    except ClientError as err:
        logger.info("report of the adoption waits", extra={"code": err.code})


def _values(adopted: Adopted) -> dict[str, Json]:
    found = adopted.found
    differences = None if found is None else found.differences
    known: Json = None
    if differences is not None:
        known = {
            "changed": {
                **_listed([one.path for one in differences.changed]),
                "how": {one.path: one.how for one in differences.changed[:MAX_LISTED]},
            },
            "missing": _listed(differences.missing),
            "extra": _listed(differences.extra),
        }
    return {
        "attempt": adopted.attempt,
        "version": adopted.version.text,
        "files": adopted.files,
        "message": adopted.summary,
        "unlisted": None if found is None else found.unlisted,
        "guide": None if found is None or found.guide is None else found.guide.text,
        "differences": known,
        "notes": list(adopted.notes),
    }


def _listed(paths: Sequence[str]) -> dict[str, Json]:
    return {"number": len(paths), "paths": list(paths[:MAX_LISTED])}


def _differences(adopted: Adopted) -> list[str]:
    """What differs, for people: some of each kind, and how many more there are."""
    found = None if adopted.found is None else adopted.found.differences
    if found is None:
        return []
    lines: list[str] = []
    for how, files in (("changed", found.changed), ("missing", found.missing), ("extra", found.extra)):
        lines += [f"  {how:<8} {file}" for file in files[:SHOWN]]
        if len(files) > SHOWN:
            lines.append(f"  {how:<8} … and {len(files) - SHOWN} more")
    return lines
