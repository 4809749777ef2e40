"""update.log: one BEGIN and one END line per attempt, and what happened between; also in syslog.

Invariants: BEGIN and END stand in pairs by attempt id, however often a step is run twice; no line is
torn: a tail that a crash or a full disk left is dropped before anything is appended; every line is
synchronised. The file is rotated when it has grown, before a BEGIN, so that a pair does not part; one that
grows without any is rotated all the same at twice the size. A pair is read over all files.

BEGIN and END raise when they cannot be written: an attempt without them must not go on as if they were
there. What happens between is worth a line but never an engine: trouble with that is only logged.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engineshed_client.errors import disk_trouble
from engineshed_client.fsops import FsOps, find_stat
from engineshed_client.paths import Paths
from engineshed_client.reports.log_line import BEGIN, END, LogLine
from engineshed_packages.protocol import MAX_LOG_LINE_CHARS, MAX_LOG_LINES, Outcome

if sys.platform != "win32":
    import syslog
else:
    from engineshed_client.reports.windows_events import report_event

logger = logging.getLogger(__name__)

MAX_LOG_BYTES = 1024 * 1024
KEPT_LOGS = 3  # update.log.1 is the newest of them
_TAIL_BYTES = 64 * 1024  # no line is nearly as long


@dataclass(frozen=True, slots=True)
class _Gravity:
    """How grave a line with *word* is: the priority of syslog, the kind of event of Windows."""

    word: str
    priority: int
    kind: int


_GRAVITY = (
    _Gravity(f" outcome={Outcome.BROKEN.value}", 3, 1),
    _Gravity(f" outcome={Outcome.ROLLED_BACK.value}", 4, 2),
    _Gravity(f" outcome={Outcome.ABORTED.value}", 4, 2),
)
_USUAL = _Gravity("", 5, 4)


def write_syslog(line: str) -> None:
    """Hand *line* to syslog, on Windows to the event log; it is dropped where there is none."""
    gravest = next((grave for grave in _GRAVITY if grave.word in line), _USUAL)
    if sys.platform != "win32":
        syslog.syslog(syslog.LOG_DAEMON | gravest.priority, f"engineshed-client: {line}")
    else:
        report_event(gravest.kind, line)


def numbered(path: Path, number: int) -> Path:
    """The log rotated away *number* rotations ago; 0 is the one that is written."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


class UpdateLog:
    """The log of one base.

    Args:
        now: gives the time of a line, aware UTC.
        echo: gets a copy of each line; must not raise.
    """

    def __init__(
        self,
        paths: Paths,
        fs: FsOps,
        *,
        now: Callable[[], datetime],
        echo: Callable[[str], None] = write_syslog,
    ) -> None:
        self._path = paths.update_log
        self._fs = fs
        self._now = now
        self._echo = echo

    def begin(
        self, attempt: str, *, from_version: str | None, to_version: str | None, **fields: object
    ) -> None:
        """Write the attempt's BEGIN line, unless it is there already.

        Raises:
            DiskTrouble: it could not be written.
        """
        if self._has(attempt, BEGIN):
            return
        versions = {"from": from_version or "none", "to": to_version or "none"}
        try:
            self._rotate(MAX_LOG_BYTES)
            self._append(attempt, BEGIN, {**versions, **fields})
        except OSError as err:
            raise disk_trouble(err) from err

    def event(self, attempt: str, event: str, **fields: object) -> None:
        """Write a line about what happened in between; trouble with the disk is logged, not raised."""
        try:
            self._rotate(2 * MAX_LOG_BYTES)
            self._append(attempt, event, fields)
        except OSError as err:
            logger.error(
                "update.log not written", extra={"attempt": attempt, "event": event, "reason": str(err)}
            )

    def end(self, attempt: str, outcome: Outcome, **fields: object) -> None:
        """Write the attempt's END line, unless it is there already.

        Raises:
            DiskTrouble: it could not be written.
        """
        if self._has(attempt, END):
            return
        try:
            self._append(attempt, END, {"outcome": outcome.value, **fields})
        except OSError as err:
            raise disk_trouble(err) from err

    def lines(self, attempt: str) -> tuple[str, ...]:
        """The attempt's lines, at most as many and as long as a report may carry."""
        found = [text for text, line in self._read() if line.attempt == attempt]
        return tuple(text[:MAX_LOG_LINE_CHARS] for text in found[-MAX_LOG_LINES:])

    def read(self) -> tuple[LogLine, ...]:
        """All lines on disk, oldest first; what is no line of this log is left out."""
        return tuple(line for _, line in self._read())

    def close_open(self, keep: str | None = None) -> tuple[str, ...]:
        """Write END ABORTED for each BEGIN without END but that of the attempt *keep*; return their ids.

        Raises:
            DiskTrouble: a line could not be written.
        """
        begun: dict[str, None] = {}
        for _, line in self._read():
            if line.event == BEGIN:
                begun[line.attempt] = None
            elif line.event == END:
                begun.pop(line.attempt, None)
        begun.pop(keep or "", None)
        for attempt in begun:
            self.end(attempt, Outcome.ABORTED, code="interrupted")
        return tuple(begun)

    def _has(self, attempt: str, event: str) -> bool:
        return any(line.attempt == attempt and line.event == event for _, line in self._read())

    def _read(self) -> Iterator[tuple[str, LogLine]]:
        """Each line as it stands there, and read."""
        for number in range(KEPT_LOGS, -1, -1):
            try:
                data = self._numbered(number).read_bytes()
            except FileNotFoundError:
                continue
            # What stands behind the last line's end is torn: the next line written takes its place.
            for text in data.decode("utf-8", "replace").split("\n")[:-1]:
                line = LogLine.parse(text)
                if line is not None:
                    yield text, line

    def _numbered(self, number: int) -> Path:
        return numbered(self._path, number)

    def _append(self, attempt: str, event: str, fields: dict[str, object]) -> None:
        values = {name: _text(value) for name, value in fields.items() if value is not None}
        line = LogLine(at=self._now(), event=event, attempt=attempt, values=values).text()
        self._fs.make_folder(self._path.parent, mode=0o700)
        is_new = find_stat(self._path) is None
        with self._fs.open_append(self._path, mode=0o640) as file:
            whole_bytes = _whole_bytes(self._path)
            if whole_bytes != os.fstat(file.fileno()).st_size:
                file.truncate(whole_bytes)
            file.write(line.encode("utf-8") + b"\n")
            file.sync()
        if is_new:
            self._fs.sync_folder(self._path.parent)
        self._echo(line)

    def _rotate(self, from_bytes: int) -> None:
        found = find_stat(self._path)
        if found is None or found.st_size < from_bytes:
            return
        for number in range(KEPT_LOGS, 0, -1):
            if find_stat(self._numbered(number - 1)) is not None:
                self._fs.replace(self._numbered(number - 1), self._numbered(number))
        self._fs.sync_folder(self._path.parent)


def _text(value: object) -> str:
    return "yes" if value is True else "no" if value is False else str(value)


def _whole_bytes(path: Path) -> int:
    """How many bytes of the file are whole lines.

    A crash may leave half a line, a power cut a tail of NULs of the right length: both are cut off.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    nul = tail.find(b"\0")
    if nul >= 0:
        tail = tail[:nul]
    return start + tail.rfind(b"\n") + 1
