"""The documented routes, a module for each topic; a new one is added to ``ROUTES``."""

from __future__ import annotations

from collections.abc import Sequence

from engineshed_server.api.operators import (
    audit,
    bundles,
    configuration,
    engines,
    enrol_tokens,
    orders,
    releases,
    stops,
    tokens,
    uploads,
)
from engineshed_server.api.routes import Routes

ROUTES: Sequence[Routes] = (
    audit.routes,
    bundles.routes,
    configuration.routes,
    engines.routes,
    enrol_tokens.routes,
    orders.routes,
    releases.routes,
    stops.routes,
    tokens.routes,
    uploads.routes,
)
