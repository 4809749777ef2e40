from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from engineshed_server.errors import NotFound, Refused, ServerError, TryLater
from engineshed_server.storage import blobs
from engineshed_server.storage.blobs import LocalBlobs
from engineshed_server.storage.writing import settle

DATA = b"package bytes"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> LocalBlobs:
    folder = tmp_path / "blobs"
    folder.mkdir()
    return LocalBlobs(folder)


def put(
    store: LocalBlobs, data: bytes = DATA, *, sha256: str = SHA256, length_bytes: int = len(DATA)
) -> None:
    with store.receive([data[:5], data[5:]], sha256=sha256, length_bytes=length_bytes) as blob:
        blob.keep()


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_what_was_kept_is_found_under_its_digest(store: LocalBlobs) -> None:
    put(store)
    path = store.find(SHA256, length_bytes=len(DATA))
    assert path is not None
    assert path.read_bytes() == DATA


def test_before_it_is_kept_it_can_be_looked_into_but_not_found(store: LocalBlobs) -> None:
    with store.receive([DATA], sha256=SHA256, length_bytes=len(DATA)) as blob:
        assert blob.path.read_bytes() == DATA
        assert store.find(SHA256, length_bytes=len(DATA)) is None


def test_what_is_not_kept_is_gone(store: LocalBlobs, tmp_path: Path) -> None:
    with store.receive([DATA], sha256=SHA256, length_bytes=len(DATA)):
        pass
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "length_bytes"), [(b"package bytez", 13), (DATA[:-1], 13), (DATA + b"!", 13), (b"", 13)]
)
def test_other_bytes_than_announced_are_refused_and_leave_nothing(
    store: LocalBlobs, tmp_path: Path, data: bytes, length_bytes: int
) -> None:
    with pytest.raises(Refused) as caught:
        put(store, data, length_bytes=length_bytes)
    assert caught.value.code == "content-mismatch"
    assert files_below(tmp_path) == []


def test_endless_data_is_not_read_beyond_the_announced_length(store: LocalBlobs) -> None:
    asked = []

    def endless() -> Iterator[bytes]:
        while True:
            asked.append(1)
            yield b"0123456789"

    with pytest.raises(Refused), store.receive(endless(), sha256=SHA256, length_bytes=25):
        pass
    assert len(asked) == 3


def test_the_same_bytes_twice_are_one_file(store: LocalBlobs, tmp_path: Path) -> None:
    put(store)
    put(store)
    assert files_below(tmp_path) == [SHA256]


def test_a_damaged_blob_is_not_found_and_replaced_by_a_good_one(store: LocalBlobs) -> None:
    put(store)
    path = store.find(SHA256, length_bytes=len(DATA))
    assert path is not None
    path.write_bytes(b"cut")
    assert store.find(SHA256, length_bytes=len(DATA)) is None
    put(store)
    assert path.read_bytes() == DATA


def test_a_large_package_is_made_durable_on_the_way_and_does_not_fill_the_memory(
    store: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []

    def settled(file: BinaryIO) -> None:
        lengths.append(os.fstat(file.fileno()).st_size)
        settle(file)

    monkeypatch.setattr(blobs, "settle", settled)
    monkeypatch.setattr(blobs, "CHECKPOINT_BYTES", 5)
    data = b"0123456789ab"
    pieces = [data[start : start + 3] for start in range(0, 12, 3)]
    with store.receive(pieces, sha256=hashlib.sha256(data).hexdigest(), length_bytes=12):
        assert lengths == [6, 12, 12]


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 63 + "/"])
def test_a_name_that_is_no_digest_never_becomes_a_path(store: LocalBlobs, name: str) -> None:
    with pytest.raises(NotFound):
        store.find(name, length_bytes=1)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing(
    store: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "blob")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(TryLater) as caught:
        put(store)
    monkeypatch.undo()
    assert caught.value.code == "disk-full"
    assert files_below(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"a file where the folder should be")
    with pytest.raises(ServerError) as caught:
        put(LocalBlobs(tmp_path / "blobs"))
    assert caught.value.code == "storage-failed"


def test_sweeping_removes_what_a_kill_left_and_nothing_else(store: LocalBlobs, tmp_path: Path) -> None:
    put(store)
    (tmp_path / "blobs" / "arriving" / f"{SHA256}.dead").write_bytes(b"half")
    store.sweep()
    assert files_below(tmp_path) == [SHA256]
