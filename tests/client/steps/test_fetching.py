from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engineshed_client import machine
from engineshed_client.journal import State
from engineshed_client.machine import Waiting
from engineshed_client.steps.context import Clearance, Word
from engineshed_client.steps.fetching import MAX_TIMES_RECEIVED, MAX_TRIES, MAX_WRONG_TRIES
from engineshed_packages.protocol import Outcome
from tests.client.host import FastFs, Host
from tests.client.invariants import check_settled
from tests.client.steps.portals import Ordered, View


class Open:
    """A gate that lets everything pass."""

    def ask(self, journal: object, now: object) -> Clearance:
        return Clearance(word=Word.GO)


def _ordered(host: Host) -> Ordered:
    return Ordered(host, Open())


def test_an_ordered_package_is_fetched_and_installed(host: Host) -> None:
    ordered = _ordered(host)
    assert ordered.run(ordered.begin()) is Outcome.OK
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)
    assert (host.reports()[-1].kind, host.reports()[-1].seq) == ("update", 4)


def test_a_download_that_is_cut_waits_and_goes_on_where_it_ended(host: Host) -> None:
    ordered = _ordered(host)
    ordered.portal.piece = 1000
    journal = ordered.begin()
    assert ordered.run(journal) == Waiting(State.DOWNLOADING)
    ordered.portal.piece = None
    assert ordered.run(ordered.loaded()) is Outcome.OK
    assert ordered.portal.offsets == [0, 1000]


def test_a_portal_that_stays_away_ends_the_attempt_after_many_tries(host: Host) -> None:
    ordered = _ordered(host)
    ordered.portal.piece = 0
    result = ordered.run(ordered.begin())
    while isinstance(result, Waiting):
        result = ordered.run(ordered.loaded())
    assert result is Outcome.ABORTED
    assert (ordered.portal.tries, host.reports()[-1].code) == (MAX_TRIES, "too-many-tries")
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_a_line_that_breaks_off_may_cost_three_packages_and_no_more(host: Host) -> None:
    ordered = _ordered(host)
    length = len(ordered.portal.data)
    ordered.portal.piece, ordered.portal.knows_ranges = length - 10, False
    result = ordered.run(ordered.begin())
    while isinstance(result, Waiting):
        result = ordered.run(ordered.loaded())
    assert result is Outcome.ABORTED
    report = host.reports()[-1]
    assert report.code == "too-many-bytes"
    assert ordered.portal.tries == MAX_TIMES_RECEIVED + 1
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_what_was_received_outlives_the_updater(host: Host) -> None:
    ordered = _ordered(host)
    ordered.portal.piece = 1000
    ordered.run(ordered.begin())
    assert ordered.loaded().received_bytes == 1000
    ordered.run(ordered.loaded())
    assert ordered.loaded().received_bytes == 2000


def test_a_download_whose_release_was_withdrawn_meanwhile_is_given_up(host: Host) -> None:
    ordered = _ordered(host)
    ordered.portal.piece = 1000
    ordered.run(ordered.begin())
    ordered.portal.view = View(replace(ordered.target, withdrawn=True))
    assert ordered.run(ordered.loaded()) is Outcome.ABORTED
    assert host.reports()[-1].code == "withdrawn"


def test_a_portal_that_gives_wrong_bytes_is_asked_three_times_from_the_beginning(host: Host) -> None:
    ordered = _ordered(host)
    good = ordered.portal.data
    ordered.portal.data = good[:-1] + bytes([good[-1] ^ 1])
    assert ordered.run(ordered.begin()) is Outcome.ABORTED
    assert ordered.portal.offsets == [0] * MAX_WRONG_TRIES == [0, 0, 0]
    assert host.reports()[-1].code == "content-sha256"
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_a_part_of_something_else_is_replaced_by_the_right_bytes(host: Host) -> None:
    ordered = _ordered(host)
    part = host.paths.part(ordered.target.sha256)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(b"x" * 1000)
    assert ordered.run(ordered.begin()) is Outcome.OK
    assert ordered.portal.offsets == [1000, 0]


def test_a_download_is_not_begun_without_room_for_it(host: Host) -> None:
    class Small(FastFs):
        def free_bytes(self, folder: Path) -> int:
            return host.warehouse.target("1.1.0").disk_bytes * 2

    assert host.install("1.1.0", Small()) is Outcome.ABORTED
    report = host.reports()[-1]
    assert (report.code, [step.state for step in report.steps]) == ("disk-full", ["DOWNLOADING", "ABORTED"])


def test_a_bundle_that_is_gone_ends_the_attempt(host: Host) -> None:
    context = host.context()
    journal = replace(host.begin("1.1.0", context), bundle=str(host.base / "absent.zip"))
    context.journals.save(journal)
    assert host.recover() is Outcome.ABORTED
    assert "absent.zip" in host.reports()[-1].message


def test_progress_is_told_in_bytes(host: Host) -> None:
    told: list[tuple[int, int]] = []
    context = host.context(progress=lambda done, total: told.append((done, total)))
    machine.run(context, host.begin("1.1.0", context))
    length = host.warehouse.target("1.1.0").length_bytes
    assert told[-1] == (length, length)
