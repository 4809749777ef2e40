"""What nobody goes on with is removed after a day, what is in use stays."""

from __future__ import annotations

from collections.abc import Iterator

from engineshed_server.services.uploads.sweeping import sweep
from tests.server.portals import House
from tests.server.services.uploads.conftest import Sender, files, ingest_all


def test_an_upload_left_alone_for_a_day_is_removed_with_its_bytes(house: House, sender: Sender) -> None:
    old = sender.open(2000)
    sender.send(old, b"x" * 1000)
    house.tick(hours=20)
    young = sender.open(2000)
    sender.send(young, b"x" * 1000)
    house.tick(hours=5)
    sweep(house.portal, now=house.now)
    assert files(house) == [f"{young}.part"]
    assert sender.listed() == [young]
    assert house.audited()[-1] == "upload-expired"


def test_a_new_upload_sweeps_the_old_ones(house: House, sender: Sender) -> None:
    old = sender.open(2000)
    sender.send(old, b"x" * 1000)
    house.tick(hours=25)
    sender.open(5)
    assert files(house) == []


def test_an_upload_that_is_being_sent_is_not_swept(house: House, sender: Sender) -> None:
    upload_id = sender.open(2000)

    def pieces() -> Iterator[bytes]:
        yield b"x" * 1000
        sweep(house.portal, now=house.tick(hours=48))
        yield b"x" * 1000

    sender.send(upload_id, b"x" * 2000, pieces=pieces())
    assert files(house) == [f"{upload_id}.part"]


def test_a_complete_upload_that_never_got_its_turn_is_removed_too(house: House, sender: Sender) -> None:
    sender.send_all(b"x")
    house.tick(hours=25)
    sweep(house.portal, now=house.now)
    assert (files(house), ingest_all(house)) == ([], 0)


def test_files_no_row_speaks_of_are_removed(house: House, sender: Sender) -> None:
    needed = sender.open(2000)
    sender.send(needed, b"x" * 1000)
    (house.portal.folders.incoming / "upl_aaaaaaaaaaaaaaaaaaaa.part").write_bytes(b"x")
    (house.portal.folders.incoming / "simple.tmp").write_bytes(b"x")  # of an upload in one request
    sweep(house.portal, now=house.now)
    assert files(house) == ["simple.tmp", f"{needed}.part"]


def test_a_file_that_outlived_its_outcome_is_removed(house: House, sender: Sender, bundle: bytes) -> None:
    upload_id = sender.send_all(bundle)
    ingest_all(house)
    (house.portal.folders.incoming / f"{upload_id}.part").write_bytes(bundle)  # killed before the unlink
    sweep(house.portal, now=house.now)
    assert files(house) == []
    assert sender.show(upload_id).state == "done"
