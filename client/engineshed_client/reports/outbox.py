"""The outbox: one file per attempt, sent oldest first, removed only when the portal acknowledged it.

A report is put here before the journal is dropped, so that the portal gets exactly one final report per
attempt, sooner or later: a file written twice has the same name, and the portal counts by attempt. What
the portal will never take is set aside as ``….refused`` with a line in the log and not tried again.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from engineshed_client.errors import EnrolmentRefused, NotApproved, Refused, disk_trouble
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_packages.errors import PackagesError
from engineshed_packages.files import read_limited
from engineshed_packages.protocol import MAX_REPORT_BYTES, Report

logger = logging.getLogger(__name__)

MAX_REFUSED = 10  # set aside for people; the oldest go first
_NAME = re.compile(r"(\d{8})-(att_[a-z2-7]{20})\.json", re.ASCII)
_REFUSED_SUFFIX = ".refused"


class ReportSink(Protocol):
    """Where reports go: the portal."""

    def send_report(self, report: Report) -> None:
        """Return when the report was acknowledged.

        Raises:
            EnrolmentRefused: this engine may not speak to the portal any more.
            NotApproved: not before the portal's admin has approved this engine.
            Refused: this report will never be taken.
            PortalUnavailable: later.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the reports: how many were acknowledged, and how many set aside."""

    acknowledged: int
    refused: int


class Outbox:
    """The reports of one base that the portal has not acknowledged."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        self._folder = paths.outbox
        self._fs = fs

    def put(self, report: Report) -> None:
        """Store *report*, in place of an earlier one of the same attempt.

        Raises:
            DiskTrouble: it is not stored.
        """
        try:
            waiting = self._waiting()
            same = [path for path in waiting if path.name[9:].startswith(report.attempt)]
            number = 1 + max((int(path.name[:8]) for path in waiting), default=0)
            path = same[0] if same else self._folder / f"{number:08}-{report.attempt}.json"
            self._fs.make_folder(self._folder, mode=0o700)
            self._fs.write_file(path, _fitting(report), mode=0o600)
        except OSError as err:
            raise disk_trouble(err) from err

    def waiting(self) -> int:
        """How many reports wait.

        Raises:
            DiskTrouble: the folder cannot be read.
        """
        try:
            return len(self._waiting())
        except OSError as err:
            raise disk_trouble(err) from err

    def send(self, sink: ReportSink) -> Sent:
        """Send what waits, oldest first, until all is sent or the portal cannot be reached.

        While the portal's admin has not approved the engine, all of it goes on waiting.

        Raises:
            EnrolmentRefused, PortalUnavailable: the rest waits.
            DiskTrouble: the folder cannot be read or a file not be removed.
        """
        acknowledged = refused = 0
        try:
            for path in self._waiting():
                try:
                    sink.send_report(Report.from_bytes(read_limited(path, MAX_REPORT_BYTES)))
                except EnrolmentRefused:
                    raise
                except NotApproved as err:
                    logger.info("reports wait for approval", extra={"code": err.code})
                    break
                except (Refused, PackagesError) as err:
                    logger.error("report refused", extra={"report": path.name, "code": err.code})
                    self._set_aside(path)
                    refused += 1
                    continue
                self._fs.remove_file(path)
                self._fs.sync_folder(self._folder)
                acknowledged += 1
        except OSError as err:
            raise disk_trouble(err) from err
        return Sent(acknowledged, refused)

    def _waiting(self) -> list[Path]:
        try:
            return sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        except FileNotFoundError:
            return []

    def _set_aside(self, path: Path) -> None:
        self._fs.replace(path, path.with_name(path.name + _REFUSED_SUFFIX))
        refused = sorted(one for one in self._folder.iterdir() if one.name.endswith(_REFUSED_SUFFIX))
        for old in refused[:-MAX_REFUSED]:
            self._fs.remove_file(old)
        self._fs.sync_folder(self._folder)


def _fitting(report: Report) -> bytes:
    """The report's bytes, its logs shortened from their beginning until the portal takes it."""
    data = report.to_bytes()
    while len(data) > MAX_REPORT_BYTES and (report.engine_log or report.update_log):
        if report.engine_log:
            report = replace(report, engine_log=report.engine_log[(len(report.engine_log) + 1) // 2 :])
        else:
            report = replace(report, update_log=report.update_log[(len(report.update_log) + 1) // 2 :])
        data = report.to_bytes()
    return data
