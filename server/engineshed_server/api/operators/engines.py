"""Engines as operators see and edit them."""

from __future__ import annotations

from engineshed_server.api.answers import Page, Shown
from engineshed_server.api.context import actor, now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.engines import (
    ChangedSchema,
    DecisionSchema,
    EngineChangeSchema,
    EngineDetailSchema,
    EngineQuery,
    EngineQuerySchema,
    EngineSchema,
    Named,
    NamedSchema,
)
from engineshed_server.domain.decide import Decision
from engineshed_server.domain.filters import EngineFilter
from engineshed_server.domain.revisions import Expected
from engineshed_server.errors import Conflict, NotFound, Refused
from engineshed_server.services import approval, engine_edits, engines, fleet
from engineshed_server.services.api_tokens import ADMINS, READERS
from engineshed_server.services.engine_edits import EngineChange

routes = Routes("engines", "Engines: what they run, what they did, and why they get what they get.")


@routes.page("/engines", needs=READERS, name="engines", item=EngineSchema, query=EngineQuerySchema)
def list_engines(query: EngineQuery) -> Page:
    """List engines, by id."""
    wanted = EngineFilter(product=query.product, state=query.state, group=query.group, channel=query.channel)
    page = engines.list_engines(portal(), wanted, limit=query.limit, cursor=query.after)
    return Page(page.engines, page.next_cursor)


@routes.get("/engines/<name:engine_id>", needs=READERS, answer=EngineDetailSchema, refuses=(NotFound,))
def show_engine(engine_id: str) -> Shown:
    """Show one engine with its last attempts and orders."""
    return _shown(engine_id)


@routes.patch(
    "/engines/<name:engine_id>",
    needs=ADMINS,
    body=EngineChangeSchema,
    answer=EngineDetailSchema,
    refuses=(NotFound, Refused),
)
def change_engine(engine_id: str, body: EngineChange, expected: Expected) -> Shown:
    """Put an engine into another group or channel, on hold, or write notes of it."""
    engine_edits.change_engine(portal(), engine_id, change=body, expected=expected, actor=actor(), now=now())
    return _shown(engine_id)


@routes.post("/engines/<name:engine_id>/revoke", needs=ADMINS, answer=EngineDetailSchema, refuses=(NotFound,))
def revoke_engine(engine_id: str) -> Shown:
    """Take an engine's identity out of force, in every process within one second."""
    engines.revoke_engine(portal(), engine_id, actor=actor(), now=now())
    return _shown(engine_id)


@routes.get("/engines/<name:engine_id>/explain", needs=READERS, answer=DecisionSchema, refuses=(NotFound,))
def explain_engine(engine_id: str) -> Decision:
    """Say what the engine's next poll would be answered, and why."""
    return fleet.explain(portal(), engine_id, now=now())


@routes.post(
    "/engines/approve",
    needs=ADMINS,
    answer=ChangedSchema,
    body=NamedSchema,
    refuses=(NotFound, Conflict, Refused),
)
def approve_engines(body: Named) -> Named:
    """Let engines in that wait for approval: all of them, or none."""
    return Named(engines=approval.approve_engines(portal(), body.engines, actor=actor(), now=now()))


@routes.post(
    "/engines/reject",
    needs=ADMINS,
    answer=ChangedSchema,
    body=NamedSchema,
    refuses=(NotFound, Conflict, Refused),
)
def reject_engines(body: Named) -> Named:
    """Refuse engines that wait for approval: all of them, or none."""
    return Named(engines=approval.reject_engines(portal(), body.engines, actor=actor(), now=now()))


@routes.post(
    "/engines/<name:engine_id>/approve", needs=ADMINS, answer=EngineDetailSchema, refuses=(NotFound, Conflict)
)
def approve_engine(engine_id: str) -> Shown:
    """Let one engine in that waits for approval."""
    approval.approve_engines(portal(), [engine_id], actor=actor(), now=now())
    return _shown(engine_id)


@routes.post(
    "/engines/<name:engine_id>/reject", needs=ADMINS, answer=EngineDetailSchema, refuses=(NotFound, Conflict)
)
def reject_engine(engine_id: str) -> Shown:
    """Refuse one engine that waits for approval."""
    approval.reject_engines(portal(), [engine_id], actor=actor(), now=now())
    return _shown(engine_id)


def _shown(engine_id: str) -> Shown:
    detail = engines.show_engine(portal(), engine_id)
    return Shown(detail, revision=detail.revision)
