"""``engineshed-client enrol --adopt --version X``."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from engineshed_client.adoption import Adoption, AdoptionFile
from engineshed_client.cli import main
from engineshed_client.enrol import read_credentials
from engineshed_client.fsops import FsOps
from engineshed_client.install.trees import find_tree
from engineshed_client.paths import Paths
from engineshed_client.reports import Outbox
from engineshed_packages.enrolment import EnrolRequest
from engineshed_packages.manifest import MANIFEST_NAME
from engineshed_packages.versions import Version
from tests.client.scripted_portal import ScriptedPortal
from tests.faulty_http import answers
from tests.vendor import Vendor

V1 = Version.parse("1.0.0")


@pytest.fixture
def base(tmp_path: Path, vendor: Vendor, scripted: ScriptedPortal) -> Path:
    """A host with 1.0.0 as somebody unpacked it long ago; the portal has 1.0.0."""
    vendor.release("1.0.0")
    scripted.publish(vendor)
    (tmp_path / "line").write_text(scripted.line.text() + "\n")
    folder = tmp_path / "base"
    with ZipFile(vendor.package("1.0.0")) as archive:
        names = [name for name in archive.namelist() if name != MANIFEST_NAME]
        archive.extractall(folder / "engine", names)
    return folder


def enrol(base: Path, *words: str, version: str = "1.0.0") -> int:
    fixed = ("--line-file", str(base.with_name("line")), "--product", "sample-engine")
    root = ("--trusted-root", str(base.with_name("vendor") / "root.json"))
    return main(["--base", str(base), "enrol", *fixed, *root, "--adopt", "--version", version, *words])


def joined(scripted: ScriptedPortal) -> list[EnrolRequest]:
    arrived = [one for one in scripted.server.requests if one.path == "/api/v1/enrol"]
    return [EnrolRequest.from_bytes(one.body) for one in arrived]


def waits(scripted: ScriptedPortal, vendor: Vendor) -> None:
    """The portal's admin has not approved it."""
    for path in (vendor.repository.folder / "targets").rglob("*.zip"):
        name = path.relative_to(vendor.repository.folder).as_posix()
        problem = b'{"code": "engine-waiting", "detail": "it waits"}'
        scripted.server.at(f"/repo/v1/vendor/{name}", answers.json(problem, 403))


def test_an_old_engine_joins_and_is_adopted(
    base: Path, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enrol(base) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"enrolled as {scripted.engine_id} at {scripted.server.url}"
    assert said[1].startswith("adopted sample-engine 1.0.0: ")
    tree = find_tree(base / "engine")
    assert tree is not None
    assert tree.is_whole()
    assert [request.version for request in joined(scripted)] == [V1]
    main(["--base", str(base), "status"])
    assert "sample-engine 1.0.0, stopped" in capsys.readouterr().out


def test_the_adoption_is_reported_at_once(base: Path, scripted: ScriptedPortal) -> None:
    assert enrol(base) == 0
    assert [(one.kind, one.code) for one in scripted.reports()] == [("adopt", "adopted")]


def test_without_the_portal_the_report_of_the_adoption_waits(base: Path, scripted: ScriptedPortal) -> None:
    scripted.server.at("/api/v1/reports", answers.status(503))
    assert enrol(base) == 0
    assert Outbox(Paths(base), FsOps()).waiting() == 1


def test_what_differs_is_listed_for_people_and_programs(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (base / "engine/bin/engine.py").write_text("patched")
    (base / "engine/VERSION").unlink()
    for number in range(30):
        (base / f"engine/own-{number:02}").write_text("mine")
    assert enrol(base) == 0
    said = capsys.readouterr().out
    assert "1 changed and 1 missing against its release" in said
    assert "  changed  bin/engine.py: 7 bytes, released 29" in said
    assert "  missing  VERSION" in said
    assert "  extra    own-19" in said
    assert "  extra    own-20" not in said
    assert "  extra    … and 10 more" in said
    (base / "engine" / MANIFEST_NAME).unlink()
    assert enrol(base, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    found = told["adopted"]["differences"]
    assert {name: one["number"] for name, one in found.items()} == {"changed": 1, "missing": 1, "extra": 30}
    assert found["changed"]["paths"] == ["bin/engine.py"]
    assert found["changed"]["how"] == {"bin/engine.py": "7 bytes, released 29"}
    assert found["missing"]["paths"] == ["VERSION"]
    assert len(found["extra"]["paths"]) == 30


def test_an_engine_whose_admin_has_to_approve_is_adopted_later(
    base: Path, vendor: Vendor, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    waits(scripted, vendor)
    assert enrol(base) == 75
    said = capsys.readouterr().out
    assert "sample-engine 1.0.0 is not adopted yet: " in said
    assert "the running updater (engineshed-client run) goes on with it by itself" in said
    assert AdoptionFile(Paths(base), FsOps()).load() == Adoption(V1)
    main(["--base", str(base), "status"])
    assert "sample-engine 1.0.0 (not adopted yet)" in capsys.readouterr().out
    scripted.publish(vendor)
    assert enrol(base) == 0  # by hand: the line is not asked for again
    assert f"enrolled already as {scripted.engine_id}" in capsys.readouterr().out
    assert len(joined(scripted)) == 1


@pytest.mark.parametrize("version", ["", "1.0.0 x", "latest"])
def test_a_version_that_cannot_be_read_is_told_before_the_token_is_used(
    base: Path, scripted: ScriptedPortal, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enrol(base, version=version) == 77
    assert "[version-unreadable]" in capsys.readouterr().err
    assert joined(scripted) == []


@pytest.mark.parametrize("words", [("--adopt",), ("--version", "1.0.0")])
def test_both_are_asked_for(
    base: Path, scripted: ScriptedPortal, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    line = str(base.with_name("line"))
    assert main(["--base", str(base), "enrol", "--line-file", line, *words]) == 78
    assert "--adopt and --version X go together" in capsys.readouterr().err
    assert joined(scripted) == []


def test_where_there_is_nothing_to_adopt_the_token_is_not_used(
    base: Path, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    (base / "engine").rename(base / "elsewhere")
    assert enrol(base) == 77
    assert "[engine-missing]" in capsys.readouterr().err
    assert joined(scripted) == []


def test_what_cannot_be_adopted_is_told_and_can_be_tried_again(
    base: Path, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engineshed_client.install.inventory.MAX_FILES", 1)
    assert enrol(base) == 77
    assert "[too-many-files]" in capsys.readouterr().err
    assert AdoptionFile(Paths(base), FsOps()).load() is None
    assert read_credentials(Paths(base)) == scripted.credentials
    monkeypatch.undo()
    assert enrol(base) == 0


def test_an_adoption_that_was_killed_at_its_end_is_ended_by_the_same_command(
    base: Path, scripted: ScriptedPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(base)
    AdoptionFile(Paths(base), FsOps()).save(Adoption(V1, summary="as it was found"))
    capsys.readouterr()
    assert enrol(base) == 0
    assert "adopted sample-engine 1.0.0: as it was found" in capsys.readouterr().out
    assert enrol(base) == 77
    assert "[engine-managed]" in capsys.readouterr().err


def test_a_base_may_join_anew_and_adopt_at_once(base: Path, scripted: ScriptedPortal) -> None:
    enrol(base)
    (base / "engine" / MANIFEST_NAME).unlink()
    assert enrol(base, "--again") == 0
    assert len(joined(scripted)) == 2
