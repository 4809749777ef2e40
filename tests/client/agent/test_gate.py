"""The last question before an engine is stopped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engineshed_client.agent.gate import check_times
from engineshed_client.errors import EnrolmentRefused, PortalUnavailable
from engineshed_client.journal import Journal
from engineshed_client.steps.beginning import begin_update
from engineshed_client.steps.context import Clearance, Word
from engineshed_packages.ids import new_id
from engineshed_packages.orders import Order, Window
from engineshed_packages.repository.releases import ReleaseChange
from engineshed_packages.target import Target
from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import ScriptedPortal, now
from tests.faulty_http import answers
from tests.vendor import Vendor

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def target(joined: JoinedBase, vendor: Vendor) -> Target:
    joined.install("1.0.0")
    target = vendor.release("1.1.0")
    joined.portal.publish(vendor)
    return target


@pytest.mark.parametrize(
    ("changes", "word", "code"),
    [
        ({}, Word.GO, "ok"),
        ({"start_before": AT + HOUR}, Word.GO, "ok"),
        ({"start_before": AT}, Word.CANCEL, "start-too-late"),
        ({"window": Window(opens=AT - HOUR, closes=AT + HOUR)}, Word.GO, "ok"),
        ({"window": Window(opens=AT, closes=AT + HOUR)}, Word.GO, "ok"),
        ({"window": Window(opens=AT + HOUR, closes=AT + 2 * HOUR)}, Word.WAIT, "window-closed"),
        ({"window": Window(opens=AT - HOUR, closes=AT)}, Word.CANCEL, "window-missed"),
    ],
)
def test_the_times_of_an_order_are_looked_at_again(changes: dict[str, Any], word: Word, code: str) -> None:
    order = Order(
        portal=new_id("ptl"),
        engine=new_id("eng"),
        id=new_id("ord"),
        seq=1,
        issued=AT,
        accept_before=AT,
        do="install",
        **changes,
    )
    clearance = check_times(order, AT)
    assert (clearance.word, clearance.code) == (word, code)


class Asked:
    """An attempt for one order that stands before the gate."""

    def __init__(self, joined: JoinedBase, target: Target, **changes: object) -> None:
        self.joined = joined
        self.order: Order = joined.portal.plain_order(target, **changes)
        parts = joined.parts()
        parts.portal.open_view()
        assert parts.context.gate is not None
        self.gate = parts.context.gate
        self.journal: Journal = begin_update(
            parts.context, target, order=self.order, envelope=joined.portal.sign(self.order)
        )

    def ask(self) -> Clearance:
        return self.gate.ask(self.journal, now())


def test_the_same_order_again_lets_the_engine_be_stopped(joined: JoinedBase, target: Target) -> None:
    asked = Asked(joined, target)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.sign(asked.order)))
    assert asked.ask().word is Word.GO


def test_the_poll_names_the_attempt_and_its_state(joined: JoinedBase, target: Target) -> None:
    asked = Asked(joined, target)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.sign(asked.order)))
    asked.ask()
    poll = joined.portal.polls()[-1]
    assert (poll.attempt, poll.state) == (asked.journal.attempt, "DOWNLOADING")


def test_an_order_that_is_not_sent_any_more_is_taken_back(joined: JoinedBase, target: Target) -> None:
    clearance = Asked(joined, target).ask()
    assert (clearance.word, clearance.code) == (Word.CANCEL, "taken-back")


def test_another_order_supersedes_it(joined: JoinedBase, target: Target) -> None:
    asked = Asked(joined, target)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(target)))
    clearance = asked.ask()
    assert (clearance.word, clearance.code) == (Word.CANCEL, "superseded")


def test_a_cancel_cancels_it(joined: JoinedBase, target: Target) -> None:
    asked = Asked(joined, target)
    cancel = joined.portal.order(target, do="cancel", package=None, message="not today")
    joined.portal.answer_polls(joined.portal.offer(cancel))
    clearance = asked.ask()
    assert (clearance.word, clearance.code, "not today" in clearance.message) == (
        Word.CANCEL,
        "cancelled",
        True,
    )


def test_a_strangers_order_does_not_let_it_pass(joined: JoinedBase, target: Target) -> None:
    asked = Asked(joined, target)
    stranger = ScriptedPortal()
    joined.portal.answer_polls(joined.portal.offer(stranger.sign(asked.order)))
    clearance = asked.ask()
    assert (clearance.word, clearance.code) == (Word.CANCEL, "order-signature")
    stranger.server._server.server_close()


def test_a_release_withdrawn_meanwhile_is_not_installed(
    joined: JoinedBase, target: Target, vendor: Vendor
) -> None:
    asked = Asked(joined, target)
    vendor.change("1.1.0", ReleaseChange(withdrawn=True))
    joined.portal.publish(vendor)
    offer = joined.portal.offer(joined.portal.sign(asked.order))
    joined.portal.answer_polls(replace(offer, timestamp_version=99))
    clearance = asked.ask()
    assert (clearance.word, clearance.code) == (Word.CANCEL, "withdrawn")


def test_without_the_portal_it_is_asked_again_later(joined: JoinedBase, target: Target) -> None:
    asked = Asked(joined, target)
    joined.portal.server.at("/api/v1/poll", answers.status(503))
    with pytest.raises(PortalUnavailable):
        asked.ask()


def test_without_the_portal_an_order_for_offline_start_goes_on(joined: JoinedBase, target: Target) -> None:
    asked = Asked(joined, target, offline_start=True)
    joined.portal.server.at("/api/v1/poll", answers.status(503))
    assert asked.ask().word is Word.GO


CLOSED = {"window": Window(opens=now() + HOUR, closes=now() + 2 * HOUR)}


def test_who_waits_for_the_window_polls_and_waits_on(joined: JoinedBase, target: Target) -> None:
    asked = Asked(joined, target, **CLOSED)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.sign(asked.order)))
    clearance = asked.ask()
    assert (clearance.word, clearance.code) == (Word.WAIT, "window-closed")
    assert joined.portal.polls()[-1].attempt == asked.journal.attempt


def test_who_waits_for_the_window_is_called_off_before_it_opens(joined: JoinedBase, target: Target) -> None:
    clearance = Asked(joined, target, **CLOSED).ask()
    assert (clearance.word, clearance.code) == (Word.CANCEL, "taken-back")


@pytest.mark.parametrize("offline_start", [False, True])
def test_without_the_portal_a_closed_window_stays_closed(
    joined: JoinedBase, target: Target, offline_start: bool
) -> None:
    asked = Asked(joined, target, offline_start=offline_start, **CLOSED)
    joined.portal.server.at("/api/v1/poll", answers.status(503))
    assert asked.ask().word is Word.WAIT


def test_a_revoked_engine_does_not_pass(joined: JoinedBase, target: Target) -> None:
    asked = Asked(joined, target, offline_start=True)
    joined.portal.server.at("/api/v1/poll", answers.json(b'{"code": "engine-revoked"}', 401))
    with pytest.raises(EnrolmentRefused):
        asked.ask()


def test_a_clock_behind_the_vendors_dates_does_not_open_a_window_again(
    joined: JoinedBase, target: Target
) -> None:
    asked = Asked(joined, target, start_before=joined.vendor.now)
    clearance = asked.gate.ask(asked.journal, datetime(1970, 1, 1, tzinfo=UTC))
    assert (clearance.word, clearance.code) == (Word.CANCEL, "start-too-late")
