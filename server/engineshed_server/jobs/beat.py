"""The beat: looks into the database for turns that have come, and rings again for what waits.

Several may run, on several hosts: the database lets each turn be taken once. It is no timer of Celery's,
which keeps its schedule in a file of its own: an admin's change is in force at the next look.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from engineshed_server.errors import ServerError
from engineshed_server.jobs.app import make_app
from engineshed_server.jobs.bell import CeleryBell
from engineshed_server.services.jobs.kinds import Kinds
from engineshed_server.services.jobs.ringing import ring_again
from engineshed_server.services.schedules import run_due
from engineshed_server.settings import Settings
from engineshed_server.wiring import open_portal

LOOK_EVERY_S = 1.0
RING_EVERY = 5  # looks

logger = logging.getLogger(__name__)


def run_beat(settings: Settings, kinds: Kinds, *, stopping: threading.Event) -> None:
    """Look until *stopping* is set.

    Raises:
        SetupRefused: nothing can be looked at as it is.
        TryLater: the database is away at the start.
    """
    portal = open_portal(settings)
    bell = CeleryBell(make_app(settings), kinds)
    looks = 0
    try:
        while not stopping.wait(LOOK_EVERY_S):
            now = datetime.now(UTC)
            try:
                run_due(portal, bell, now=now)
                if looks % RING_EVERY == 0:
                    ring_again(portal, bell, now=now)
            except ServerError as err:
                logger.warning("beat missed a look", extra={"code": err.code, "reason": err.message})
            looks += 1
    finally:
        portal.close()
