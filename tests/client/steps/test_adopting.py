"""Adoption against a scripted portal: what is told, what is written, and what is put off."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from engineshed_client import machine
from engineshed_client.adoption import Adoption, AdoptionFile
from engineshed_client.errors import ContentRefused, DiskTrouble, PortalUnavailable, Refused
from engineshed_client.fsops import FsOps
from engineshed_client.health import Tick
from engineshed_client.install.trees import find_tree
from engineshed_client.reports import Outbox, UpdateLog
from engineshed_client.steps.adopting import Adopted, adopt, check_adoptable
from engineshed_client.steps.beginning import begin_install, begin_rollback
from engineshed_client.steps.learning import PutOff
from engineshed_packages.manifest import MANIFEST_NAME
from engineshed_packages.protocol import Outcome
from engineshed_packages.versions import Version
from tests.client.host import FailingFs, FastFs, Killed, KillingFs
from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import ScriptedPortal
from tests.faulty_http import Answer, answers
from tests.vendor import Vendor

V1 = Version.parse("1.0.0")


@pytest.fixture
def scripted() -> Iterator[ScriptedPortal]:
    with ScriptedPortal() as portal:
        yield portal


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def joined(tmp_path: Path, scripted: ScriptedPortal, vendor: Vendor) -> Iterator[JoinedBase]:
    """A base that joined, with 1.0.0 in its engine's folder as somebody unpacked it long ago."""
    base = JoinedBase(tmp_path / "base", scripted, vendor)
    unpack(vendor.package("1.0.0"), base.paths.engine)
    (base.paths.engine / "own").mkdir()
    (base.paths.engine / "own" / "notes").write_text("mine")
    yield base
    base.close()


def unpack(package: Path, engine: Path) -> None:
    """As `unzip` does, modes and all, and without a manifest: those packages had none."""
    with ZipFile(package) as archive:
        for info in archive.infolist():
            if info.filename != MANIFEST_NAME:
                archive.extract(info, engine)
                (engine / info.filename).chmod(info.external_attr >> 16 & 0o777)


def publish(joined: JoinedBase, *versions: str) -> None:
    for version in versions:
        joined.vendor.release(version)
    joined.portal.publish(joined.vendor)


def run(joined: JoinedBase, fs: FsOps | None = None, **parts: object) -> Adopted | PutOff:
    context = joined.context
    if fs is not None:
        log = UpdateLog(joined.paths, fs, now=context.now, echo=lambda line: None)
        context = replace(context, fs=fs, log=log, outbox=Outbox(joined.paths, fs))
    context = replace(context, **parts)  # type: ignore[arg-type]  # parts by name
    pending = AdoptionFile(joined.paths, FsOps())
    if pending.load() is None:
        pending.save(Adoption(V1))
    return adopt(context, joined.parts().portal, V1)


def adopted(joined: JoinedBase) -> Adopted:
    found = run(joined, FastFs())
    assert isinstance(found, Adopted)
    return found


def engine_files(joined: JoinedBase) -> dict[str, bytes]:
    engine = joined.paths.engine
    return {
        path.relative_to(engine).as_posix(): path.read_bytes()
        for path in engine.rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME
    }


def test_an_engine_as_released_gets_the_vendors_own_manifest(joined: JoinedBase) -> None:
    publish(joined, "1.0.0")
    before = engine_files(joined)
    found = adopted(joined)
    tree = find_tree(joined.paths.engine)
    assert tree is not None
    assert tree.is_whole()
    (target,) = joined.parts().portal.open_view().targets
    assert tree.manifest_sha256 == target.manifest_sha256
    assert found.found is not None
    assert (found.version, found.files, found.found.unlisted) == (V1, 2, 1)
    assert found.summary == "as released; 2 files are listed as the vendor's, 1 are in no manifest"
    assert engine_files(joined) == before


def test_the_manifest_alone_is_fetched(joined: JoinedBase) -> None:
    target = joined.vendor.release("1.0.0", files={"lib/big.bin": os.urandom(1_000_000)})
    joined.portal.publish(joined.vendor)
    adopted(joined)
    asked = [one for one in joined.portal.server.requests if one.path == joined.portal.package_at(target)]
    assert [one.headers["range"] for one in asked] == ["bytes=0-65535"]


def test_a_long_manifest_is_fetched_whole(joined: JoinedBase) -> None:
    files = {f"lib/{number:04}.txt": b"x" for number in range(600)}
    target = joined.vendor.release("1.0.0", files=files)
    joined.portal.publish(joined.vendor)
    found = adopted(joined)
    assert found.found is not None
    assert found.found.differences is not None
    assert len(found.found.differences.missing) == 600
    asked = [one for one in joined.portal.server.requests if one.path == joined.portal.package_at(target)]
    assert len(asked) == 2


def test_what_differs_is_told_in_update_log_and_to_the_portal(joined: JoinedBase) -> None:
    publish(joined, "1.0.0")
    (joined.paths.engine / "bin/engine.py").write_bytes(b"import time  # patched\ntime.sleep(3600)\n")
    found = adopted(joined)
    assert "1 changed and 0 missing against its release" in found.summary
    log = joined.context.log.lines(found.attempt)
    assert [line.split(" ", 1)[1] for line in log[:2]] == [
        f'DIFFERS attempt={found.attempt} how=changed path="bin/engine.py: 40 bytes, released 29"',
        f"DIFFERS attempt={found.attempt} how=extra path=own/notes",
    ]
    assert " ADOPTED " in log[2]
    assert "version=1.0.0 files=2 " in log[2]
    joined.context.outbox.send(joined.parts().portal)
    (report,) = joined.portal.reports()
    assert (report.kind, report.outcome, report.code) == ("adopt", Outcome.OK, "adopted")
    assert (report.attempt, report.version, report.message[:9]) == (found.attempt, V1, "1 changed")


def test_a_patched_engine_is_updated_and_what_is_not_the_vendors_goes_along(joined: JoinedBase) -> None:
    publish(joined, "1.0.0", "1.1.0")
    (joined.paths.engine / "bin/engine.py").write_bytes(b"import time  # patched\ntime.sleep(3600)\n")
    (joined.paths.engine / "conf/engine.toml").write_bytes(b"mine\n")
    adopted(joined)
    context = joined.context
    target = next(
        one for one in joined.parts().portal.open_view().targets if one.version == Version.parse("1.1.0")
    )
    journal = begin_install(context, target, bundle=joined.vendor.bundle("1.1.0"))
    assert machine.run(context, journal) is Outcome.OK
    files = engine_files(joined)
    assert (files["VERSION"], files["own/notes"], files["conf/engine.toml"]) == (b"1.1.0", b"mine", b"mine\n")
    assert b"patched" not in files["bin/engine.py"]
    assert machine.run(context, begin_rollback(context)) is Outcome.OK
    files = engine_files(joined)
    assert (files["VERSION"], files["own/notes"], files["conf/engine.toml"]) == (b"1.0.0", b"mine", b"mine\n")
    assert b"patched" in files["bin/engine.py"]


def test_where_the_release_is_not_known_a_near_one_tells_how(joined: JoinedBase) -> None:
    publish(joined, "1.1.0", "1.2.0")
    found = adopted(joined)
    assert found.found is not None
    assert (found.found.differences, found.found.guide) == (None, Version.parse("1.1.0"))
    assert found.summary.startswith("its release is not known here, 1.1.0 told what is the vendor's;")
    tree = find_tree(joined.paths.engine)
    assert tree is not None
    assert (tree.manifest.version, tree.is_whole()) == (V1, True)
    assert tree.manifest.start.command == ("{python}", "{engine}/bin/engine.py")


def test_where_nothing_is_published_the_settings_tell_how(joined: JoinedBase) -> None:
    engine = replace(joined.context.settings.engine, start=("{engine}/bin/engine.py",), probe_tcp="[::1]:1")
    found = run(joined, settings=replace(joined.context.settings, engine=engine))
    assert isinstance(found, Adopted)
    tree = find_tree(joined.paths.engine)
    assert tree is not None
    assert tree.manifest.start.command == ("{engine}/bin/engine.py",)
    assert tree.manifest.probe.tcp == "[::1]:1"
    assert tree.manifest.find("own/notes") is not None


def test_where_nobody_tells_how_it_is_put_off(joined: JoinedBase) -> None:
    found = run(joined)
    assert isinstance(found, PutOff)
    assert found.code == "release-unknown"
    assert find_tree(joined.paths.engine) is None
    assert AdoptionFile(joined.paths, FsOps()).load() == Adoption(V1)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answers.json(b'{"code": "engine-waiting", "detail": "wait"}', 403), "engine-waiting"),
        (answers.status(500), "http-500"),
        (answers.html(), "not-a-package"),
    ],
)
def test_before_it_is_approved_or_the_portal_answers_it_is_put_off(
    joined: JoinedBase, answer: Answer, code: str
) -> None:
    target = joined.vendor.release("1.0.0")
    joined.portal.publish(joined.vendor)
    joined.portal.server.at(joined.portal.package_at(target), answer)
    found = run(joined)
    assert isinstance(found, PutOff)
    assert found.code == code
    assert find_tree(joined.paths.engine) is None


def test_a_manifest_that_was_not_signed_is_refused(joined: JoinedBase) -> None:
    target = joined.vendor.release("1.0.0")
    joined.portal.publish(joined.vendor)
    data = bytearray((joined.vendor.repository.folder / "targets" / target.download_name).read_bytes())
    data[200] ^= 1
    joined.portal.server.at(joined.portal.package_at(target), answers.file(bytes(data)))
    with pytest.raises(ContentRefused) as caught:
        run(joined)
    assert caught.value.code == "package-mismatch"
    assert find_tree(joined.paths.engine) is None


@pytest.mark.parametrize("answer", [answers.file(b"PK\3\4" + b"\0" * 80), answers.file(b"nonsense" * 50)])
def test_what_is_no_package_is_refused(joined: JoinedBase, answer: Answer) -> None:
    target = joined.vendor.release("1.0.0")
    joined.portal.publish(joined.vendor)
    joined.portal.server.at(joined.portal.package_at(target), answer)
    with pytest.raises((ContentRefused, PortalUnavailable)):
        run(joined)
    assert find_tree(joined.paths.engine) is None


class Running:
    """An engine that runs and that the updater did not start."""

    def is_running(self) -> bool:
        return False

    def leftovers(self) -> tuple[str, ...]:
        return ("process 1",)

    def take_over(self) -> str | None:
        return "process 1 (java, open)"


@pytest.mark.parametrize("said", ["1.0.1", "nonsense"])
def test_an_engine_that_says_it_is_another_version_is_not_adopted(joined: JoinedBase, said: str) -> None:
    publish(joined, "1.0.0")
    tick = Tick(good=False, version=said, reason="another")
    with pytest.raises(Refused) as caught:
        run(joined, supervisor=Running(), probe=lambda spec, *, expected_version: tick)
    assert caught.value.code == "version-differs"
    assert said in caught.value.message
    assert find_tree(joined.paths.engine) is None


@pytest.mark.parametrize("said", ["1.0.0", "1.0", None])
def test_an_engine_that_runs_is_looked_after(joined: JoinedBase, said: str | None) -> None:
    publish(joined, "1.0.0")
    tick = Tick(good=said is not None, version=said, reason="")
    found = run(joined, supervisor=Running(), probe=lambda spec, *, expected_version: tick)
    assert isinstance(found, Adopted)
    assert found.notes == ("the updater looks after process 1 (java, open) from now on",)


def test_an_engine_that_does_not_run_is_not_asked(joined: JoinedBase) -> None:
    publish(joined, "1.0.0")

    def nobody(spec: object, *, expected_version: Version) -> Tick:
        raise AssertionError("somebody else's engine was asked")

    assert isinstance(run(joined, probe=nobody), Adopted)


def test_a_file_that_cannot_be_read_ends_it_before_anything_is_written(
    joined: JoinedBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(joined, "1.0.0")

    def denied(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("engineshed_client.install.inventory.sha256_no_follow", denied)
    with pytest.raises(DiskTrouble) as caught:
        run(joined)
    assert caught.value.code == "disk-denied"
    assert find_tree(joined.paths.engine) is None


def test_wherever_it_is_killed_the_next_run_ends_it_and_it_is_told_once(joined: JoinedBase) -> None:
    publish(joined, "1.0.0")
    (joined.paths.engine / "bin/engine.py").write_bytes(b"# patched\n")
    before = engine_files(joined)
    for kill_at in itertools.count():
        try:
            run(joined, KillingFs(kill_at=kill_at))
        except Killed:
            tree = find_tree(joined.paths.engine)
            assert tree is None or tree.is_whole()
            if tree is None or AdoptionFile(joined.paths, FsOps()).load() is not None:
                assert adopted(joined).summary.startswith("1 changed and 0 missing")
            (line,) = (line for line in joined.context.log.read() if line.event == "ADOPTED")
            assert line.values["message"].startswith("1 changed and 0 missing")
            assert joined.context.outbox.waiting() == 1
            assert engine_files(joined) == before
            assert AdoptionFile(joined.paths, FsOps()).load() is None
            joined.portal.server.requests.clear()
            forget(joined)
        else:
            break
    assert kill_at > 10


def forget(joined: JoinedBase) -> None:
    """Undo an adoption, so that it can be tried once more."""
    (joined.paths.engine / MANIFEST_NAME).unlink()
    joined.paths.update_log.unlink()
    for report in joined.paths.outbox.glob("*.json"):
        report.unlink()


@pytest.mark.parametrize("number", range(3))
def test_a_manifest_that_cannot_be_written_is_told_and_leaves_nothing(
    joined: JoinedBase, number: int
) -> None:
    publish(joined, "1.0.0")
    trial = KillingFs()
    run(joined, trial)
    first = next(i for i, effect in enumerate(trial.effects) if effect == f"create .{MANIFEST_NAME}.tmp")
    forget(joined)
    with pytest.raises(DiskTrouble):
        run(joined, FailingFs(first + number, 28))
    assert not [path for path in joined.paths.engine.iterdir() if MANIFEST_NAME in path.name]


def test_an_engine_that_is_managed_already_is_not_adopted(joined: JoinedBase) -> None:
    publish(joined, "1.0.0")
    adopted(joined)
    with pytest.raises(Refused) as caught:
        check_adoptable(joined.paths.engine)
    assert caught.value.code == "engine-managed"


def test_what_is_no_engine_is_told(joined: JoinedBase, tmp_path: Path) -> None:
    (joined.paths.engine / MANIFEST_NAME).write_text("somebody else's")
    codes = []
    for folder in (joined.paths.engine, tmp_path / "absent", joined.paths.settings):
        with pytest.raises(Refused) as caught:
            check_adoptable(folder)
        codes.append(caught.value.code)
    assert codes == ["manifest-in-the-way", "engine-missing", "engine-missing"]


def test_of_a_portal_in_nobodys_name_nothing_is_believed(joined: JoinedBase, tmp_path: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    joined.portal.publish(stranger)
    with pytest.raises(ContentRefused) as caught:
        run(joined)
    assert caught.value.code == "metadata-signature"
