"""The wire between engine and portal, version 1: poll, answer, report. See ``docs/protocol.md``.

The protocol only grows. Both sides ignore fields they do not know and keep working with a partner
that sends fewer; a field is never given another meaning. A poll without news fits in one small
request: what seldom changes (``attributes``, ``capabilities``) is sent at first and when it changed.
Joining and the access token are in ``enrolment.py``; the order inside an answer in ``orders.py``.
"""

from engineshed_packages.protocol.poll import (
    MAX_ANSWER_BYTES,
    MAX_POLL_BYTES,
    MAX_SKIPPED,
    PROTOCOL,
    Attributes,
    Health,
    Poll,
    PollAnswer,
    Skipped,
)
from engineshed_packages.protocol.report import (
    MAX_LOG_LINE_CHARS,
    MAX_LOG_LINES,
    MAX_REPORT_BYTES,
    REFUSAL,
    ROLLBACK,
    Outcome,
    Report,
    ReportAnswer,
    Step,
)

__all__ = [
    "MAX_ANSWER_BYTES",
    "MAX_LOG_LINES",
    "MAX_LOG_LINE_CHARS",
    "MAX_POLL_BYTES",
    "MAX_REPORT_BYTES",
    "MAX_SKIPPED",
    "PROTOCOL",
    "REFUSAL",
    "ROLLBACK",
    "Attributes",
    "Health",
    "Outcome",
    "Poll",
    "PollAnswer",
    "Report",
    "ReportAnswer",
    "Skipped",
    "Step",
]
