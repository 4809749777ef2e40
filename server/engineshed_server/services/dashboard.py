"""Whether every engine is green: figures, versions, what was tried and done last, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engineshed_server.db import attempts, uploads
from engineshed_server.db.attempts import EndedAttempt
from engineshed_server.domain.uploads import DONE, FAILED
from engineshed_server.errors import ServerError
from engineshed_server.services import audit
from engineshed_server.services.audit import AuditEntry
from engineshed_server.services.engine_lists import Figures, count_figures
from engineshed_server.services.portal import Portal
from engineshed_server.services.uploads.outcome import read_outcome

SHOWN_ATTEMPTS = 8
SHOWN_CHANGES = 10
_LOOKED_AT_UPLOADS = 20
# What is no news: who came and went, and what stands among the attempts.
NO_NEWS = ("login", "logout", "login-failed", "attempt-ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedUpload:
    """The upload that ended last, when it was refused."""

    upload_id: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What somebody should know who has just come."""

    figures: Figures
    attempts: tuple[EndedAttempt, ...]
    changes: tuple[AuditEntry, ...]
    refused: RefusedUpload | None


def look(portal: Portal, *, now: datetime) -> Dashboard:
    """The portal as it is now: as many statements for ten thousand engines as for one."""
    with portal.database.read() as session:
        ended = attempts.list_ended(session, limit=SHOWN_ATTEMPTS)
        sent = uploads.list_uploads(session, owner=None, limit=_LOOKED_AT_UPLOADS, after=None)
    return Dashboard(
        figures=count_figures(portal, now=now),
        attempts=ended,
        changes=audit.list_recent(portal, without=NO_NEWS, limit=SHOWN_CHANGES),
        refused=_refused(sent),
    )


def _refused(sent: tuple[uploads.UploadRecord, ...]) -> RefusedUpload | None:
    last = next((one for one in sent if one.state in (DONE, FAILED)), None)
    if last is None or last.state != FAILED:
        return None
    outcome = read_outcome(last.outcome)
    reason = outcome.message if isinstance(outcome, ServerError) else "it failed"
    return RefusedUpload(upload_id=last.upload_id, name=last.name, reason=reason)
