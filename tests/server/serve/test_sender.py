"""The sender: many slow peers, one thread, every byte in its place, and nobody is waited for for ever."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_server.api.connections import Connection
from engineshed_server.serve.sender import Sender

SIZE_BYTES = 2_000_000
PATIENCE_S = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "package"
    made.write_bytes(os.urandom(SIZE_BYTES))
    return made


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = Sender(stall_s=0.5, look_s=0.1)
    made.start()
    yield made
    made.stop()


class Download:
    """A connection whose answer is a file, and its peer."""

    def __init__(self, path: Path, sender: Sender) -> None:
        ours, self.peer = socket.socketpair()
        self.connection = Connection(ours.detach())
        self._ended = threading.Event()
        self._was_sent: bool | None = None
        with path.open("rb") as file:
            self.connection.sendfile(file, 0, SIZE_BYTES)
        assert self.connection.has_more_to_send
        sender.send(self.connection, self._end)

    def _end(self, was_sent: bool) -> None:
        self._was_sent = was_sent
        self._ended.set()

    def outcome(self) -> bool | None:
        """What the sender said at the end; None when it said nothing in time."""
        self._ended.wait(PATIENCE_S)
        return self._was_sent

    def close(self) -> None:
        self.connection.say_end()
        self.connection.close()
        self.peer.close()


def test_each_of_many_peers_gets_its_bytes_however_slowly_it_reads(path: Path, sender: Sender) -> None:
    downloads = [Download(path, sender) for _ in range(20)]
    received = [b"" for _ in downloads]
    ends_s = time.monotonic() + PATIENCE_S
    while min(map(len, received)) < SIZE_BYTES and time.monotonic() < ends_s:
        for number, download in enumerate(downloads):
            if len(received[number]) < SIZE_BYTES:
                received[number] += download.peer.recv(150_000)
    whole = path.read_bytes()
    assert [data == whole for data in received] == [True] * 20
    assert [download.outcome() for download in downloads] == [True] * 20
    for download in downloads:
        download.close()


def test_a_peer_that_reads_nothing_is_given_up_and_one_beside_it_is_not(path: Path, sender: Sender) -> None:
    silent, slow = Download(path, sender), Download(path, sender)
    received = b""
    while len(received) < SIZE_BYTES:
        received += slow.peer.recv(100_000)
        time.sleep(0.06)  # in all longer than the other is waited for
    assert (silent.outcome(), slow.outcome()) == (False, True)
    assert received == path.read_bytes()
    for download in (silent, slow):
        download.close()


def test_a_peer_that_goes_away_ends_its_download_only(path: Path, sender: Sender) -> None:
    gone, other = Download(path, sender), Download(path, sender)
    gone.peer.close()
    assert gone.outcome() is False
    received = b""
    while len(received) < SIZE_BYTES:
        received += other.peer.recv(1_000_000)
    assert other.outcome() is True
    for download in (gone, other):
        download.close()
