"""Orders of an administrator as a whole cycle meets them: a real little engine, a scripted portal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from engineshed_client.agent import Event
from engineshed_packages.orders import Order, Window
from engineshed_packages.protocol import Outcome, Report
from engineshed_packages.repository.releases import ReleaseChange
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import now
from tests.faulty_http import answers
from tests.vendor import Vendor

HOUR = timedelta(hours=1)


@pytest.fixture
def newer(joined: JoinedBase, vendor: Vendor) -> Target:
    """1.0.0 runs, 1.1.0 is published."""
    joined.install("1.0.0")
    joined.context.outbox.send(joined.parts().portal)
    target = vendor.release("1.1.0")
    joined.portal.publish(vendor)
    joined.portal.server.requests.clear()
    return target


def order(joined: JoinedBase, target: Target, do: str, **changes: object) -> Order:
    """Let the portal send the order from now on."""
    made = joined.portal.plain_order(target, do=do, **{"package": None, **changes})
    joined.portal.answer_polls(joined.portal.offer(joined.portal.sign(made)))
    return made


def install(joined: JoinedBase, target: Target, **changes: object) -> None:
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(target, **changes)))


def last_report(joined: JoinedBase) -> Report:
    return joined.portal.reports()[-1]


def runs(joined: JoinedBase) -> bool:
    return joined.context.supervisor.is_running()


def test_stop_start_and_restart_are_told_apart_by_the_engine(joined: JoinedBase, newer: Target) -> None:
    cycle, first = joined.cycle(), joined.context.supervisor.identity()
    for do, running in (("stop", False), ("start", True), ("restart", True)):
        before = joined.context.supervisor.identity()
        made = order(joined, newer, do)
        done = cycle.run()
        assert (done.event, done.do, done.outcome, runs(joined)) == (
            Event.CARRIED_OUT,
            do,
            Outcome.OK,
            running,
        )
        assert joined.context.supervisor.identity() != before
        assert (last_report(joined).kind, last_report(joined).order) == (do, made.id)
        assert joined.context.seen.load().seq == made.seq
    assert len(joined.portal.reports()) == 3
    assert joined.context.supervisor.identity() != first


def test_an_updater_says_what_it_can_do_in_its_first_poll(joined: JoinedBase, newer: Target) -> None:
    cycle = joined.cycle()
    cycle.run()
    cycle.run()
    first, second = joined.portal.polls()
    assert {"install", "rollback", "cancel", "start", "stop", "restart"} <= set(first.capabilities)
    assert second.capabilities == ()


def test_the_vendors_metadata_is_not_needed_to_stop_an_engine(joined: JoinedBase, newer: Target) -> None:
    joined.portal.server.at("/repo/v1/vendor/metadata/timestamp.json", answers.status(503))
    order(joined, newer, "stop")
    assert joined.cycle().run().code == "ok"
    assert not runs(joined)


def test_an_engine_stopped_by_order_stays_so_after_a_boot_and_an_update(
    joined: JoinedBase, newer: Target
) -> None:
    order(joined, newer, "stop")
    joined.cycle().run()
    joined.portal.answer_polls(joined.portal.no_news())
    joined.cycle().run()  # another process, as after a boot
    assert not runs(joined)
    install(joined, newer)
    assert joined.cycle().run().outcome is Outcome.OK
    assert (joined.version, runs(joined)) == ("1.1.0", False)
    order(joined, newer, "start")
    assert joined.cycle().run().probed
    assert runs(joined)


def test_the_same_order_again_is_not_carried_out_again(joined: JoinedBase, newer: Target) -> None:
    order(joined, newer, "restart")
    joined.cycle().run()
    identity = joined.context.supervisor.identity()
    done = joined.cycle().run()
    assert (done.event, done.code) == (Event.REFUSED, "order-answered")
    assert joined.context.supervisor.identity() == identity
    assert last_report(joined).kind == "refusal"


def test_an_old_order_again_is_a_replay(joined: JoinedBase, newer: Target) -> None:
    stop = order(joined, newer, "stop")
    joined.cycle().run()
    order(joined, newer, "start")
    joined.cycle().run()
    joined.portal.answer_polls(joined.portal.offer(joined.portal.sign(stop)))
    assert joined.cycle().run().code == "order-replayed"
    assert runs(joined)


def test_an_order_to_stop_waits_for_its_window_while_the_engine_runs(
    joined: JoinedBase, newer: Target
) -> None:
    window = Window(opens=now() + HOUR, closes=now() + 2 * HOUR)
    order(joined, newer, "stop", window=window, accept_before=window.closes)
    done = joined.cycle().run()
    assert (done.event, done.code, runs(joined)) == (Event.WAITING, "window-closed", True)
    assert joined.context.seen.load().seq == 0
    assert joined.portal.reports() == []


def test_an_order_to_stop_that_comes_too_late_is_refused(joined: JoinedBase, newer: Target) -> None:
    order(joined, newer, "stop", start_before=now() - HOUR)
    done = joined.cycle().run()
    assert (done.event, done.code, runs(joined)) == (Event.REFUSED, "start-too-late", True)


def test_a_cancel_of_nothing_is_answered_well(joined: JoinedBase, newer: Target) -> None:
    order(joined, newer, "cancel")
    done = joined.cycle().run()
    assert (done.event, done.code, "nothing" in done.message) == (Event.CARRIED_OUT, "ok", True)
    assert last_report(joined).outcome is Outcome.OK


def test_a_cancel_before_the_stop_aborts_without_downtime_and_is_answered(
    joined: JoinedBase, newer: Target
) -> None:
    identity = joined.context.supervisor.identity()
    install_order = joined.portal.order(newer)
    cancel = joined.portal.plain_order(newer, do="cancel", package=None, message="not today")
    offer = joined.portal.offer(joined.portal.sign(cancel))
    joined.portal.answer_polls(joined.portal.offer(install_order), offer)
    cycle = joined.cycle()
    done = cycle.run()
    assert (done.outcome, done.code, "not today" in done.message) == (Outcome.ABORTED, "cancelled", True)
    done = cycle.run()
    assert (done.event, done.do, done.code) == (Event.CARRIED_OUT, "cancel", "ok")
    assert (joined.version, joined.context.supervisor.identity()) == ("1.0.0", identity)
    assert [(one.kind, one.code) for one in joined.portal.reports()] == [
        ("update", "cancelled"),
        ("cancel", "ok"),
    ]


def test_an_install_that_waits_for_its_window_is_cancelled_at_the_next_poll(
    joined: JoinedBase, newer: Target
) -> None:
    install(joined, newer, window=Window(opens=now() + HOUR, closes=now() + 2 * HOUR))
    cycle = joined.cycle()
    assert cycle.run().event is Event.WAITING
    order(joined, newer, "cancel")
    done = cycle.run()
    assert (done.outcome, done.code, joined.version) == (Outcome.ABORTED, "cancelled", "1.0.0")


def test_what_was_called_off_does_not_rest_when_it_is_ordered_again(
    joined: JoinedBase, newer: Target
) -> None:
    install(joined, newer, window=Window(opens=now() + HOUR, closes=now() + 2 * HOUR))
    cycle = joined.cycle()
    assert cycle.run().event is Event.WAITING
    order(joined, newer, "restart")
    assert cycle.run().code == "superseded"
    install(joined, newer)
    assert (cycle.run().outcome, joined.version) == (Outcome.OK, "1.1.0")


def test_a_download_that_does_not_get_on_is_cancelled_too(joined: JoinedBase, newer: Target) -> None:
    joined.portal.server.at(joined.portal.package_at(newer), answers.status(500))
    install(joined, newer)
    cycle = joined.cycle()
    assert cycle.run().event is Event.UNFETCHED
    order(joined, newer, "cancel")
    done = cycle.run()
    assert (done.outcome, done.code) == (Outcome.ABORTED, "cancelled")


# rollback


@pytest.fixture
def updated(joined: JoinedBase, newer: Target) -> Target:
    """1.1.0 runs, 1.0.0 is kept."""
    install(joined, newer)
    assert joined.cycle().run().outcome is Outcome.OK
    joined.portal.server.requests.clear()
    return newer


def test_an_ordered_rollback_goes_to_the_kept_version_and_what_was_left_is_skipped(
    joined: JoinedBase, updated: Target
) -> None:
    made = order(joined, updated, "rollback")
    done = joined.cycle().run()
    assert (done.event, done.outcome, done.probed, joined.version) == (
        Event.ENDED,
        Outcome.OK,
        True,
        "1.0.0",
    )
    report = last_report(joined)
    assert (report.kind, report.order, report.seq, report.code) == ("rollback", made.id, made.seq, "ok")
    assert [one.sha256 for one in joined.context.seen.load().skipped] == [updated.sha256]
    assert "kind=rollback" in joined.log_lines("BEGIN")[-1]


def test_a_rollback_is_not_repeated_by_who_repeats_the_order(joined: JoinedBase, updated: Target) -> None:
    order(joined, updated, "rollback")
    joined.cycle().run()
    assert joined.cycle().run().code == "order-answered"
    assert joined.version == "1.0.0"


def test_a_rollback_asks_once_more_before_it_stops_the_engine(joined: JoinedBase, updated: Target) -> None:
    made = joined.portal.plain_order(updated, do="rollback", package=None)
    offer = joined.portal.offer(joined.portal.sign(made))
    joined.portal.answer_polls(offer, joined.portal.no_news())
    done = joined.cycle().run()
    assert (done.outcome, done.code, joined.version, runs(joined)) == (
        Outcome.ABORTED,
        "taken-back",
        "1.1.0",
        True,
    )


def test_a_rollback_to_a_version_withdrawn_since_the_engine_last_heard_of_the_vendor_turns_back(
    joined: JoinedBase, updated: Target, vendor: Vendor
) -> None:
    vendor.change("1.0.0", ReleaseChange(withdrawn=True))
    joined.portal.publish(vendor)
    made = joined.portal.plain_order(updated, do="rollback", package=None)
    offer = replace(joined.portal.offer(joined.portal.sign(made)), timestamp_version=99)
    joined.portal.answer_polls(offer)
    done = joined.cycle().run()
    assert (done.outcome, done.code, joined.version) == (Outcome.ABORTED, "withdrawn", "1.1.0")
    assert runs(joined)


def test_a_rollback_needs_no_metadata_of_the_vendor(joined: JoinedBase, updated: Target) -> None:
    joined.portal.server.at("/repo/v1/vendor/metadata/timestamp.json", answers.status(503))
    made = joined.portal.plain_order(updated, do="rollback", package=None)
    offer = replace(joined.portal.offer(joined.portal.sign(made)), timestamp_version=99)
    joined.portal.answer_polls(offer)
    assert joined.cycle().run().outcome is Outcome.OK
    assert joined.version == "1.0.0"


def test_a_rollback_to_a_version_that_is_not_kept_is_refused(joined: JoinedBase, updated: Target) -> None:
    order(joined, updated, "rollback", returns_to=Version.parse("0.5"))
    done = joined.cycle().run()
    assert (done.event, done.code, "kept: 1.0.0" in done.message) == (Event.REFUSED, "no-previous", True)


def test_a_portal_takes_no_engine_back_below_the_vendors_floor(
    joined: JoinedBase, updated: Target, vendor: Vendor
) -> None:
    vendor.change("1.1.0", ReleaseChange(floor=Version.parse("1.1.0")))
    joined.portal.publish(vendor)
    joined.parts().portal.open_view()
    order(joined, updated, "rollback")
    done = joined.cycle().run()
    assert (done.event, done.code, joined.version) == (Event.REFUSED, "order-below-floor", "1.1.0")


def test_a_portal_takes_no_engine_back_to_a_withdrawn_release(
    joined: JoinedBase, updated: Target, vendor: Vendor
) -> None:
    vendor.change("1.0.0", ReleaseChange(withdrawn=True))
    joined.portal.publish(vendor)
    joined.parts().portal.open_view()
    order(joined, updated, "rollback")
    done = joined.cycle().run()
    assert (done.event, done.code, joined.version) == (Event.REFUSED, "order-withdrawn", "1.1.0")


# install


def test_an_ordered_downgrade_is_carried_out_and_what_was_left_is_skipped(
    joined: JoinedBase, updated: Target
) -> None:
    parts = joined.parts()
    older = parts.portal.open_view().find(updated.path.replace("1.1.0", "1.0.0"))
    assert older is not None
    install(joined, older, allow_downgrade=True)
    assert joined.cycle().run().outcome is Outcome.OK
    assert joined.version == "1.0.0"
    assert [one.sha256 for one in joined.context.seen.load().skipped] == [updated.sha256]


def test_a_retry_installs_what_was_skipped_and_does_not_rest(joined: JoinedBase, newer: Target) -> None:
    seen = joined.context.seen.load()
    joined.context.seen.save(seen.with_skipped(newer.version, newer.sha256))
    install(joined, newer)
    cycle = joined.cycle()
    assert cycle.run().code == "order-skipped"
    joined.portal.answer_polls(
        joined.portal.offer(joined.portal.order(newer, retry=True)), joined.portal.no_news()
    )
    assert cycle.run().code == "taken-back"
    install(joined, newer, retry=True)
    assert cycle.run().outcome is Outcome.OK
    assert (joined.version, joined.context.seen.load().skipped) == ("1.1.0", ())


def test_a_command_tells_what_is_ordered_and_carries_it_out(
    joined: JoinedBase, newer: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    envelope = joined.portal.sign(joined.portal.plain_order(newer, do="stop", package=None))
    joined.portal.answer_polls(joined.portal.offer(envelope))
    assert joined.command("check") == 0
    assert "orders the engine to stop" in capsys.readouterr().out
    assert runs(joined)
    joined.portal.answer_polls(joined.portal.offer(envelope), joined.portal.no_news())
    assert joined.command("update") == 0
    assert "ordered to stop: OK" in capsys.readouterr().err
    assert not runs(joined)
