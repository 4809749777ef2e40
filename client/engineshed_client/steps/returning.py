"""ROLLING_BACK: the old engine comes back as it was, and must be well again.

Every try is counted before it is made and finds out by looking what is left to do. It goes on although
the journal cannot be written: an engine that does not run is worse than a count that is lost.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from engineshed_client.errors import JournalUnwritable, TreeBroken
from engineshed_client.journal import Journal
from engineshed_client.steps.context import TROUBLE, Context, Event, Result, failed
from engineshed_client.steps.facts import restore
from engineshed_client.steps.proving import Health, probe_engine
from engineshed_client.steps.replacing import stop_engine

logger = logging.getLogger(__name__)

MAX_RETURNS = 3


def rolling_back(context: Context, journal: Journal) -> Result:
    """Stop what runs, restore the old engine, start it when it ran before, and probe it."""
    if journal.returns >= MAX_RETURNS:
        return Event.FAILED, journal.with_fault("return-failed", f"{MAX_RETURNS} tries did not bring it back")
    journal = _count(context, journal)
    try:
        stop_engine(context)
        restore(context, journal)
        return _start_again(context, journal)
    except TreeBroken as err:
        return failed(context, journal, err)
    except TROUBLE as err:
        return Event.AGAIN, failed(context, journal, err)[1]


def _count(context: Context, journal: Journal) -> Journal:
    journal = replace(journal, returns=journal.returns + 1)
    try:
        return context.save(journal)
    except JournalUnwritable as err:
        logger.error("rolling back without a journal", extra={"code": err.code, "reason": err.message})
        return journal


def _start_again(context: Context, journal: Journal) -> Result:
    if journal.origin is None or not journal.was_running:
        return Event.DONE, journal
    context.supervisor.start()
    if context.supervisor.is_held_back() and not context.supervisor.is_running():
        return Event.WAIT, journal
    probed = probe_engine(context, journal.origin.version)
    if probed.health is Health.GOOD:
        return Event.DONE, replace(journal, measured=probed.measured)
    context.log.event(journal.attempt, "UNWELL", version=journal.origin.version, reason=probed.reason)
    return Event.AGAIN, journal
