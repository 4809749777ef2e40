"""Log lines on stderr: time, level, where, a constant event, then its fields as ``name=value``.

One configuration for the parent, for gunicorn and for our own modules, in the form of
``logging.config.dictConfig``. A field's control characters are written out, so that nothing an engine
sends can forge a line or colour a terminal. Fields named in ``NEVER`` are not written at all.
"""

from __future__ import annotations

import logging
import logging.config
import time
from typing import TypedDict

from engineshed_packages.jsontext import escape_controls
from engineshed_server.api.request_ids import request_id

NEVER = frozenset({"authorization", "password", "secret", "token"})
MAX_FIELD_CHARS = 500
_PLAIN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}


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
        fields = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        current = request_id()
        if current is not None:
            fields["request"] = current
        words = [f"{name}={_word(value)}" for name, value in fields.items() if name not in NEVER]
        return " ".join([escape_controls(super().formatMessage(record)), *words])


def _word(value: object) -> str:
    text = escape_controls(str(value))[:MAX_FIELD_CHARS]
    quoted = '"' in text or " " in text or text == ""
    return '"' + text.replace('"', "'") + '"' if quoted else text


class LogConfig(TypedDict):
    """The parts of ``logging.config``'s dictionary that are used here."""

    version: int
    disable_existing_loggers: bool
    formatters: dict[str, dict[str, type[LineFormatter]]]
    handlers: dict[str, dict[str, str]]
    root: dict[str, str | list[str]]
    loggers: dict[str, dict[str, str | bool | list[str]]]


def log_config(level: str) -> LogConfig:
    """The configuration for *level*, one of ``debug``, ``info``, ``warning``, ``error``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}
        },
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"level": level.upper(), "propagate": True, "handlers": []},
            "gunicorn.access": {"level": "ERROR", "propagate": False, "handlers": []},
            "alembic": {"level": "WARNING", "propagate": True, "handlers": []},
            # it tells of each key that did not sign, also where the others are enough
            "tuf": {"level": "WARNING", "propagate": True, "handlers": []},
        },
    }


def configure_logs(level: str) -> None:
    """Let all loggers of this process write to stderr."""
    logging.config.dictConfig(dict(log_config(level)))
