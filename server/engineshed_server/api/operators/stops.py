"""Emergency stops."""

from __future__ import annotations

from engineshed_server.api.answers import Page
from engineshed_server.api.context import actor, now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.paging import NumberedPageSchema, PageQuery
from engineshed_server.api.schemas.stops import StopAsked, StopAskedSchema, StopChangedSchema, StopSchema
from engineshed_server.errors import NotFound, Refused
from engineshed_server.services import stops
from engineshed_server.services.api_tokens import ADMINS, READERS
from engineshed_server.services.stops import StopChanged

routes = Routes("emergency-stops", "Stops of all changes of engines' software, in force within one second.")


@routes.page("/emergency-stops", needs=READERS, name="stops", item=StopSchema, query=NumberedPageSchema)
def list_stops(query: PageQuery) -> Page:
    """List the emergency stops that are on, the oldest first."""
    page = stops.page_stops(portal(), limit=query.limit, cursor=query.after)
    return Page(page.stops, page.next_cursor)


@routes.post(
    "/emergency-stops/on", needs=ADMINS, body=StopAskedSchema, answer=StopChangedSchema, refuses=(Refused,)
)
def turn_on(body: StopAsked) -> StopChanged:
    """Let no engine begin to install or roll back; one that has not stopped for it yet turns back."""
    return stops.turn_on(
        portal(), product=body.product, channel=body.channel, reason=body.reason, actor=actor(), now=now()
    )


@routes.post(
    "/emergency-stops/off",
    needs=ADMINS,
    body=StopAskedSchema,
    answer=StopChangedSchema,
    refuses=(NotFound, Refused),
)
def turn_off(body: StopAsked) -> StopChanged:
    """End the emergency stop of exactly this product and channel."""
    return stops.turn_off(
        portal(), product=body.product, channel=body.channel, reason=body.reason, actor=actor(), now=now()
    )
