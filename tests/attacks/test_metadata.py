"""Metadata that is old, mixed or a stranger's: what a hacked download site or the network can serve.

The attacker holds no key. He has everything the vendor ever published, and may serve it as he likes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engineshed_packages.metadata import open_view
from tests.attacks.stage import REPOSITORY, Engine, Stage
from tests.attacks.wrong_clock import clock_at
from tests.faulty_http import answers
from tests.vendor import Vendor


def newer(stage: Stage, engine: Engine) -> Vendor:
    """The vendor publishes something newer; what was public before is given back."""
    before = stage.thief()
    stage.vendor.refresh(engine.product, "targets")
    stage.upload_metadata()
    return before


@pytest.mark.parametrize("lost", [(), ("metadata",), ("seen.json", "seen.json.copy")])
def test_a_rollback_to_what_was_public_before_is_refused_whatever_the_host_has_lost(
    stage: Stage, engine: Engine, lost: tuple[str, ...]
) -> None:
    before = newer(stage, engine)
    assert engine.client("check").returncode == 100  # it has seen what is newer
    work = engine.base / "update" / "work"
    for name in lost:
        (shutil.rmtree if name == "metadata" else Path.unlink)(work / name)
    with stage.between() as site:
        site.mount(REPOSITORY, before.repository.folder)
        done = engine.update(site)
    engine.check_unharmed(done, code="metadata-rollback", exit_code=65)


def test_whoever_never_saw_anything_newer_takes_what_was_public_before(
    stage: Stage, engine: Engine, tmp_path: Path
) -> None:
    """The control: the old set is well signed and has not expired."""
    before = newer(stage, engine)
    view = open_view(before.source, cache=tmp_path / "cache", trusted_root=before.root, now=before.now)
    assert view.find(f"{engine.product}/1.1.0/{engine.product}-1.1.0-any.zip") is not None


def test_a_frozen_repository_installs_nothing_new_and_the_order_says_why(
    stage: Stage, engine: Engine
) -> None:
    """He serves the same set for ever; the portal, which he does not have, orders what is newer."""
    frozen = stage.thief()
    stage.release(engine.product, "1.2.0")
    with stage.between() as site:
        site.mount(REPOSITORY, frozen.repository.folder)
        done = engine.update(site)
    engine.check_unharmed(done, code="order-target-unknown", exit_code=77)


def test_a_freeze_ends_with_the_life_of_the_signatures(stage: Stage, engine: Engine) -> None:
    """Four years later nothing of the frozen set is installed; the engine runs on."""
    frozen = stage.thief()
    with stage.between() as site, stage.engine(product=engine.product) as other:
        site.mount(REPOSITORY, frozen.repository.folder)
        other.environment.update(clock_at("+4y"))
        done = other.update(site)
        other.check_unharmed(done, code="metadata-expired", exit_code=65)


@pytest.mark.parametrize("role", ["snapshot", "targets", "product"])
def test_files_of_two_times_mixed_with_each_other_are_refused(
    stage: Stage, engine: Engine, role: str
) -> None:
    """The timestamp of now leads to a file whose content is that of before."""
    before = newer(stage, engine)
    old, new = before.repository.published(), stage.vendor.repository.published()
    name = engine.product if role == "product" else role
    if role == "snapshot":
        path, data = new.snapshot.name, old.snapshot.data
    else:
        path, data = new.roles[name].name, old.roles[name].data
    assert path not in (old.snapshot.name, *(file.name for file in old.roles.values()))
    with stage.between() as site:
        site.at(f"{REPOSITORY}/metadata/{path}", answers.file(data, kind="application/json"))
        done = engine.update(site)
    engine.check_unharmed(done, code="metadata-signature", exit_code=65)


def test_a_strangers_repository_is_refused(stage: Stage, engine: Engine, tmp_path: Path) -> None:
    """He has keys of his own, and signs the same product and version with other software."""
    stranger = Vendor(tmp_path, products=(engine.product,), name="stranger")
    package = stage.workshop.evil(engine.product, "1.1.0")
    stranger.release("1.1.0", product=engine.product, packages=[package])
    with stage.between() as site:
        site.mount(REPOSITORY, stranger.repository.folder)
        done = engine.update(site)
    engine.check_unharmed(done, code="metadata-signature", exit_code=65)


def test_other_bytes_under_a_genuine_name_are_refused(stage: Stage, engine: Engine) -> None:
    """Of the right length, so that only their digest tells."""
    evil = stage.workshop.evil(engine.product, "1.1.0").read_bytes()
    with stage.between() as site:
        for target in stage.vendor.view(stage.vendor.folder / "look").targets:
            data = evil[: target.length_bytes].ljust(target.length_bytes, b"\0")
            site.at(f"{REPOSITORY}/targets/{target.download_name}", answers.file(data))
        done = engine.update(site)
    engine.check_unharmed(done, code="content-sha256", exit_code=65)
