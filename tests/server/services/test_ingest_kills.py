"""Killed anywhere, an ingest leaves a portal that engines can rely on, and a retry finishes it.

Three kinds of death: an exception at every step, a failing rename at every rename, and SIGKILL of a real
process. After each: no row without its bytes, nothing listed or ordered that is not public, public
metadata that verifies and whose packages and notes of this portal can be downloaded.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_server.errors import TryLater
from engineshed_server.services import ingest, releases
from tests.crash.soundness import faults
from tests.server.portals import House

STEPS = ("verified", "stored", "recorded", "metadata-written", "timestamp-written", "published", "trusted")


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def kill_at(step: str) -> Callable[[str], None]:
    def reached(name: str) -> None:
        if name == step:
            raise Killed(step)

    return reached


@pytest.fixture
def updating(house: House) -> House:
    """A portal with 1.0.0, whose vendor has released 1.1.0 with notes."""
    house.publish("1.0.0")
    house.vendor.release("1.1.0", terms=ReleaseTerms(notes=house.vendor.notes()))
    return house


def check_sound(house: House) -> None:
    """What must hold after any death, seen by a process that starts anew."""
    cache = house.vendor.folder / "updater"
    assert faults(house.portal, root=house.vendor.root, cache=cache, now=house.now) == []


def versions(house: House) -> list[str]:
    return [release.version for release in releases.list_releases(house.portal)]


def after_death(house: House) -> House:
    again = house.reopen()
    check_sound(again)
    return again


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_portal_is_sound_and_a_retry_finishes(updating: House, step: str) -> None:
    bundle = updating.vendor.bundle("1.1.0")
    with pytest.raises(Killed):
        updating.ingest_file(bundle, reached=kill_at(step))
    again = after_death(updating)
    again.ingest_file(bundle)
    check_sound(again)
    assert versions(again) == ["1.1.0", "1.0.0"]
    assert again.ingest_file(bundle).code == "unchanged"


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_of_the_first_bundle_the_portal_is_sound(house: House, step: str) -> None:
    house.vendor.release("1.0.0")
    bundle = house.vendor.bundle("1.0.0")
    with pytest.raises(Killed):
        house.ingest_file(bundle, reached=kill_at(step))
    again = after_death(house)
    again.ingest_file(bundle)
    assert versions(again) == ["1.0.0"]


@pytest.mark.parametrize("step", STEPS)
def test_no_order_is_issued_for_a_release_that_is_not_public(updating: House, step: str) -> None:
    engine = updating.enrol(version="1.0.0")
    with pytest.raises(Killed):
        updating.ingest("1.1.0", reached=kill_at(step))
    again = updating.reopen()
    ordered = again.poll(engine, version="1.0.0").order is not None
    assert ordered == (step in ("published", "trusted"))


@pytest.mark.parametrize("step", STEPS)
def test_a_newer_bundle_finishes_what_was_left(updating: House, step: str) -> None:
    with pytest.raises(Killed):
        updating.ingest("1.1.0", reached=kill_at(step))
    updating.vendor.release("1.2.0")
    again = after_death(updating)
    again.ingest("1.2.0")
    check_sound(again)
    arrived = step not in ("verified", "stored")
    assert versions(again) == (["1.2.0", "1.1.0", "1.0.0"] if arrived else ["1.2.0", "1.0.0"])


@pytest.mark.parametrize("step", STEPS)
def test_an_older_bundle_never_takes_public_metadata_back(updating: House, step: str) -> None:
    older = updating.vendor.bundle("1.1.0")
    updating.vendor.release("1.2.0")
    with pytest.raises(Killed):
        updating.ingest("1.2.0", reached=kill_at(step))
    before = updating.portal.metadata.timestamp()
    again = after_death(updating)
    again.ingest_file(older)
    check_sound(again)
    public = step not in ("verified", "stored", "recorded", "metadata-written")
    assert (again.portal.metadata.timestamp() == before) == public
    assert "1.1.0" in versions(again)


def test_what_was_public_but_not_written_down_is_finished_at_the_next_start(updating: House) -> None:
    with pytest.raises(Killed):
        updating.ingest("1.1.0", reached=kill_at("timestamp-written"))
    again = after_death(updating)
    assert versions(again) == ["1.0.0"]
    ingest.recover(again.portal, now=again.now)
    assert versions(again) == ["1.1.0", "1.0.0"]
    assert again.ingest("1.1.0").code == "unchanged"


def test_recovery_with_nothing_to_recover_changes_nothing(updating: House) -> None:
    before = updating.audited()
    ingest.recover(updating.portal, now=updating.now)
    assert updating.audited() == before


# Four in the scratch folder of the verification, one for the package, one for the notes; then role, snapshot
# and timestamp for what is published, and again for what is trusted.
RENAMES = 12


@pytest.mark.parametrize("failing", range(1, RENAMES + 1))
def test_a_failing_rename_anywhere_leaves_a_sound_portal_and_a_retry_finishes(
    updating: House, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    bundle = updating.vendor.bundle("1.1.0")
    rename = os.replace
    count = 0

    def counted(source: str, target: str) -> None:
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(errno.EIO, "Input/output error", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "replace", counted)
    with pytest.raises(TryLater) as caught:
        updating.ingest_file(bundle)
    monkeypatch.undo()
    assert caught.value.code == "storage-failed"
    again = after_death(updating)
    again.ingest_file(bundle)
    check_sound(again)
    assert versions(again) == ["1.1.0", "1.0.0"]


def test_there_are_no_more_renames_than_those_that_were_made_to_fail(
    updating: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = updating.vendor.bundle("1.1.0")
    renamed: list[None] = []
    rename = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: renamed.append(rename(source, target)))
    updating.ingest_file(bundle)
    assert len(renamed) == RENAMES


KILLED_PROCESS = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from engineshed_server.domain.actors import Actor
from engineshed_server.services.ingest import ingest_bundle
from engineshed_server.settings import load_settings
from engineshed_server.wiring import open_portal

data_dir, database_url, bundle, now, step = sys.argv[1:]
flags = {"portal.data_dir": data_dir, "database.url": database_url}
portal = open_portal(load_settings(None, {}, flags=flags))

def reached(name):
    if name == step:
        os.kill(os.getpid(), signal.SIGKILL)

ingest_bundle(portal, Path(bundle), actor=Actor("test"), now=datetime.fromisoformat(now), reached=reached)
"""


@pytest.mark.parametrize("step", ["stored", "recorded", "metadata-written", "timestamp-written", "published"])
def test_a_process_killed_with_sigkill_leaves_a_sound_portal(updating: House, step: str) -> None:
    bundle = updating.vendor.bundle("1.1.0")
    settings = updating.portal.settings
    arguments = [str(settings.data_dir), settings.database_url, str(bundle), updating.now.isoformat(), step]
    done = subprocess.run([sys.executable, "-c", KILLED_PROCESS, *arguments], check=False)
    assert done.returncode == -9
    again = after_death(updating)
    again.ingest_file(bundle)
    check_sound(again)
    assert versions(again) == ["1.1.0", "1.0.0"]
    assert list((again.portal.folders.blobs / "arriving").iterdir()) == []
