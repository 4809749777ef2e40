"""An upload on a volume that is really full, at the first byte, in the middle, and while it is taken in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engineshed_server.errors import TryLater
from engineshed_server.services import releases
from tests.server.portals import House, make_portal
from tests.server.services.uploads.conftest import Sender, files, in_pieces, ingest_all, make_token
from tests.small_disk import SmallDisk, small_disk
from tests.vendor import Vendor

MB = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "volume", 32 * MB) as made:
        yield made


@pytest.fixture
def full(disk: SmallDisk, tmp_path: Path) -> Iterator[House]:
    """A portal whose data folder is on that volume."""
    house = make_portal(disk.folder, vendor=Vendor(tmp_path), limits__free_bytes=MB)
    with closing(house):
        yield house


@pytest.fixture
def bundle(full: House) -> bytes:
    """One whose package has 6 MB."""
    full.vendor.release("1.0.0", files={"lib/big.bin": os.urandom(6 * MB)})
    return full.vendor.bundle("1.0.0").read_bytes()


def test_what_cannot_fit_is_refused_at_the_beginning(full: House, disk: SmallDisk) -> None:
    sender = Sender(full, make_token(full))
    room = (disk.free_bytes() - MB) // 2
    with pytest.raises(TryLater) as caught:
        sender.open(room + MB)
    assert caught.value.code == "disk-full"
    assert sender.open(room - MB)


def test_a_disk_that_fills_up_in_the_middle_keeps_whole_pieces_and_the_upload_goes_on(
    full: House, disk: SmallDisk, bundle: bytes
) -> None:
    sender = Sender(full, make_token(full))
    upload_id = sender.open(len(bundle))
    disk.fill(leaving_bytes=3 * MB)
    with pytest.raises(TryLater) as caught:
        sender.send(upload_id, bundle, pieces=in_pieces(bundle, 256 * 1024))
    assert caught.value.code == "disk-full"
    counted = sender.show(upload_id).offset_bytes
    part = full.portal.folders.incoming / f"{upload_id}.part"
    assert (counted > MB, counted % (256 * 1024), part.stat().st_size) == (True, 0, counted)
    assert part.read_bytes() == bundle[:counted]
    disk.make_room()
    assert sender.send(upload_id, bundle[counted:], offset=counted).state == "complete"
    assert ingest_all(full) == 1
    assert sender.show(upload_id).state == "done"


def test_a_disk_that_is_full_at_the_ingest_publishes_nothing_and_waits(
    full: House, disk: SmallDisk, bundle: bytes
) -> None:
    sender = Sender(full, make_token(full))
    upload_id = sender.send_all(bundle)
    disk.fill(leaving_bytes=3 * MB)
    for _ in range(4):  # as often as it likes: it is not given up
        ingest_all(full)
        upload = sender.show(upload_id)
        assert isinstance(upload.outcome, TryLater)
        assert (upload.state, upload.outcome.code) == ("complete", "disk-full")
        assert releases.list_releases(full.portal) == ()
        assert [path for path in full.portal.folders.blobs.rglob("*") if path.is_file()] == []
        full.tick(seconds=60)
    disk.make_room()
    assert ingest_all(full) == 1
    assert sender.show(upload_id).state == "done"
    assert [release.version for release in releases.list_releases(full.portal)] == ["1.0.0"]
    assert files(full) == []
