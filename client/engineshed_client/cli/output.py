"""What a command says: data to stdout, talk to stderr, one JSON object in place of both with --json."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from engineshed_packages.jsontext import Json, escape_controls
from engineshed_packages.times import format_time

_STANDARD = frozenset(vars(logging.makeLogRecord({})).keys() | {"message", "asctime"})


@dataclass(frozen=True, slots=True)
class Output:
    """How this process speaks."""

    as_json: bool
    quiet: bool

    def talk(self, text: str) -> None:
        """Something for the person at the terminal."""
        if not self.quiet:
            print(escape_controls(text), file=sys.stderr, flush=True)

    def result(self, values: Mapping[str, Json], *lines: str) -> None:
        """What the command found out: *values* for programs, *lines* for people."""
        if self.as_json:
            print(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False), flush=True)
            return
        for line in lines:
            print(escape_controls(line), flush=True)

    def error(self, code: str, message: str) -> None:
        """Why the command failed; said even when quiet."""
        message = escape_controls(message)
        if self.as_json:
            print(json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False), flush=True)
        print(f"engineshed-client: {message} [{code}]", file=sys.stderr, flush=True)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Aligned columns under their titles."""
    lines = [titles, *([escape_controls(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return tuple("  ".join(line).rstrip() for line in padded)


class _Fields(logging.Formatter):
    """An event and its fields: ``2026-11-22T08:00:00Z INFO cycle ended event=NOTHING``."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        pairs = "".join(f" {name}={value!r}" for name, value in fields.items())
        at = format_time(datetime.fromtimestamp(record.created, UTC))
        text = f"{at} {record.levelname} {record.getMessage()}{pairs}"
        return text + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


def set_up_logging(level: int) -> None:
    """Send what the updater logs to stderr, for a terminal or the system's journal."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Fields())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("engineshed_client").setLevel(level)
