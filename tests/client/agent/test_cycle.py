"""Cycles against a scripted portal: the main way, trouble, and attempts that wait."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from engineshed_client.adoption import Adoption, AdoptionFile
from engineshed_client.agent import Event
from engineshed_client.errors import EnrolmentRefused, PortalUnavailable
from engineshed_client.fsops import FsOps
from engineshed_client.install.trees import find_tree
from engineshed_client.journal import State
from engineshed_client.steps.beginning import begin_update
from engineshed_packages.orders import Window
from engineshed_packages.protocol import Outcome
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import now
from tests.faulty_http import Answer, answers
from tests.vendor import Vendor

FALLS = b"raise SystemExit(3)\n"


@pytest.fixture
def newer(joined: JoinedBase, vendor: Vendor) -> Target:
    joined.install("1.0.0")
    joined.context.outbox.send(joined.parts().portal)
    target = vendor.release("1.1.0")
    joined.portal.publish(vendor)
    joined.portal.server.requests.clear()
    return target


def order(joined: JoinedBase, target: Target, **changes: object) -> None:
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(target, **changes)))


def test_no_news_changes_nothing(joined: JoinedBase, newer: Target) -> None:
    done = joined.cycle().run()
    assert (done.event, done.poll_s, joined.version) == (Event.NOTHING, 1, "1.0.0")


def test_an_order_is_carried_out_and_reported(joined: JoinedBase, newer: Target) -> None:
    order(joined, newer)
    done = joined.cycle().run()
    assert (done.event, done.outcome, joined.version) == (Event.ENDED, Outcome.OK, "1.1.0")
    (report,) = joined.portal.reports()
    assert (report.outcome, report.attempt, report.version and report.version.text) == (
        Outcome.OK,
        done.attempt,
        "1.1.0",
    )


def test_the_accepted_number_is_told_in_the_next_poll(joined: JoinedBase, newer: Target) -> None:
    order(joined, newer)
    cycle = joined.cycle()
    cycle.run()
    joined.portal.answer_polls(joined.portal.no_news())
    cycle.run()
    assert joined.portal.polls()[-1].seq == 1


def test_an_order_for_what_is_installed_already_is_refused(joined: JoinedBase, newer: Target) -> None:
    order(joined, newer)
    cycle = joined.cycle()
    cycle.run()
    order(joined, newer, allow_downgrade=True)
    done = cycle.run()
    assert (done.event, done.code) == (Event.REFUSED, "up-to-date")


def test_a_broken_release_is_rolled_back_remembered_and_reported_with_its_cause(
    joined: JoinedBase, vendor: Vendor
) -> None:
    joined.install("1.0.0")
    files = {"bin/engine.py": b"import sys\nprint('cannot find my keys', flush=True)\n" + FALLS}
    target = vendor.release("1.1.0", files=files)
    joined.portal.publish(vendor)
    order(joined, target)
    joined.context = replace(joined.context, sleep=time.sleep)  # it needs time to fall
    done = joined.cycle().run()
    assert (done.outcome, joined.version, joined.context.supervisor.is_running()) == (
        Outcome.ROLLED_BACK,
        "1.0.0",
        True,
    )
    assert [one.sha256 for one in joined.context.seen.load().skipped] == [target.sha256]
    report = joined.portal.reports()[-1]
    assert "cannot find my keys" in report.engine_log
    assert (
        report.update_log[-1]
        .partition(" ")[2]
        .startswith(f"END attempt={report.attempt} outcome=ROLLED_BACK")
    )


@pytest.mark.parametrize("answer", [answers.status(500), answers.html(), answers.status(404)])
def test_a_package_that_cannot_be_fetched_is_tried_again_in_the_next_cycle(
    joined: JoinedBase, newer: Target, answer: Answer
) -> None:
    order(joined, newer)
    joined.portal.server.at(joined.portal.package_at(newer), answer)
    cycle = joined.cycle()
    assert cycle.run().event is Event.UNFETCHED
    joined.portal.publish(joined.vendor)
    assert cycle.run().outcome is Outcome.OK


def test_an_attempt_outside_its_window_waits_staged_while_the_engine_runs(
    joined: JoinedBase, newer: Target
) -> None:
    window = Window(opens=now() + timedelta(hours=1), closes=now() + timedelta(hours=2))
    order(joined, newer, window=window)
    cycle = joined.cycle()
    for _ in range(3):
        assert cycle.run().event is Event.WAITING
    journal = joined.journal
    assert journal is not None
    assert (journal.state, joined.version) == (State.STAGED, "1.0.0")
    assert joined.context.supervisor.is_running()


def test_waiting_costs_no_writes_of_the_journal(joined: JoinedBase, newer: Target) -> None:
    window = Window(opens=now() + timedelta(hours=1), closes=now() + timedelta(hours=2))
    order(joined, newer, window=window)
    cycle = joined.cycle()
    cycle.run()
    before = joined.paths.journal.read_bytes()
    cycle.run()
    assert joined.paths.journal.read_bytes() == before


def test_another_process_goes_on_with_a_waiting_attempt(joined: JoinedBase, newer: Target) -> None:
    joined.portal.server.at(joined.portal.package_at(newer), answers.status(500))
    order(joined, newer)
    joined.cycle().run()
    joined.portal.publish(joined.vendor)
    assert joined.cycle().run().outcome is Outcome.OK
    assert len(joined.portal.reports()) == 1


def test_an_interrupted_attempt_is_recovered_first(joined: JoinedBase, newer: Target) -> None:
    parts = joined.parts()
    plain = joined.portal.plain_order(newer)
    begin_update(parts.context, newer, order=plain, envelope=joined.portal.sign(plain))
    joined.portal.answer_polls(joined.portal.offer(joined.portal.sign(plain)))
    assert joined.cycle().run().outcome is Outcome.OK


def test_an_attempt_that_failed_rests_before_it_is_tried_again(joined: JoinedBase, newer: Target) -> None:
    package = joined.portal.package_at(newer)
    joined.portal.server.at(package, answers.file(bytes(newer.length_bytes)))
    order(joined, newer)
    cycle = joined.cycle()
    assert cycle.run().code == "content-sha256"
    joined.portal.publish(joined.vendor)
    order(joined, newer)
    assert cycle.run().event is Event.RESTING


def test_what_the_portal_held_back_is_installed_as_soon_as_it_is_offered_again(
    joined: JoinedBase, newer: Target
) -> None:
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(newer)), joined.portal.no_news())
    cycle = joined.cycle()
    done = cycle.run()
    assert (done.outcome, done.code) == (Outcome.ABORTED, "taken-back")
    order(joined, newer)
    assert cycle.run().outcome is Outcome.OK


def test_a_wrong_package_aborts_without_downtime(joined: JoinedBase, newer: Target) -> None:
    identity = joined.context.supervisor.identity()
    order(joined, newer)
    wrong = bytes(newer.length_bytes)
    joined.portal.server.at(joined.portal.package_at(newer), answers.file(wrong))
    done = joined.cycle().run()
    assert (done.outcome, done.code) == (Outcome.ABORTED, "content-sha256")
    assert joined.context.supervisor.identity() == identity


def test_reports_wait_for_the_portal(joined: JoinedBase, newer: Target) -> None:
    order(joined, newer)
    joined.portal.server.at("/api/v1/reports", answers.status(503))
    cycle = joined.cycle()
    assert cycle.run().outcome is Outcome.OK
    with pytest.raises(PortalUnavailable):
        cycle.run()
    joined.portal.server.at("/api/v1/reports", answers.json(b'{"code": "recorded"}'))
    joined.portal.answer_polls(joined.portal.no_news())
    cycle.run()
    assert joined.context.outbox.waiting() == 0


def test_a_revoked_engine_keeps_running(joined: JoinedBase, newer: Target) -> None:
    joined.portal.server.at("/api/v1/poll", answers.json(b'{"code": "engine-revoked"}', 401))
    with pytest.raises(EnrolmentRefused) as caught:
        joined.cycle().run()
    assert caught.value.code == "engine-revoked"
    assert joined.context.supervisor.is_running()


def test_an_engine_that_ran_as_the_host_went_down_is_started_by_the_first_cycle(
    joined: JoinedBase, newer: Target
) -> None:
    joined.context.supervisor.stop(5)
    joined.paths.service.write_text('{"identity": "4711:1:another"}')
    cycle = joined.cycle()
    cycle.run()
    assert joined.context.supervisor.is_running()


def test_an_engine_that_cannot_be_started_after_boot_does_not_keep_the_updater_from_its_work(
    joined: JoinedBase, newer: Target
) -> None:
    joined.context.supervisor.stop(5)
    joined.paths.service.write_text('{"identity": "4711:1:another"}')
    (joined.paths.engine / "MANIFEST.json").write_text("{}")
    assert joined.cycle().run().event is Event.NOTHING


def test_the_first_engine_comes_by_order_too(joined: JoinedBase, vendor: Vendor) -> None:
    target = vendor.release("1.0.0")
    joined.portal.publish(vendor)
    order(joined, target)
    assert joined.cycle().run().outcome is Outcome.OK
    assert joined.context.supervisor.is_running()


def test_a_stopped_engine_stays_stopped(joined: JoinedBase, newer: Target) -> None:
    joined.context.supervisor.stop(5)
    order(joined, newer)
    done = joined.cycle().run()
    assert (done.outcome, joined.version, joined.context.supervisor.is_running()) == (
        Outcome.OK,
        "1.1.0",
        False,
    )
    assert "probed=no" in joined.log_lines("END")[-1]


def says(joined: JoinedBase, code: str) -> None:
    joined.portal.answer_polls(replace(joined.portal.no_news(), code=code, text=f"this is {code}"))


def test_who_waits_for_approval_finds_it_in_update_log_once(joined: JoinedBase) -> None:
    cycle = joined.cycle()
    says(joined, "waiting-for-approval")
    done = [cycle.run() for _ in range(3)][-1]
    assert (done.event, done.code) == (Event.NOTHING, "waiting-for-approval")
    (line,) = joined.log_lines("PORTAL")
    assert line.endswith('attempt=none code=waiting-for-approval message="this is waiting-for-approval"')
    says(joined, "no-release")
    cycle.run()
    says(joined, "up-to-date")
    cycle.run()
    assert [line.split("code=")[1].split()[0] for line in joined.log_lines("PORTAL")] == [
        "waiting-for-approval",
        "no-release",
    ]


def test_who_is_refused_finds_it_in_update_log_once(joined: JoinedBase) -> None:
    refusals = [
        answers.json(b'{"code": "engine-rejected", "detail": "%d"}' % number, 401) for number in range(6)
    ]
    joined.portal.server.at("/api/v1/poll", *refusals)
    cycle = joined.cycle()
    for _ in range(3):
        with pytest.raises(EnrolmentRefused):
            cycle.run()
    (line,) = joined.log_lines("PORTAL")
    assert "code=engine-rejected" in line


def test_a_disk_that_is_full_keeps_no_poll_from_being_made(joined: JoinedBase) -> None:
    says(joined, "waiting-for-approval")
    joined.paths.heard.mkdir()
    assert joined.cycle().run().code == "waiting-for-approval"


@pytest.fixture
def old(joined: JoinedBase, vendor: Vendor) -> JoinedBase:
    """A base with an engine of 1.0.0 that is to be adopted; both 1.0.0 and 1.1.0 are published."""
    for version in ("1.0.0", "1.1.0"):
        vendor.release(version)
    joined.portal.publish(vendor)
    for name, data in {"VERSION": b"1.0.0", "bin/engine.py": b"# patched", "own/x": b"mine"}.items():
        path = joined.paths.engine / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    AdoptionFile(joined.paths, FsOps()).save(Adoption(Version.parse("1.0.0")))
    return joined


def test_before_it_is_approved_an_engine_is_not_adopted_and_its_version_is_told(old: JoinedBase) -> None:
    says(old, "waiting-for-approval")
    assert old.cycle().run().event is Event.NOTHING
    assert find_tree(old.paths.engine) is None
    assert [poll.version and poll.version.text for poll in old.portal.polls()] == ["1.0.0"]
    asked = {one.path for one in old.portal.server.requests}
    assert not [path for path in asked if path.startswith("/repo/")]


def test_once_it_is_approved_an_engine_is_adopted_before_any_order_is_taken(old: JoinedBase) -> None:
    target = old.parts().portal.open_view().find("sample-engine/1.1.0/sample-engine-1.1.0-any.zip")
    assert target is not None
    order(old, target)
    cycle = old.cycle()
    done = cycle.run()
    assert (done.event, done.code, done.outcome) == (Event.ADOPTED, "adopted", Outcome.OK)
    assert [(report.kind, report.code) for report in old.portal.reports()] == [("adopt", "adopted")]
    done = cycle.run()
    assert (done.event, done.outcome, old.version) == (Event.ENDED, Outcome.OK, "1.1.0")
    assert (old.paths.engine / "own/x").read_bytes() == b"mine"


def test_a_portal_that_hands_out_what_nobody_signed_keeps_an_engine_waiting(old: JoinedBase) -> None:
    for path in list(old.vendor.repository.folder.rglob("*.zip")):
        name = path.relative_to(old.vendor.repository.folder).as_posix()
        old.portal.server.at(f"/repo/v1/vendor/{name}", answers.file(b"PK\3\4 nonsense" * 20))
    assert old.cycle().run().event is Event.NOTHING
    assert AdoptionFile(old.paths, FsOps()).load() is not None


def test_an_engine_that_cannot_be_adopted_is_told_once_and_left(old: JoinedBase) -> None:
    (old.paths.engine / "MANIFEST.json").write_text("somebody else's")
    cycle = old.cycle()
    assert [cycle.run().event for _ in range(2)] == [Event.NOTHING] * 2
    (line,) = old.log_lines("NOT-ADOPTED")
    assert "code=manifest-in-the-way" in line
    assert AdoptionFile(old.paths, FsOps()).load() is None


def test_who_is_revoked_in_between_may_still_be_adopted_later(old: JoinedBase) -> None:
    for path in list(old.vendor.repository.folder.rglob("*.zip")):
        name = path.relative_to(old.vendor.repository.folder).as_posix()
        old.portal.server.at(f"/repo/v1/vendor/{name}", answers.json(b'{"code": "engine-revoked"}', 401))
    with pytest.raises(EnrolmentRefused):
        old.cycle().run()
    assert AdoptionFile(old.paths, FsOps()).load() is not None
