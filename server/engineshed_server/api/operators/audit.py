"""The audit trail: every change of this portal."""

from __future__ import annotations

from engineshed_server.api.answers import Page
from engineshed_server.api.context import portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.audit import AuditEntrySchema, AuditQuery, AuditQuerySchema
from engineshed_server.domain.filters import AuditFilter
from engineshed_server.services import audit
from engineshed_server.services.api_tokens import READERS

routes = Routes("audit", "Who changed what, when, from where.")


@routes.page("/audit", needs=READERS, name="entries", item=AuditEntrySchema, query=AuditQuerySchema)
def list_audit(query: AuditQuery) -> Page:
    """List changes, the newest first."""
    wanted = AuditFilter(subject=query.subject, actor=query.actor, action=query.action)
    page = audit.list_audit(portal(), wanted, limit=query.limit, after=query.after)
    return Page(page.entries, page.after)
