"""Which exit code tells what."""

from __future__ import annotations

import pytest

from engineshed_client import errors
from engineshed_client.agent import Done, Event
from engineshed_client.cli import codes
from engineshed_client.cli.arguments import build_parser
from engineshed_packages.protocol import Outcome


@pytest.mark.parametrize(
    ("err", "code"),
    [
        (errors.SettingsRefused(["x"]), 78),
        (errors.Locked("locked", ""), 75),
        (errors.TryLater("attempt-under-way", ""), 75),
        (errors.NewerSchema("journal-newer", ""), 75),
        (errors.PortalUnavailable("unreachable", ""), 69),
        (errors.PortalUnavailable("http-500", ""), 69),
        (errors.PortalUnavailable("http-429", ""), 75),
        (errors.PortalUnavailable("http-503", ""), 75),
        (errors.ContentRefused("metadata-signature", ""), 65),
        (errors.EnrolmentRefused("engine-revoked", ""), 77),
        (errors.Refused("no-previous", ""), 77),
        (errors.Refused("up-to-date", ""), 0),
        (errors.DiskTrouble("disk-full", ""), 74),
        (errors.DiskTrouble("disk-error", ""), 74),
        (errors.DiskTrouble("disk-denied", ""), 73),
        (errors.DiskTrouble("disk-read-only", ""), 73),
        (errors.StopFailed("engine-left", ""), 1),
        (errors.TreeBroken("engine-missing", ""), 1),
        (errors.AttemptUnfinished("x", ""), 1),
    ],
)
def test_an_error_has_its_exit_code(err: errors.ClientError, code: int) -> None:
    assert codes.of_error(err) == code


@pytest.mark.parametrize(
    ("outcome", "fault", "code"),
    [
        (Outcome.OK, "ok", 0),
        (Outcome.ROLLED_BACK, "unhealthy", 80),
        (Outcome.BROKEN, "return-failed", 81),
        (Outcome.ABORTED, "disk-full", 74),
        (Outcome.ABORTED, "disk-denied", 73),
        (Outcome.ABORTED, "content-sha256", 65),
        (Outcome.ABORTED, "archive-corrupt", 65),
        (Outcome.ABORTED, "package-mismatch", 65),
        (Outcome.ABORTED, "taken-back", 77),
        (Outcome.ABORTED, "order-signature", 77),
        (Outcome.ABORTED, "engine-left", 1),
    ],
)
def test_an_attempts_end_has_its_exit_code(outcome: Outcome, fault: str, code: int) -> None:
    assert codes.of_outcome(outcome, fault) == code


@pytest.mark.parametrize(
    ("done", "code"),
    [
        (Done(event=Event.NOTHING, code="up-to-date"), 0),
        (Done(event=Event.REFUSED, code="order-expired"), 77),
        (Done(event=Event.REFUSED, code="metadata-signature"), 65),
        (Done(event=Event.UNFETCHED, code="waiting"), 69),
        (Done(event=Event.WAITING, code="waiting"), 75),
        (Done(event=Event.RESTING, code="order-rests"), 75),
        (Done(event=Event.ENDED, code="unhealthy", outcome=Outcome.ROLLED_BACK), 80),
    ],
)
def test_a_cycle_has_its_exit_code(done: Done, code: int) -> None:
    assert codes.of_done(done) == code


def test_help_explains_every_exit_code() -> None:
    text = build_parser().format_help()
    assert [code for code in codes.USED if f"\n  {code:>3}  " not in text] == []
