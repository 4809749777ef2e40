"""Ringing for a job: a message with its id, and how long its function may take."""

from __future__ import annotations

import logging

from celery import Celery
from kombu.exceptions import OperationalError

from engineshed_server.jobs.app import TASK
from engineshed_server.services.jobs.kinds import Kinds

logger = logging.getLogger(__name__)


class CeleryBell:
    """Rings by Celery; what cannot be rung now waits in its row until it is rung again."""

    def __init__(self, app: Celery, kinds: Kinds) -> None:
        self._app = app
        self._kinds = kinds

    def ring(self, job_id: str, *, kind: str) -> None:
        """Send the message; a broker that is away costs a line in the log."""
        known = self._kinds.get(kind)
        soft_s = None if known is None else known.soft_limit_s
        hard_s = None if known is None else known.soft_limit_s + known.grace_s
        try:
            self._app.send_task(TASK, [job_id], retry=False, soft_time_limit=soft_s, time_limit=hard_s)
        except (OperationalError, OSError) as err:
            logger.warning("bell not heard", extra={"job": job_id, "reason": str(err)})
