"""Without a journal: nothing is lost, whatever lies around."""

from __future__ import annotations

import os
import shutil

import pytest

from engineshed_client import machine
from engineshed_client.reports.log_line import BEGIN
from engineshed_packages.ids import new_id
from engineshed_packages.protocol import Outcome
from tests.client.host import Host
from tests.client.invariants import check_log


def _folders(host: Host) -> list[str]:
    return sorted(name for name in os.listdir(host.base) if name.startswith("engine"))


def _settle(host: Host) -> None:
    """Recover, and see that doing it again changes nothing."""
    assert host.recover() is None
    after = host.listing()
    assert host.recover() is None
    assert host.listing() == after


def _put(host: Host, source: str, place: str) -> None:
    destination = host.base / place
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(host.base / source, destination, symlinks=True)


STAGED = "update/work/staged"


def test_a_base_in_order_is_left_as_it_is(host: Host) -> None:
    before = host.listing()
    _settle(host)
    assert host.listing() == before


def test_a_missing_engine_is_replaced_by_the_newest_whole_previous_one(host: Host) -> None:
    _put(host, "engine", "engine_20261101")
    _put(host, "engine", "engine_20261102")
    (host.base / "engine_20261102/bin/engine.py").unlink()
    shutil.rmtree(host.paths.engine)
    _settle(host)
    assert _folders(host) == ["engine", "engine_20261102"]
    assert (host.paths.engine / "bin/engine.py").exists()


def test_a_newer_staged_engine_beside_a_whole_one_is_removed(host: Host) -> None:
    host.install("1.1.0")
    (host.base / "engine").rename(host.base / "newer")
    (host.base / "engine_20261122").rename(host.base / "engine")
    _put(host, "newer", STAGED)
    shutil.rmtree(host.base / "newer")
    _settle(host)
    assert (_folders(host), host.version) == (["engine"], "1.0.0")
    assert not host.paths.staged.exists()


def test_an_older_staged_engine_may_be_the_customers_and_is_kept(host: Host) -> None:
    host.install("1.1.0")
    (host.base / "engine_20261122").rename(host.paths.staged)  # exchanged, not yet renamed
    _settle(host)
    assert _folders(host) == ["engine", "engine_20261122"]
    assert (host.base / "engine_20261122/conf/secret.key").exists()


def test_a_staged_engine_beside_a_damaged_one_is_kept(host: Host) -> None:
    host.install("1.1.0")
    (host.base / "engine").rename(host.base / "newer")
    (host.base / "engine_20261122").rename(host.base / "engine")
    (host.base / "newer").rename(host.paths.staged)
    (host.paths.engine / "bin/engine.py").unlink()
    _settle(host)
    assert _folders(host) == ["engine", "engine_20261122"]


def test_a_staged_folder_that_does_not_say_what_it_is_is_kept(host: Host) -> None:
    host.paths.staged.mkdir(parents=True)
    (host.paths.staged / "file").write_text("?")
    _settle(host)
    assert (host.base / "engine_20261122/file").read_text() == "?"


def test_between_two_renames_the_old_engine_comes_back(host: Host) -> None:
    host.install("1.1.0")
    (host.base / "engine").rename(host.paths.staged)
    _settle(host)
    assert (_folders(host), host.version) == (["engine"], "1.0.0")
    assert not host.paths.staged.exists()


def test_an_unfinished_first_installation_leaves_nothing(bare: Host) -> None:
    bare.install("1.0.0")
    bare.processes.running = None
    bare.paths.engine.rename(bare.paths.staged)
    _settle(bare)
    assert _folders(bare) == []
    assert not bare.paths.staged.exists()


def test_the_last_engine_there_is_is_brought_back_from_wherever_it_lies(host: Host) -> None:
    _put(host, "engine", "engine_20261101")
    (host.base / "engine_20261101/bin/engine.py").unlink()
    host.paths.engine.rename(host.paths.staged)
    _settle(host)
    assert host.version == "1.0.0"
    assert (host.paths.engine / "conf/secret.key").exists()


@pytest.mark.parametrize("name", [f"download/{'ab' * 32}.part", ".journal.json.tmp", "outbox/.x.json.tmp"])
def test_what_an_interruption_left_is_removed(host: Host, name: str) -> None:
    path = host.paths.work / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    _settle(host)
    assert not path.exists()


def test_files_of_the_customer_that_look_temporary_stay(host: Host) -> None:
    (host.paths.engine / ".mine.tmp").touch()
    _settle(host)
    assert (host.paths.engine / ".mine.tmp").exists()


def test_a_begun_attempt_without_a_journal_gets_its_end_and_its_report(host: Host) -> None:
    attempt = new_id("att")
    host.context().log.begin(attempt, from_version="1.0.0", to_version="1.1.0", kind="update")
    _settle(host)
    check_log(host)
    report = host.reports()[-1]
    assert (report.attempt, report.outcome, report.code) == (attempt, Outcome.ABORTED, "interrupted")
    assert report.to_version is not None
    assert report.to_version.text == "1.1.0"


def test_a_begun_attempt_that_is_under_way_stays_begun(host: Host) -> None:
    host.begin("1.1.0", host.context())
    machine.recover(host.context())
    assert host.log_text().count(f" {BEGIN} ") == 2
    assert host.log_text().count(" END ") == 1


def test_an_engine_the_admin_stopped_is_not_started(host: Host) -> None:
    host.processes.running = None
    _settle(host)
    assert host.processes.running is None
