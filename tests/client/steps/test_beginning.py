from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from engineshed_client import machine
from engineshed_client.errors import DiskTrouble, JournalUnwritable, Refused, TryLater
from engineshed_client.fsops import EffectFile
from engineshed_client.install.trees import list_previous
from engineshed_client.journal import Kind, State
from engineshed_client.steps.beginning import begin_install, begin_rollback
from engineshed_packages.target import Target, target_path
from engineshed_packages.versions import Version
from tests.client.host import FastFs, Host, memory_folder
from tests.client.invariants import check_customer
from tests.conftest import require


def _begin(host: Host, target: Target) -> None:
    begin_install(host.context(), target, bundle=host.warehouse.bundle("1.1.0"))


def _changed(host: Host, **values: object) -> Target:
    return replace(host.warehouse.target("1.1.0"), **values)  # type: ignore[arg-type]  # fields of the test


def _refused(host: Host, target: Target) -> str:
    before = host.listing()
    with pytest.raises(Refused) as raised:
        _begin(host, target)
    assert host.listing() == before
    return raised.value.code


def test_an_attempt_begins_with_its_journal_and_its_begin_line(host: Host) -> None:
    journal = host.begin("1.1.0", host.context())
    assert host.context().journals.load() == journal
    assert f"BEGIN attempt={journal.attempt} from=1.0.0 to=1.1.0 kind=install" in host.log_text()


def test_a_second_attempt_waits_for_the_first(host: Host) -> None:
    host.begin("1.1.0", host.context())
    with pytest.raises(TryLater) as raised:
        host.begin("1.1.0", host.context())
    assert raised.value.code == "attempt-under-way"


def test_the_installed_version_is_not_installed_again(host: Host) -> None:
    assert _refused(host, host.warehouse.target("1.0.0")) == "up-to-date"


def test_an_engine_the_updater_did_not_install_is_refused(host: Host) -> None:
    (host.paths.engine / "MANIFEST.json").unlink()
    assert _refused(host, host.warehouse.target("1.1.0")) == "engine-unmanaged"


def test_another_product_is_refused(host: Host) -> None:
    path = target_path("other", Version.parse("1.1.0"), "any")
    assert _refused(host, _changed(host, product="other", path=path)) == "other-product"


def test_another_platform_is_refused(host: Host) -> None:
    path = target_path("sample-engine", Version.parse("1.1.0"), "windows-x86_64")
    assert _refused(host, _changed(host, platform="windows-x86_64", path=path)) == "other-platform"


def test_a_base_on_two_volumes_is_refused(host: Host) -> None:
    here = os.stat(host.base).st_dev
    folders = (memory_folder() or host.base, Path(__file__).parent)
    other = next((folder for folder in folders if os.stat(folder).st_dev != here), None)
    require(other is not None, "there is one volume only")
    with tempfile.TemporaryDirectory(dir=other) as elsewhere:
        shutil.copytree(host.paths.update, elsewhere, dirs_exist_ok=True)
        shutil.rmtree(host.paths.update)
        host.paths.update.symlink_to(elsewhere)
        assert _refused(host, host.warehouse.target("1.1.0")) == "two-volumes"


def test_a_withdrawn_release_is_refused(host: Host) -> None:
    assert _refused(host, _changed(host, withdrawn=True)) == "withdrawn"


def test_a_release_below_the_floor_is_refused(host: Host) -> None:
    seen = host.context().seen
    seen.save(seen.load().with_floor("sample-engine", Version.parse("1.2")))
    assert _refused(host, host.warehouse.target("1.1.0")) == "below-floor"


def test_a_step_that_lacks_is_refused(host: Host) -> None:
    assert _refused(host, _changed(host, min_version=Version.parse("1.0.5"))) == "min-version"


def test_a_step_that_is_installed_suffices(host: Host) -> None:
    _begin(host, _changed(host, min_version=Version.parse("1.0.0")))


def test_a_release_that_failed_here_is_refused_until_somebody_says_retry(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick"}
    host.install("1.1.0")
    target, bundle = host.warehouse.target("1.1.0"), host.warehouse.bundle("1.1.0")
    with pytest.raises(Refused) as raised:
        begin_install(host.context(), target, bundle=bundle)
    assert raised.value.code == "skipped"
    assert begin_install(host.context(), target, bundle=bundle, skipped="retry").state is State.DOWNLOADING


def test_an_older_version_is_refused_unless_the_administrator_allows_it(host: Host) -> None:
    host.install("1.1.0")
    assert _refused(host, host.warehouse.target("1.0.0")) == "not-newer"


def test_the_administrator_may_install_an_older_version(host: Host) -> None:
    host.install("1.1.0")
    host.install("1.0.0")
    assert host.version == "1.0.0"
    check_customer(host)


def test_an_attempt_that_cannot_begin_leaves_nothing(host: Host) -> None:
    class NoLog(FastFs):
        def write(self, file: EffectFile, data: object) -> int:
            if file.path.name == "update.log":
                raise OSError(errno.ENOSPC, "No space left on device", str(file.path))
            return super().write(file, data)  # type: ignore[arg-type]  # typeshed's type is private

    before = host.listing()
    with pytest.raises(DiskTrouble):
        host.begin("1.1.0", host.context(NoLog()))
    assert host.listing() == before


def test_an_attempt_without_a_journal_does_not_begin(host: Host) -> None:
    class NoJournal(FastFs):
        def announce(self, effect: str, path: Path) -> None:
            if effect == "replace" and path.name == "journal.json":
                raise OSError(errno.EROFS, "Read-only file system", str(path))

    with pytest.raises(JournalUnwritable) as raised:
        host.begin("1.1.0", host.context(NoJournal()))
    assert raised.value.code == "disk-read-only"
    assert "to=1.1.0" not in host.log_text()


# rollback


def _roll_back(host: Host, version: str | None = None) -> object:
    context = host.context()
    wanted = None if version is None else Version.parse(version)
    return machine.run(context, begin_rollback(context, wanted))


def test_a_rollback_goes_to_the_previous_version_with_the_live_files(host: Host) -> None:
    host.install("1.1.0")
    (host.paths.engine / "conf/secret.key").write_bytes(b"the customer's key\n")
    (host.paths.engine / "conf/later.toml").write_bytes(b"edited after the update\n")
    _roll_back(host)
    assert (host.version, host.processes.running) == ("1.0.0", "1.0.0")
    assert (host.paths.engine / "conf/later.toml").read_bytes() == b"edited after the update\n"
    check_customer(host)
    assert host.reports()[-1].kind == Kind.ROLLBACK


def test_a_rollback_leaves_the_previous_version_where_it_lies(host: Host) -> None:
    host.install("1.1.0")
    before = host.engine(host.base / "engine_20261122")
    _roll_back(host)
    assert host.engine(host.base / "engine_20261122") == before
    assert (host.base / "engine_20261122_2/VERSION").read_text() == "1.1.0"


def test_a_second_rollback_goes_forward_again(host: Host) -> None:
    host.install("1.1.0")
    _roll_back(host)
    _roll_back(host)
    assert host.version == "1.1.0"


def test_a_rollback_to_a_named_version_goes_there(host: Host) -> None:
    host.install("1.1.0")
    with pytest.raises(Refused) as raised:
        begin_rollback(host.context(), Version.parse("0.9"))
    assert (raised.value.code, "kept: 1.0.0" in raised.value.message) == ("no-previous", True)
    with pytest.raises(Refused) as raised:
        begin_rollback(host.context(), Version.parse("1.1"))
    assert raised.value.code == "up-to-date"
    _roll_back(host, "1.0")
    assert host.version == "1.0.0"


def test_without_a_whole_previous_version_there_is_no_rollback(host: Host) -> None:
    host.install("1.1.0")
    (host.base / "engine_20261122/bin/engine.py").unlink()
    with pytest.raises(Refused) as raised:
        begin_rollback(host.context())
    assert raised.value.code == "no-previous"
    assert len(list_previous(host.paths)) == 1


def test_a_rollback_that_fails_its_probe_is_rolled_back_itself(host: Host) -> None:
    host.install("1.1.0")
    host.processes.behaviour = {"1.0.0": "sick"}
    _roll_back(host)
    assert (host.version, host.processes.running) == ("1.1.0", "1.1.0")
