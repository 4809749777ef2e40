"""An engine that waits to be adopted, as the running updater goes on with it."""

from __future__ import annotations

import logging

from engineshed_client.adoption import AdoptionFile
from engineshed_client.errors import ContentRefused, EnrolmentRefused, Refused, SettingsRefused
from engineshed_client.fetch import Portal
from engineshed_client.steps.adopting import Adopted, adopt
from engineshed_client.steps.context import NO_ATTEMPT, Context
from engineshed_client.steps.learning import PutOff

logger = logging.getLogger(__name__)


def adopt_pending(context: Context, portal: Portal) -> Adopted | None:
    """Take over the engine that is to be adopted; None when none is, it is put off, or it cannot be.

    Raises:
        EnrolmentRefused: the portal does not know this engine any more.
        DiskTrouble: it is tried again by the next cycle.
    """
    pending = AdoptionFile(context.paths, context.fs)
    adoption = pending.load()
    if adoption is None:
        return None
    try:
        found = adopt(context, portal, adoption.version)
    except EnrolmentRefused:
        raise
    except ContentRefused as err:
        # The portal hands out what the vendor did not sign: that is the portal's trouble, and may pass.
        logger.error("adoption put off", extra={"code": err.code, "reason": err.message})
        return None
    except (Refused, SettingsRefused) as err:
        # Somebody has to look at it: nothing is gained by trying again.
        logger.error("engine not adopted", extra={"code": err.code, "reason": err.message})
        context.log.event(NO_ATTEMPT, "NOT-ADOPTED", code=err.code, message=err.message)
        pending.drop()
        return None
    if isinstance(found, PutOff):
        logger.info("adoption put off", extra={"code": found.code, "reason": found.message})
        return None
    return found
