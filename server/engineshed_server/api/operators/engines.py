"""Engines as operators see them."""

from __future__ import annotations

from engineshed_server.api.answers import Page
from engineshed_server.api.context import now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.engines import DecisionSchema, EngineDetailSchema, EngineSchema
from engineshed_server.api.schemas.paging import PageQuery
from engineshed_server.domain.decide import Decision
from engineshed_server.errors import NotFound
from engineshed_server.services import engines, fleet
from engineshed_server.services.api_tokens import READERS
from engineshed_server.services.engines import EngineDetail

routes = Routes("engines", "Engines: what they run, what they did, and why they get what they get.")


@routes.page("/engines", needs=READERS, name="engines", item=EngineSchema)
def list_engines(query: PageQuery) -> Page:
    """List engines, by id."""
    page = engines.list_engines(portal(), limit=query.limit, cursor=query.after)
    return Page(page.engines, page.next_cursor)


@routes.get("/engines/<name:engine_id>", needs=READERS, answer=EngineDetailSchema, refuses=(NotFound,))
def show_engine(engine_id: str) -> EngineDetail:
    """Show one engine with its last attempts and orders."""
    return engines.show_engine(portal(), engine_id)


@routes.get("/engines/<name:engine_id>/explain", needs=READERS, answer=DecisionSchema, refuses=(NotFound,))
def explain_engine(engine_id: str) -> Decision:
    """Say what the engine's next poll would be answered, and why."""
    return fleet.explain(portal(), engine_id, now=now())
