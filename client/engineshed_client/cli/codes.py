"""Which exit code tells what: the only place of the client that knows them."""

from __future__ import annotations

from engineshed_client.agent import Done, Event
from engineshed_client.errors import (
    ClientError,
    ContentRefused,
    DiskTrouble,
    NewerSchema,
    PortalUnavailable,
    Refused,
    SettingsRefused,
    TryLater,
)
from engineshed_client.heard import WAITING
from engineshed_packages import exits
from engineshed_packages.protocol import Outcome

USED = (
    exits.DONE,
    exits.FAILED,
    exits.USAGE,
    exits.BAD_CONTENT,
    exits.UNREACHABLE,
    exits.CANNOT_CREATE,
    exits.IO_ERROR,
    exits.TRY_LATER,
    exits.REFUSED,
    exits.CONFIGURATION,
    exits.ROLLED_BACK,
    exits.BROKEN,
    exits.START_AGAIN,
    exits.UPDATE_AVAILABLE,
)
UP_TO_DATE = "up-to-date"
_ASKED_TO_WAIT = frozenset({"http-429", "http-503"})
_NOT_CREATED = frozenset({"disk-denied", "disk-read-only"})
_CONTENT = ("archive-", "content-", "manifest-", "metadata-", "package-", "target-", "trusted-root")
_REFUSALS = frozenset(
    {
        "below-floor",
        "cancelled",
        "engine-rejected",
        "engine-replaced",
        "engine-revoked",
        "min-version",
        "not-newer",
        "other-platform",
        "other-product",
        "skipped",
        "start-too-late",
        "superseded",
        "taken-back",
        "window-missed",
        "withdrawn",
    }
)


def of_error(err: ClientError) -> int:
    """The exit code of a command that ended with *err*."""
    if isinstance(err, SettingsRefused):
        return exits.CONFIGURATION
    if isinstance(err, PortalUnavailable):
        return exits.TRY_LATER if err.code in _ASKED_TO_WAIT else exits.UNREACHABLE
    if isinstance(err, TryLater | NewerSchema):
        return exits.TRY_LATER
    if isinstance(err, ContentRefused):
        return exits.BAD_CONTENT
    if isinstance(err, Refused):
        return exits.DONE if err.code == UP_TO_DATE else exits.REFUSED
    if isinstance(err, DiskTrouble):
        return _of_fault(err.code)
    return exits.FAILED


def of_done(done: Done) -> int:
    """The exit code of a command that ran a cycle."""
    if done.event is Event.NOTHING:
        return exits.TRY_LATER if done.code == WAITING else exits.DONE
    if done.event is Event.REFUSED:
        return exits.BAD_CONTENT if done.code.startswith(_CONTENT) else exits.REFUSED
    if done.event is Event.UNFETCHED:
        return exits.UNREACHABLE
    if done.outcome is None:
        return exits.TRY_LATER
    return of_outcome(done.outcome, done.code)


def of_outcome(outcome: Outcome, code: str) -> int:
    """The exit code of an attempt that ended so, *code* being its fault."""
    if outcome is Outcome.OK:
        return exits.DONE
    if outcome is Outcome.ROLLED_BACK:
        return exits.ROLLED_BACK
    return exits.BROKEN if outcome is Outcome.BROKEN else _of_fault(code)


def _of_fault(code: str) -> int:
    if code in _NOT_CREATED:
        return exits.CANNOT_CREATE
    if code.startswith("disk-"):
        return exits.IO_ERROR
    if code.startswith(_CONTENT):
        return exits.BAD_CONTENT
    return exits.REFUSED if code.startswith("order-") or code in _REFUSALS else exits.FAILED
