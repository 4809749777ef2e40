"""Log lines on stderr: time, level, where, a constant event, its fields; plain, or one JSON object a line.

One configuration for the parent, for gunicorn and for our own modules, in the form of
``logging.config.dictConfig``. Invariants of both formats:

- The event of our own modules is a constant; what varies stands in fields (a test walks the sources).
- Every line within a request carries the request's id.
- What an engine sends can neither forge a line nor colour a terminal.
- Fields named in ``NEVER`` are not written at all.
"""

from __future__ import annotations

import json
import logging
import logging.config
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypedDict

from engineshed_packages.jsontext import Json, escape_controls
from engineshed_server.api.request_ids import request_id

PLAIN = "plain"
JSON = "json"
FORMATS = (PLAIN, JSON)

NEVER = frozenset({"authorization", "password", "secret", "token"})
# What every line of JSON has besides the fields of its event.
FRAME = ("time", "level", "event", "logger", "pid", "request", "exception")
MAX_FIELD_CHARS = 500
MAX_EXCEPTION_CHARS = 20_000
_INDENT = "    "  # of a traceback: none of its lines can be taken for a log line
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {
    "message",
    "asctime",
    "taskName",
}


class LineFormatter(logging.Formatter):
    """``2026-11-22T08:00:00Z INFO engineshed_server.app event name=value request=req_…``."""

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """Times are UTC."""
        return time.gmtime(seconds)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, with the fields given in ``extra`` and the request's id."""
        fields = _fields(record)
        current = request_id()
        if current is not None:
            fields["request"] = current
        words = [f"{name}={_word(value)}" for name, value in fields.items()]
        return " ".join([escape_controls(super().formatMessage(record)), *words])

    def formatException(self, ei: object) -> str:
        """The traceback, each line of it indented and escaped: its message may be somebody else's text."""
        # The base class takes what Logger got as exc_info, whose type is private to the library.
        text = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join(_INDENT + escape_controls(line) for line in _cut(text).splitlines())


class JsonFormatter(logging.Formatter):
    """``{"time":…,"level":"info","event":"request","logger":…,"pid":…,"request":"req_…","status":200,…}``."""

    def format(self, record: logging.LogRecord) -> str:
        """One object on one line, in ASCII."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        values: dict[str, Json] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage()[:MAX_FIELD_CHARS],
            "logger": record.name,
            "pid": record.process,
        }
        current = request_id()
        if current is not None:
            values["request"] = current
        values |= {name: _json(value) for name, value in _fields(record).items() if name not in FRAME}
        if record.exc_info:
            values["exception"] = _cut(self.formatException(record.exc_info))
        return json.dumps(values, allow_nan=False)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What was given in ``extra``, but for what is never logged."""
    unwritten = _STANDARD | NEVER
    return {name: value for name, value in vars(record).items() if name not in unwritten}


def _word(value: object) -> str:
    text = escape_controls(str(value))[:MAX_FIELD_CHARS]
    quoted = '"' in text or " " in text or text == ""
    return '"' + text.replace('"', "'") + '"' if quoted else text


def _json(value: object) -> Json:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)[:MAX_FIELD_CHARS]


def _cut(text: str) -> str:
    """The end of a long traceback: it says what went wrong."""
    return text if len(text) <= MAX_EXCEPTION_CHARS else "…" + text[-MAX_EXCEPTION_CHARS:]


_FORMATTERS: Mapping[str, type[logging.Formatter]] = {PLAIN: LineFormatter, JSON: JsonFormatter}


class LogConfig(TypedDict):
    """The parts of ``logging.config``'s dictionary that are used here."""

    version: int
    disable_existing_loggers: bool
    formatters: dict[str, dict[str, type[logging.Formatter]]]
    handlers: dict[str, dict[str, str]]
    root: dict[str, str | list[str]]
    loggers: dict[str, dict[str, str | bool | list[str]]]


def log_config(level: str, log_format: str = PLAIN) -> LogConfig:
    """The configuration for *level*, one of ``debug``, ``info``, ``warning``, ``error``, in a format."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _FORMATTERS[log_format]}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}
        },
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"level": level.upper(), "propagate": True, "handlers": []},
            "gunicorn.access": {"level": "ERROR", "propagate": False, "handlers": []},
            # a line for each message; what became of the job is told by ourselves
            "celery": {"level": "WARNING", "propagate": True, "handlers": []},
            "kombu": {"level": "ERROR", "propagate": True, "handlers": []},
            "alembic": {"level": "WARNING", "propagate": True, "handlers": []},
            # it tells of each key that did not sign, also where the others are enough
            "tuf": {"level": "WARNING", "propagate": True, "handlers": []},
        },
    }


def configure_logs(level: str, log_format: str) -> None:
    """Let all loggers of this process write to stderr, warnings of libraries among them."""
    logging.config.dictConfig(dict(log_config(level, log_format)))
    logging.captureWarnings(capture=True)
