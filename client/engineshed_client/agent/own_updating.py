"""The updater's own update: a newer version side by side, tried out, started by the launcher, or taken back.

Until the launcher is told, nothing has happened: an interrupted download or test is done again for the
same order. From then on ``own.json`` tells whichever version is started what is under way. The new one is up
once it has heard from the portal; the one before knows that it is not when the launcher starts it instead.
Each end has its line in update.log and one report, whose attempt id is derived from the order.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engineshed_client.errors import EnrolmentRefused, PortalUnavailable, Refused, TryLater
from engineshed_client.fetch import Portal
from engineshed_client.fsops import find_stat
from engineshed_client.own import PROGRAM, Change, LaunchedAs, OwnFile, OwnState, UpdaterFolder
from engineshed_client.own.folder import LAUNCHER_ENV, name_of
from engineshed_client.own.record import OwnUnreadable
from engineshed_client.steps.context import TROUBLE, Context, fault_of
from engineshed_client.steps.fetching import check_bytes
from engineshed_packages import exits
from engineshed_packages.archive import open_archive
from engineshed_packages.digests import sha256_file
from engineshed_packages.errors import ContentMismatch, PackagesError
from engineshed_packages.ids import derived_id
from engineshed_packages.jsontext import escape_controls
from engineshed_packages.manifest import check_contents, check_package
from engineshed_packages.orders import Order
from engineshed_packages.protocol import Outcome, Report, Step
from engineshed_packages.target import UPDATER_PRODUCT, Target
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)

MAX_PROGRAM_BYTES = 16 * 1024 * 1024
SELF_TEST_S = 180
ENDED = "SELF-UPDATE"  # its line in update.log
_SHOWN_CHARS = 600  # of what a failed test says
_LATER = frozenset({exits.UNREACHABLE, exits.TRY_LATER})


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an own update ended on this host."""

    outcome: Outcome
    code: str
    message: str
    attempt: str


def turn_alarm_off() -> None:
    """Turn off the launcher's alarm, which would end a start that hangs."""
    if sys.platform != "win32":
        signal.alarm(0)


class OwnUpdate:
    """The own update in one process.

    Args:
        launched: how the launcher started it; it must have.
        version: of the code that runs.
        alarm_off: turns off the launcher's alarm, which would end a start that hangs.
    """

    def __init__(
        self, launched: LaunchedAs, version: Version, *, alarm_off: Callable[[], None] = turn_alarm_off
    ) -> None:
        self.launched = launched
        self.version = version
        self.alarm_off = alarm_off
        self._settled = False
        self._switched = False
        self._confirmed = False
        self._came_up = False

    def is_on_trial(self, context: Context) -> bool:
        """Whether this version is new here and has not come up yet.

        Raises:
            DiskTrouble: it cannot be told.
        """
        try:
            change = OwnFile(context.paths, context.fs).load()
        except OwnUnreadable:
            return False
        return change is not None and self._is_goal(change) and change.state is OwnState.SWITCHING

    def _is_goal(self, change: Change) -> bool:
        return self.launched.name == change.goal.text

    # what an earlier process left

    def settle(self, context: Context) -> bool:
        """Put right what an earlier process left; true when the launcher has to choose once more.

        Raises:
            DiskTrouble: it is tried again.
        """
        if self._settled:
            return False
        file, folder = OwnFile(context.paths, context.fs), UpdaterFolder(context.paths, context.fs)
        try:
            change = file.load()
        except OwnUnreadable as err:
            logger.error("change of the updater unreadable, set aside", extra={"reason": err.message})
            file.set_aside()
            change = None
        again = False
        if change is None:
            self._keep(folder)
        elif change.state is OwnState.ROLLING_BACK:
            again = self._go_back(context, change)
        elif not self._is_goal(change):
            if self._switched or folder.current != change.goal.text:
                again = self._switch(context, change)  # it had not been done
            else:
                again = self._go_back(context, change)  # the launcher has gone back
        self._settled = not again
        return again

    def _keep(self, folder: UpdaterFolder) -> None:
        """Without a change under way the version that was started is the one that stays."""
        if folder.current != self.launched.name:
            logger.error("launcher went back", extra={"from": folder.current, "to": self.launched.name})
            folder.go_back(self.launched.name, previous=None)

    def _go_back(self, context: Context, change: Change) -> bool:
        file, folder = OwnFile(context.paths, context.fs), UpdaterFolder(context.paths, context.fs)
        if change.state is not OwnState.ROLLING_BACK:
            change = change.moved(OwnState.ROLLING_BACK, context.now())
            file.save(change)
        folder.go_back(change.name, previous=change.previous)
        if self.launched.name != change.name:
            return True  # the one before tells of it
        message = f"updater {change.goal} did not come up, {change.origin} was started again"
        _skip(context, change.goal, change.sha256)
        folder.prune()
        self._end(context, change, Outcome.ROLLED_BACK, "updater-not-up", message)
        file.drop()
        return False

    # a new one

    def update(self, context: Context, portal: Portal, order: Order, target: Target) -> End | None:
        """Carry out an accepted *order*; None when the launcher has been told to start the new version.

        Raises:
            TryLater, EnrolmentRefused: nothing has happened; the same order is carried out again.
        """
        change = self._change(context, order, target)
        folder = UpdaterFolder(context.paths, context.fs)
        try:
            name = name_of(target.version)
            data = _fetch(context, portal, target)
            if _holds(folder.program(name), data):
                prove_program(context, folder.program(name), target.version)
            else:
                prove_program(context, folder.stage(data), target.version)
                folder.place(name)
        except (TryLater, EnrolmentRefused):
            raise
        except TROUBLE as err:
            code, message = fault_of(err)
            if code == "self-test-failed":
                _skip(context, target.version, target.sha256)
            return self._end(context, change, Outcome.ABORTED, code, message)
        self._switch(context, change)
        return None

    def _change(self, context: Context, order: Order, target: Target) -> Change:
        folder = UpdaterFolder(context.paths, context.fs)
        return Change(
            attempt=derived_id("att", order.id, UPDATER_PRODUCT),
            state=OwnState.SWITCHING,
            origin=self.version,
            goal=target.version,
            sha256=target.sha256,
            order_id=order.id,
            seq=order.seq,
            started=context.now(),
            name=self.launched.name,
            previous=folder.previous,
        )

    def _switch(self, context: Context, change: Change) -> bool:
        self._settled, self._switched = False, True
        OwnFile(context.paths, context.fs).save(change.moved(OwnState.SWITCHING, context.now()))
        folder = UpdaterFolder(context.paths, context.fs)
        folder.try_out(change.goal.text, instead_of=change.name)
        return True

    def confirm(self, context: Context) -> End | None:
        """This version has heard from its portal: it stays. None when that was known.

        Raises:
            DiskTrouble: it is told again.
        """
        if self._confirmed:
            return None
        folder, file = UpdaterFolder(context.paths, context.fs), OwnFile(context.paths, context.fs)
        change = file.load()
        self._confirmed = True
        if change is None or not self._is_goal(change) or change.state is not OwnState.SWITCHING:
            return None
        self._confirmed = False
        folder.came_up(self.launched.name)
        folder.prune()
        end = self._end(context, change, Outcome.OK, "ok", "")
        file.drop()
        self._confirmed = True
        return end

    def came_up(self, context: Context) -> None:
        """This version works, though its portal does not: the launcher's count of its starts begins anew.

        Raises:
            DiskTrouble: it may go on.
        """
        if not self._came_up:
            UpdaterFolder(context.paths, context.fs).came_up(self.launched.name)
            self._came_up = True

    def _end(self, context: Context, change: Change, outcome: Outcome, code: str, message: str) -> End:
        """One line in update.log, one report.

        Raises:
            DiskTrouble: the report could not be stored.
        """
        now = context.now()
        if not any(line.attempt == change.attempt and line.event == ENDED for line in context.log.read()):
            context.log.event(
                change.attempt,
                ENDED,
                outcome=outcome,
                code=code,
                **{"from": change.origin, "to": change.goal},
                order=change.order_id,
                message=message or None,
            )
        if context.engine_id is not None:
            context.outbox.put(self._report(context, change, outcome, code, message, now))
        seen = context.seen.load()
        context.seen.save(seen.with_answered(change.order_id))
        return End(outcome=outcome, code=code, message=message, attempt=change.attempt)

    def _report(
        self, context: Context, change: Change, outcome: Outcome, code: str, message: str, now: datetime
    ) -> Report:
        assert context.engine_id is not None  # asked before
        steps = (*change.steps, Step(state=outcome.value, at=now))
        return Report(
            attempt=change.attempt,
            engine=context.engine_id,
            product=UPDATER_PRODUCT,
            kind="update",
            outcome=outcome,
            code=code,
            message=escape_controls(message)[:2000],
            from_version=change.origin,
            to_version=change.goal,
            version=self.version,
            started=change.started,
            ended=now,
            updater_version=context.updater_version,
            probed=outcome is Outcome.OK,
            order=change.order_id,
            seq=change.seq,
            sha256=change.sha256,
            steps=steps,
            update_log=context.log.lines(change.attempt),
        )


def _skip(context: Context, version: Version, sha256: str) -> None:
    """It is not tried again here until an order says so."""
    context.seen.save(context.seen.load().with_skipped(version, sha256))


def _fetch(context: Context, portal: Portal, target: Target) -> bytes:
    """The single file in the package of *target*, proven to be the vendor's.

    Raises:
        PortalUnavailable: what arrived is kept.
        ContentMismatch, ManifestRefused, ArchiveRefused, Refused: it is not.
    """
    part = context.paths.part(target.sha256)
    context.fs.make_folder(part.parent, mode=0o700)
    portal.download(target, part, progress=context.progress)
    try:
        check_bytes(target, part)
        with open_archive(part) as archive:
            manifest = check_package(archive, target)
            check_contents(archive, manifest)
            if manifest.find(PROGRAM) is None:
                raise Refused("package-mismatch", f"{target.path} holds no {PROGRAM}: it is no updater")
            data = archive.read(PROGRAM, max_bytes=MAX_PROGRAM_BYTES)
    except ContentMismatch:
        context.fs.remove_file(part)
        raise
    context.fs.remove_file(part)
    return data


def _holds(path: Path, data: bytes) -> bool:
    """Whether the file *path* is there and holds *data*."""
    found = find_stat(path)
    return found is not None and found.st_size == len(data) and path.read_bytes() == data


def prove_program(context: Context, program: Path, version: Version) -> None:
    """Let the version in *program* read all this base holds, and speak to the portal.

    Raises:
        PortalUnavailable: code ``self-test-later``: it could not reach the portal now.
        Refused: code ``self-test-failed``.
    """
    words = [sys.executable, "-I", "-S", str(program), "--base", str(context.paths.base)]
    environment = {name: value for name, value in os.environ.items() if name != LAUNCHER_ENV}
    logger.info("self-test of an updater", extra={"version": version.text, "sha256": sha256_file(program)})
    try:
        done = subprocess.run(
            [*words, "--json", "self-test"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SELF_TEST_S,
            env=environment,
            cwd=context.paths.base,
        )
    except subprocess.TimeoutExpired as err:
        raise _failed(version, f"it did not end within {SELF_TEST_S} s") from err
    said = done.stderr.decode("utf-8", "replace").strip()[-_SHOWN_CHARS:]
    if done.returncode in _LATER:
        raise PortalUnavailable("self-test-later", f"updater {version} could not be tested now: {said}")
    if done.returncode != 0:
        raise _failed(version, f"it ended with {done.returncode}: {said}")
    if _version_in(done.stdout) != version:
        raise _failed(version, f"it says {done.stdout[:100]!r}, expected its version")


def _version_in(output: bytes) -> Version | None:
    try:
        return Version.parse(json.loads(output)["version"])
    except (PackagesError, ValueError, KeyError, TypeError):
        return None


def _failed(version: Version, how: str) -> Refused:
    return Refused("self-test-failed", f"updater {version} failed its self-test here: {how}")
