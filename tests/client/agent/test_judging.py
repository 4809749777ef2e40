"""Orders of a hostile portal: each is refused with its code, its line and one report, and nothing else."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engineshed_client.agent import Event
from engineshed_client.steps.context import Context
from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import Json
from engineshed_packages.orders import Package
from engineshed_packages.protocol import Outcome
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import ScriptedPortal, now
from tests.vendor import Vendor

Envelope = dict[str, Json]
Make = Callable[[ScriptedPortal, Target], Envelope]


def altered(portal: ScriptedPortal, target: Target) -> Envelope:
    """The payload says something else than what was signed."""
    envelope = portal.order(target)
    payload = base64.b64decode(str(envelope["payload"])).replace(b'"do":"install"', b'"do":"restart"')
    return {**envelope, "payload": base64.b64encode(payload).decode()}


def by_a_stranger(portal: ScriptedPortal, target: Target) -> Envelope:
    stranger = ScriptedPortal()
    stranger.server._server.server_close()
    return stranger.sign(portal.plain_order(target))


def of_another_digest(portal: ScriptedPortal, target: Target) -> Envelope:
    package = Package(
        path=target.path, length_bytes=target.length_bytes, sha256="0" * 64, version=target.version
    )
    return portal.order(target, package=package)


def of_an_unknown_path(portal: ScriptedPortal, target: Target) -> Envelope:
    package = Package(
        path="sample-engine/9.9.9/sample-engine-9.9.9-any.zip",
        length_bytes=1,
        sha256="0" * 64,
        version=Version.parse("9.9.9"),
    )
    return portal.order(target, package=package)


HOSTILE: dict[str, Make] = {
    "order-signature": by_a_stranger,
    "order-other-engine": lambda portal, target: portal.order(target, engine=new_id("eng")),
    "order-other-portal": lambda portal, target: portal.order(target, portal=new_id("ptl")),
    "order-expired": lambda portal, target: portal.order(target, accept_before=now() - timedelta(seconds=1)),
    "order-unsupported": lambda portal, target: portal.order(target, do="collect-logs"),
    "order-target-mismatch": of_another_digest,
    "order-target-unknown": of_an_unknown_path,
    "order-payload-type": lambda portal, target: {**portal.order(target), "payloadType": "text/plain"},
    "order-unreadable": lambda portal, target: {"payload": 5},
}


@pytest.fixture
def newer(joined: JoinedBase, vendor: Vendor) -> Target:
    joined.install("1.0.0")
    target = vendor.release("1.1.0")
    joined.portal.publish(vendor)
    return target


def engine_files(joined: JoinedBase) -> dict[str, bytes]:
    return {
        path.relative_to(joined.paths.base).as_posix(): path.read_bytes()
        for path in joined.paths.engine.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("code", HOSTILE)
def test_a_hostile_order_is_refused_and_touches_nothing(joined: JoinedBase, newer: Target, code: str) -> None:
    before, identity = engine_files(joined), joined.context.supervisor.identity()
    joined.portal.answer_polls(joined.portal.offer(HOSTILE[code](joined.portal, newer)))
    done = joined.cycle().run()
    assert (done.event, done.code) == (Event.REFUSED, code)
    assert (engine_files(joined), joined.context.supervisor.identity()) == (before, identity)
    assert joined.journal is None


def test_an_altered_order_is_refused(joined: JoinedBase, newer: Target) -> None:
    joined.portal.answer_polls(joined.portal.offer(altered(joined.portal, newer)))
    assert joined.cycle().run().code == "order-signature"


def test_a_refusal_has_one_line_and_one_report_however_often_the_order_comes(
    joined: JoinedBase, newer: Target
) -> None:
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(newer, engine=new_id("eng"))))
    cycle = joined.cycle()
    events = [cycle.run().event for _ in range(3)]
    restarted = joined.cycle()
    restarted.run()
    assert events == [Event.REFUSED, Event.RESTING, Event.RESTING]
    assert len(joined.log_lines("REFUSED")) == 1
    refusals = {one.attempt for one in joined.portal.reports() if one.code == "order-other-engine"}
    assert len(refusals) == 1


def test_the_report_of_a_refusal_names_order_code_and_line(joined: JoinedBase, newer: Target) -> None:
    order = joined.portal.plain_order(newer, accept_before=now() - timedelta(seconds=1))
    joined.portal.answer_polls(joined.portal.offer(joined.portal.sign(order)))
    joined.portal.server.requests.clear()
    joined.context.outbox.send(joined.parts().portal)
    joined.cycle().run()
    report = joined.portal.reports()[-1]
    assert (report.order, report.seq, report.outcome, report.code) == (
        order.id,
        order.seq,
        Outcome.ABORTED,
        "order-expired",
    )
    assert len(report.update_log) == 1
    assert "REFUSED" in report.update_log[0]


def test_a_replayed_order_is_refused(joined: JoinedBase, newer: Target, vendor: Vendor) -> None:
    old = joined.portal.order(newer)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(newer)))
    cycle = joined.cycle()
    assert cycle.run().outcome is Outcome.OK
    joined.portal.answer_polls(joined.portal.offer(old))
    assert cycle.run().code == "order-replayed"


def test_a_replayed_order_is_refused_after_the_metadata_cache_was_lost(
    joined: JoinedBase, newer: Target
) -> None:
    old = joined.portal.order(newer)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(newer)))
    joined.cycle().run()
    joined.paths.metadata.rename(joined.paths.base / "lost")
    joined.portal.answer_polls(joined.portal.offer(old))
    assert joined.cycle().run().code == "order-replayed"


def test_an_order_below_the_floor_is_refused_even_when_a_downgrade_is_ordered(
    joined: JoinedBase, vendor: Vendor
) -> None:
    old = vendor.release("1.0.0")
    vendor.release("1.1.0", terms=ReleaseTerms(floor=Version.parse("1.1.0")))
    joined.install("1.2.0")
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(old, allow_downgrade=True)))
    assert joined.cycle().run().code == "order-below-floor"


def test_an_older_version_without_an_ordered_downgrade_is_refused(joined: JoinedBase, vendor: Vendor) -> None:
    old = vendor.release("0.9.0")
    joined.install("1.0.0")
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(old)))
    assert joined.cycle().run().code == "order-not-newer"


def test_a_withdrawn_release_is_refused(joined: JoinedBase, newer: Target, vendor: Vendor) -> None:
    vendor.change("1.1.0", ReleaseChange(withdrawn=True))
    joined.portal.publish(vendor)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(newer)))
    assert joined.cycle().run().code == "order-withdrawn"


def test_a_step_that_is_missing_is_refused(joined: JoinedBase, vendor: Vendor) -> None:
    joined.install("1.0.0")
    target = vendor.release("3.0.0", terms=ReleaseTerms(min_version=Version.parse("2.0.0")))
    joined.portal.publish(vendor)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(target)))
    assert joined.cycle().run().code == "order-min-version"


def test_a_strangers_release_is_refused(joined: JoinedBase, newer: Target, tmp_path: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    target = stranger.release("2.0.0")
    joined.portal.publish(stranger)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(target)))
    done = joined.cycle().run()
    assert (done.event, done.code, joined.version) == (Event.REFUSED, "metadata-signature", "1.0.0")


def test_expired_metadata_refuses_the_install_and_leaves_the_engine_alone(
    joined: JoinedBase, newer: Target
) -> None:
    joined.portal.answer_polls(
        joined.portal.offer(joined.portal.order(newer, accept_before=now() + timedelta(days=36500)))
    )
    joined.context = replace(joined.context, now=lambda: now() + timedelta(days=9000))
    done = joined.cycle().run()
    assert (done.code, joined.context.supervisor.is_running()) == ("metadata-expired", True)


def test_a_skipped_release_waits_for_an_order_that_says_retry(joined: JoinedBase, newer: Target) -> None:
    skip(joined.context, newer)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(newer)))
    cycle = joined.cycle()
    assert cycle.run().code == "order-skipped"
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(newer, retry=True)))
    assert cycle.run().outcome is Outcome.OK
    assert joined.context.seen.load().skipped == ()


def skip(context: Context, target: Target) -> None:
    context.seen.save(context.seen.load().with_skipped(target.version, target.sha256))
