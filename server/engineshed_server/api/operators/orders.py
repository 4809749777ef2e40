"""Orders that administrators give."""

from __future__ import annotations

from http import HTTPStatus

from engineshed_server.api.answers import Page, Shown
from engineshed_server.api.context import actor, now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.engines import OrderSchema
from engineshed_server.api.schemas.orders import (
    AskOfMany,
    AskOfManySchema,
    AskSchema,
    ManyOrdersSchema,
    OrderQuerySchema,
)
from engineshed_server.api.schemas.paging import PageQuery
from engineshed_server.errors import Conflict, NotFound, Refused
from engineshed_server.services import ordering
from engineshed_server.services.api_tokens import ADMINS, READERS
from engineshed_server.services.engines import OrderLine, order_line
from engineshed_server.services.ordering import Ask

routes = Routes("orders", "What engines were ordered to do, and what became of it.")


@routes.post(
    "/engines/<name:engine_id>/orders",
    needs=ADMINS,
    body=AskSchema,
    answer=OrderSchema,
    status=HTTPStatus.CREATED,
    refuses=(NotFound, Conflict, Refused),
)
def give_order(engine_id: str, body: Ask) -> Shown:
    """Give an engine an order, which supersedes the one that is open."""
    given = ordering.give_order(portal(), engine_id, body, actor=actor(), now=now())
    return Shown(order_line(given), location=f"/api/v1/orders/{given.order_id}")


@routes.post(
    "/orders", needs=ADMINS, body=AskOfManySchema, answer=ManyOrdersSchema, refuses=(NotFound, Refused)
)
def give_orders(body: AskOfMany) -> dict[str, object]:
    """Give several engines an order; one that is refused does not keep it from the others."""
    engines = body.engines if body.group is None else ordering.list_group(portal(), body.group)
    return {"orders": ordering.give_orders(portal(), engines, body.ask, actor=actor(), now=now())}


@routes.page(
    "/engines/<name:engine_id>/orders",
    needs=READERS,
    name="orders",
    item=OrderSchema,
    query=OrderQuerySchema,
    refuses=(NotFound,),
)
def list_orders(engine_id: str, query: PageQuery) -> Page:
    """List an engine's orders, newest first."""
    page = ordering.page_orders(portal(), engine_id, limit=query.limit, after=query.cursor)
    return Page(page.orders, page.after)


@routes.get("/orders/<name:order_id>", needs=READERS, answer=OrderSchema, refuses=(NotFound,))
def show_order(order_id: str) -> OrderLine:
    """Show one order."""
    return ordering.show_order(portal(), order_id)
