"""DOWNLOADING and VERIFYING: the package's bytes, and the proof that they are the vendor's."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from engineshed_client.errors import DiskTrouble, PortalUnavailable, Refused
from engineshed_client.fsops import find_stat
from engineshed_client.journal import Journal
from engineshed_client.steps.context import Context, Event, Result, Word
from engineshed_client.throttle import Received
from engineshed_packages.archive import open_archive
from engineshed_packages.digests import sha256_file
from engineshed_packages.errors import ContentMismatch
from engineshed_packages.manifest import check_package
from engineshed_packages.sources import TARGETS_FOLDER, ZipSource
from engineshed_packages.target import Target

logger = logging.getLogger(__name__)

MAX_TRIES = 20
# Bytes that arrive whole and wrong are fetched again only so early: a bad portal costs three packages.
MAX_WRONG_TRIES = 3
# A line that breaks again and again may cost as much as that, and no more.
MAX_TIMES_RECEIVED = 3
# In tenths: the package, its unpacked tree, and half as much again for what the customer adds.
_SPACE_TENTHS = 25


def target_of(journal: Journal) -> Target:
    """The package of an attempt that has one.

    Raises:
        Refused: code ``journal-senseless``: the attempt goes to a kept version.
    """
    if journal.goal.target is None:
        raise Refused("journal-senseless", f"{journal.state} needs a package, the journal names none")
    return journal.goal.target


def downloading(context: Context, journal: Journal) -> Result:
    """Fetch the package into its ``.part``, going on where an earlier try ended."""
    target = target_of(journal)
    part = context.paths.part(target.sha256)
    if journal.tries >= MAX_TRIES:
        raise Refused(
            "too-many-tries", f"{target.path} was not fetched in {MAX_TRIES} tries: {journal.message}"
        )
    context.fs.make_folder(part.parent, mode=0o700)
    there = find_stat(part)
    at = 0 if there is None else there.st_size
    _check_space(context, target, at)
    if journal.tries:
        _check_offered(context, target)
        _check_ordered(context, journal)
    journal = context.save(replace(journal, tries=journal.tries + 1))
    if journal.bundle is not None:
        _copy_from_bundle(context, target, Path(journal.bundle))
        return Event.DONE, journal
    if context.portal is None:
        return Event.WAIT, journal
    received = Received(at, context.progress)

    def arrived(position: int, total: int) -> None:
        received(position, total)
        _check_cost(target, journal.received_bytes + received.number)

    try:
        context.portal.download(target, part, progress=arrived)
    except PortalUnavailable as err:
        context.log.event(journal.attempt, "RETRY", code=err.code, message=err.message)
        # Not counted among the writes: each goes with a try, which was counted.
        context.journals.save(_with_received(journal, received))
        return Event.WAIT, journal
    return Event.DONE, _with_received(journal, received)


def _check_cost(target: Target, received_bytes: int) -> None:
    if received_bytes > MAX_TIMES_RECEIVED * target.length_bytes:
        raise Refused(
            "too-many-bytes",
            f"{target.path} of {target.length_bytes} bytes has cost {received_bytes} and is not whole yet: "
            "mend the line to the portal, or install a bundle",
        )


def _with_received(journal: Journal, received: Received) -> Journal:
    return replace(journal, received_bytes=journal.received_bytes + received.number)


def space_for(disk_bytes: int) -> int:
    """What must be free for a release that takes *disk_bytes*."""
    return disk_bytes * _SPACE_TENTHS // 10


def _check_space(context: Context, target: Target, there_bytes: int) -> None:
    needed = space_for(target.disk_bytes) - there_bytes
    free = context.fs.free_bytes(context.paths.work)
    if free < needed:
        raise DiskTrouble(
            "disk-full",
            f"{context.paths.work} has {free} bytes free, {target.version} needs {needed}: make room",
        )


def _check_offered(context: Context, target: Target) -> None:
    """An interrupted download goes on only while the vendor still offers the release."""
    if context.portal is None:
        return
    try:
        now = context.portal.open_view().find(target.path)
    except PortalUnavailable:
        return  # the download itself will tell
    if now is not None and now.withdrawn:
        raise Refused("withdrawn", now.withdrawal)
    if now is None or now.sha256 != target.sha256:
        raise Refused("withdrawn", f"the vendor does not offer {target.product} {target.version} any more")


def _check_ordered(context: Context, journal: Journal) -> None:
    """Nor does it go on for an order that was cancelled, stopped or superseded meanwhile."""
    if journal.order is None or context.gate is None:
        return
    try:
        clearance = context.gate.ask(journal, context.now())
    except PortalUnavailable:
        return  # the download itself will tell
    if clearance.word is Word.CANCEL:
        raise Refused(clearance.code, clearance.message)


def _copy_from_bundle(context: Context, target: Target, bundle: Path) -> None:
    part = context.paths.part(target.sha256)
    context.fs.remove_file(part)
    name = f"{TARGETS_FOLDER}/{target.download_name}"
    done = 0
    with (
        open_archive(bundle) as archive,
        ZipSource(archive).open(name, max_bytes=target.length_bytes) as pieces,
        context.fs.open_new(part, mode=0o600) as file,
    ):
        for piece in pieces:
            file.write(piece)
            done += len(piece)
            context.progress(done, target.length_bytes)


def verifying(context: Context, journal: Journal) -> Result:
    """Hold length and SHA-256 against the vendor's signed target, and the manifest inside as well."""
    target = target_of(journal)
    part = context.paths.part(target.sha256)
    with context.fs.open_update(part) as file:
        file.sync()
    try:
        check_bytes(target, part)
    except ContentMismatch as err:
        context.fs.remove_file(part)
        if journal.bundle is not None or journal.tries >= MAX_WRONG_TRIES:
            raise
        context.log.event(journal.attempt, "RETRY", code=err.code, message=err.message)
        return Event.AGAIN, journal
    context.fs.sync_folder(part.parent)
    with open_archive(part) as archive:
        check_package(archive, target)
    return Event.DONE, journal


def check_bytes(target: Target, part: Path) -> None:
    """Pass a file that holds the very bytes which the vendor signed as *target*.

    Raises:
        ContentMismatch: codes ``content-length``, ``content-sha256``.
    """
    length = part.stat().st_size
    if length != target.length_bytes:
        raise ContentMismatch(
            "content-length", f"{target.path} has {length} bytes, the vendor signed {target.length_bytes}"
        )
    found = sha256_file(part)
    if found != target.sha256:
        raise ContentMismatch(
            "content-sha256", f"{target.path} has SHA-256 {found}, the vendor signed {target.sha256}"
        )
