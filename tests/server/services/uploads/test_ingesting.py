"""What is complete is taken in once, whoever dies meanwhile, and what became of it can be asked."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from engineshed_packages.locks import exclusive
from engineshed_server.domain.uploads import RETRY
from engineshed_server.errors import NotFound, ServerError, TryLater
from engineshed_server.services import ingest, releases
from engineshed_server.services.ingest import Ingested
from engineshed_server.services.uploads import ingesting
from engineshed_server.services.uploads.sweeping import sweep
from tests.server.portals import House
from tests.server.services.uploads.conftest import ONE_DATABASE, Sender, files, ingest_all, place


def versions(house: House) -> list[str]:
    return [release.version for release in releases.list_releases(house.portal)]


def outcome(sender: Sender, upload_id: str) -> tuple[str, str | None]:
    upload = sender.show(upload_id)
    return upload.state, None if upload.outcome is None else upload.outcome.code


def test_the_outcome_is_that_of_the_ingest(house: House, sender: Sender, bundle: bytes) -> None:
    first = sender.send_all(bundle)
    house.tick()
    second = sender.send_all(bundle)
    assert ingest_all(house) == 2
    assert (outcome(sender, first), outcome(sender, second)) == (
        ("done", "published"),
        ("done", "unchanged"),
    )
    done = sender.show(first).outcome
    assert isinstance(done, Ingested)
    assert [(one.product, one.version, one.platforms) for one in done.releases] == [
        ("sample-engine", "1.0.0", ("any",))
    ]
    assert (versions(house), files(house)) == (["1.0.0"], [])


def test_a_refusal_is_an_outcome(house: House, sender: Sender) -> None:
    upload_id = sender.send_all(b"<html>")
    ingest_all(house)
    assert outcome(sender, upload_id) == ("failed", "archive-not-zip")
    assert (versions(house), files(house)) == ([], [])


def test_an_upload_with_missing_bytes_is_not_taken_in(house: House, sender: Sender, bundle: bytes) -> None:
    upload_id = sender.open(len(bundle))
    sender.send(upload_id, bundle[:-1])
    assert (ingest_all(house), outcome(sender, upload_id)) == (0, ("created", None))


def test_the_audit_names_who_uploaded_what(house: House, sender: Sender, bundle: bytes) -> None:
    sender.send_all(bundle)
    house.tick()
    sender.send_all(b"<html>")
    ingest_all(house)
    told = [action for action in house.audited() if action.startswith("upload-")]
    assert told == ["upload-created", "upload-created", "upload-ingested", "upload-refused"]


def test_many_processes_take_each_upload_in_once(house: House, sender: Sender, bundle: bytes) -> None:
    ids = [sender.send_all(bundle) for _ in range(5)]
    counts: list[int] = []

    def work() -> None:
        mine = house.reopen()
        counts.append(ingest_all(mine))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ingest_all(house)
    codes = sorted(str(outcome(sender, upload_id)[1]) for upload_id in ids)
    assert codes == ["published"] + ["unchanged"] * 4
    assert house.audited().count("upload-ingested") == 5


KILLED_PROCESS = """
import os, signal, sys
from datetime import datetime
from engineshed_server.services.uploads import ingesting
from engineshed_server.settings import load_settings
from engineshed_server.wiring import open_portal

data_dir, database_url, now, step = sys.argv[1:]
flags = {"portal.data_dir": data_dir, "database.url": database_url}
portal = open_portal(load_settings(None, {}, flags=flags))

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

whole = ingesting.ingest_bundle
def ingest_bundle(*arguments, **options):
    return whole(*arguments, reached=lambda name: die() if name == step else None, **options)

ingesting.ingest_bundle = ingest_bundle
if step in ("_ingest", "_finish"):
    setattr(ingesting, step, die)
ingesting.ingest_next(portal, now=datetime.fromisoformat(now))
"""


@ONE_DATABASE
@pytest.mark.parametrize("step", ["_ingest", "verified", "recorded", "timestamp-written", "_finish"])
def test_killed_while_it_is_taken_in_another_process_finishes(
    house: House, sender: Sender, bundle: bytes, step: str
) -> None:
    upload_id = sender.send_all(bundle)
    words = [*place(house), house.now.isoformat(), step]
    done = subprocess.run([sys.executable, "-c", KILLED_PROCESS, *words], check=False)
    assert done.returncode == -9
    assert sender.show(upload_id).state == "ingesting"
    assert ingest_all(house) == 0  # not at once: it may come back by itself
    house.now += RETRY
    assert ingest_all(house) == 1
    upload = sender.show(upload_id)
    assert (upload.state, versions(house), files(house)) == ("done", ["1.0.0"], [])
    assert isinstance(upload.outcome, Ingested)
    if step == "_finish":  # it was published and nobody could tell: now it is
        assert upload.outcome.code == "unchanged"
        assert "ended in the middle" in upload.outcome.notices[-1]
    else:
        assert upload.outcome.code == "published"


def test_an_upload_that_kills_every_process_is_given_up(
    house: House, sender: Sender, bundle: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = sender.send_all(bundle)

    class Killed(BaseException):
        """Nothing catches it, as nothing catches a kill."""

    def die(*arguments: object, **options: object) -> Ingested:
        raise Killed

    monkeypatch.setattr(ingesting, "ingest_bundle", die)
    for _ in range(3):
        with pytest.raises(Killed):
            ingest_all(house)
        house.now += RETRY
    ingest_all(house)
    assert (outcome(sender, upload_id), files(house)) == (("failed", "upload-given-up"), [])


def test_while_another_bundle_is_taken_in_it_waits(
    house: House, sender: Sender, bundle: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = sender.send_all(bundle)
    monkeypatch.setattr(ingest, "LOCK_WAIT_S", 0.0)
    with exclusive(house.portal.folders.ingest_lock, wait_s=0):
        ingest_all(house)
    assert outcome(sender, upload_id) == ("complete", "ingest-busy")
    assert isinstance(sender.show(upload_id).outcome, TryLater)
    house.tick(seconds=10)
    ingest_all(house)
    assert outcome(sender, upload_id) == ("done", "published")


def test_on_a_full_disk_it_waits_without_being_sent_again(
    house: House, sender: Sender, bundle: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = sender.send_all(bundle)

    def full(*arguments: object, **options: object) -> Ingested:
        raise TryLater("disk-full", "no space left", retry_after_s=60)

    with monkeypatch.context() as patched:
        patched.setattr(ingesting, "ingest_bundle", full)
        for _ in range(5):  # waiting is no death: it is not given up
            ingest_all(house)
            assert outcome(sender, upload_id) == ("complete", "disk-full")
            house.tick(seconds=60)
    ingest_all(house)
    assert outcome(sender, upload_id) == ("done", "published")


def test_bytes_the_disk_has_lost_are_told(house: House, sender: Sender, bundle: bytes) -> None:
    upload_id = sender.send_all(bundle)
    (house.portal.folders.incoming / f"{upload_id}.part").unlink()
    ingest_all(house)
    assert (outcome(sender, upload_id), files(house)) == (("failed", "upload-lost"), [])


def test_an_outcome_is_kept_for_a_day(house: House, sender: Sender, bundle: bytes) -> None:
    upload_id = sender.send_all(bundle)
    house.tick(hours=20)
    ingest_all(house)
    house.tick(hours=23)
    sweep(house.portal, now=house.now)
    assert outcome(sender, upload_id) == ("done", "published")
    house.tick(hours=2)
    sweep(house.portal, now=house.now)
    with pytest.raises(ServerError) as caught:
        sender.show(upload_id)
    assert isinstance(caught.value, NotFound)
    assert caught.value.code == "upload-unknown"
