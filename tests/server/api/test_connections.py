"""Abuse row 17: who sends slowly loses the connection, who sends at all gets through."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pytest
from gunicorn.http.body import Body, LengthReader  # type: ignore[import-untyped]  # it has no types
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]

from engineshed_server.api import connections
from engineshed_server.api.connections import LINGER_BYTES, Connection, Progress
from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import PortalUnderTest


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    ours, peer = socket.socketpair()
    connection = Connection(ours.detach())
    with connection, peer:
        yield connection, peer


@pytest.fixture
def connection(pair: tuple[Connection, socket.socket]) -> Connection:
    return pair[0]


@pytest.fixture
def peer(pair: tuple[Connection, socket.socket]) -> socket.socket:
    return pair[1]


@pytest.fixture
def dripping(peer: socket.socket) -> Iterator[None]:
    """The peer sends a byte now and then, as long as the test lasts."""
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.01):
            peer.sendall(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    yield
    over.set()
    thread.join()


def body_of(connection: Connection, length: int) -> dict[str, object]:
    """The environment of a request whose body comes by *connection*, read as gunicorn reads it."""
    body = Body(LengthReader(SocketUnreader(connection), length))
    return {"gunicorn.socket": connection, "wsgi.input": body, "CONTENT_LENGTH": str(length)}


@pytest.mark.usefixtures("dripping")
def test_a_json_body_that_trickles_is_refused(
    here: PortalUnderTest, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ALLOWANCE_S", 0.2)
    answer = here.http.post(
        "/api/v1/enrol",
        content_type="application/json",
        environ_overrides=body_of(connection, 16_000),
        buffered=True,
    )
    assert (answer.status_code, json.loads(answer.data)["code"]) == (408, "body-slow")
    assert connection.gettimeout() is None


@pytest.mark.usefixtures("dripping")
def test_an_upload_that_trickles_is_refused_and_leaves_nothing(
    here: PortalUnderTest, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ALLOWANCE_S", 0.2)
    answer = here.http.put(
        "/api/v1/bundles/x.zip",
        headers={"Authorization": f"Bearer {here.token(Scope.SUPPORT)}"},
        environ_overrides=body_of(connection, 1_000_000),
        buffered=True,
    )
    assert (answer.status_code, json.loads(answer.data)["code"]) == (408, "body-slow")
    assert list(here.portal.folders.incoming.iterdir()) == []


def test_a_peer_that_falls_silent_is_refused(
    here: PortalUnderTest, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STALL_S", 0.1)
    answer = here.http.post(
        "/api/v1/enrol",
        content_type="application/json",
        environ_overrides=body_of(connection, 5),
        buffered=True,
    )
    assert (answer.status_code, json.loads(answer.data)["code"]) == (408, "body-slow")


@pytest.mark.usefixtures("dripping")
def test_what_comes_fast_enough_earns_its_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ALLOWANCE_S", 0.5)
    monkeypatch.setattr(connections, "RATE_BYTES", 0.001)  # a byte earns a thousand seconds
    with connection.awaiting_body():
        for _ in range(60):
            assert connection.recv(1) == b" "


HEAD = b"POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"


def test_a_request_waits_until_its_small_body_is_here(connection: Connection, peer: socket.socket) -> None:
    connection.begin_request()
    for piece in (HEAD, b"\r\n", b"1234"):
        peer.sendall(piece)
        assert connection.gather() is Progress.WAITS
    peer.sendall(b"5")
    assert connection.gather() is Progress.READY


def gathered(connection: Connection, peer: socket.socket) -> None:
    connection.begin_request()
    peer.sendall(HEAD + b"\r\n12345")
    assert connection.gather() is Progress.READY


def test_a_whole_request_is_answered_and_forgotten(connection: Connection, peer: socket.socket) -> None:
    gathered(connection, peer)
    assert connection.whole_request() == HEAD + b"\r\n12345"
    connection.answer_request(b"the answer")
    assert peer.recv(100) == b"the answer"
    connection.begin_request()
    assert (connection.whole_request(), connection.gather()) == (b"", Progress.WAITS)


def test_a_request_with_another_behind_it_is_not_whole(connection: Connection, peer: socket.socket) -> None:
    peer.sendall(HEAD + b"\r\n12345" + HEAD)
    connection.begin_request()
    assert connection.gather() is Progress.READY
    assert connection.whole_request() == b""


def test_a_peer_that_takes_no_answer_now_has_had_it(connection: Connection, peer: socket.socket) -> None:
    """Counted once: a thread that answered it anew would count it again."""
    gathered(connection, peer)
    with suppress(BlockingIOError):
        while True:
            connection.send(bytes(10_000), socket.MSG_DONTWAIT)
    connection.answer_request(b"the answer")
    assert connection.whole_request() == b""
    connection.begin_request()
    assert connection.gather() is Progress.ENDED


def test_a_peer_that_takes_a_part_of_the_answer_has_had_it(
    connection: Connection, peer: socket.socket
) -> None:
    gathered(connection, peer)
    connection.answer_request(bytes(100_000_000))
    connection.begin_request()
    assert connection.gather() is Progress.ENDED


def test_a_peer_that_went_before_its_answer_is_let_go(connection: Connection, peer: socket.socket) -> None:
    gathered(connection, peer)
    peer.close()
    connection.answer_request(b"the answer")
    connection.begin_request()
    assert connection.gather() is Progress.ENDED


def test_a_parser_that_wants_more_than_the_head_gets_nothing(
    connection: Connection, peer: socket.socket
) -> None:
    connection.begin_request()
    peer.sendall(b"\r\n\r\n")
    assert connection.gather() is Progress.READY
    connection.await_head()
    assert (connection.recv(8192), connection.recv(8192)) == (b"\r\n\r\n", b"")


@pytest.mark.parametrize(
    ("sent", "progress"),
    [(b"", Progress.ENDED), (HEAD, Progress.ENDED), (HEAD + b"\r\n12", Progress.READY)],
)
def test_who_goes_away_is_answered_only_about_a_request(
    connection: Connection, peer: socket.socket, sent: bytes, progress: Progress
) -> None:
    connection.begin_request()
    peer.sendall(sent)
    peer.shutdown(socket.SHUT_WR)
    assert connection.gather() is progress


def test_who_resets_the_connection_asks_nothing(connection: Connection, peer: socket.socket) -> None:
    connection.send(b"not read by the peer")
    peer.close()
    assert connection.gather() is Progress.ENDED


def test_who_expects_a_word_before_its_body_gets_it(connection: Connection, peer: socket.socket) -> None:
    connection.begin_request()
    peer.sendall(HEAD + b"Expect: 100-continue\r\n\r\n")
    assert [connection.gather(), connection.gather()] == [Progress.WAITS, Progress.WAITS]
    assert peer.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_small_body_that_was_waited_for_in_vain_is_refused(
    here: PortalUnderTest, connection: Connection, peer: socket.socket
) -> None:
    connection.begin_request()
    peer.sendall(HEAD + b"\r\n{")
    connection.gather()
    assert connection.give_up()
    assert connection.recv(8192) == HEAD + b"\r\n{"
    answer = here.http.post(
        "/api/v1/enrol",
        content_type="application/json",
        environ_overrides=body_of(connection, 4),
        buffered=True,
    )
    assert (answer.status_code, json.loads(answer.data)["code"]) == (408, "body-slow")


def test_without_a_head_there_is_nobody_to_answer(connection: Connection, peer: socket.socket) -> None:
    connection.begin_request()
    peer.sendall(HEAD)
    connection.gather()
    assert not connection.give_up()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    with path.open("rb") as opened:
        yield opened


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_sent_as_far_as_the_peer_takes_it_and_then_the_rest(
    connection: Connection, peer: socket.socket, file: BinaryIO
) -> None:
    before = descriptors()
    assert connection.sendfile(file, 1000, 2_900_000) == 2_900_000
    assert connection.has_more_to_send
    file.close()
    received = b""
    while len(received) < 2_900_000:
        received += peer.recv(100_000)
        connection.send_more()
    assert not connection.has_more_to_send
    assert connection.send_more()
    assert received == Path(file.name).read_bytes()[1000:2_901_000]
    assert descriptors() == before - 1  # the one the test has closed


def test_a_small_file_is_sent_at_once(connection: Connection, peer: socket.socket, file: BinaryIO) -> None:
    assert connection.sendfile(file, 5, 10) == 10
    assert not connection.has_more_to_send
    assert peer.recv(100) == Path(file.name).read_bytes()[5:15]


def test_a_file_that_has_become_shorter_ends_the_connection(
    connection: Connection, peer: socket.socket, file: BinaryIO
) -> None:
    before = descriptors()
    connection.sendfile(file, 0, 3_000_000)
    os.truncate(file.name, 1000)
    with pytest.raises(OSError, match="shorter"):
        while True:
            peer.recv(1_000_000)
            connection.send_more()
    assert (connection.has_more_to_send, descriptors()) == (False, before)


def test_a_peer_that_goes_away_leaves_no_file_open(
    connection: Connection, peer: socket.socket, file: BinaryIO
) -> None:
    before = descriptors()
    connection.sendfile(file, 0, 3_000_000)
    peer.close()
    with pytest.raises(OSError):
        connection.send_more()
    assert (connection.has_more_to_send, descriptors()) == (False, before - 1)


def test_the_end_is_said_and_what_still_comes_is_dropped(connection: Connection, peer: socket.socket) -> None:
    peer.sendall(b"x" * 1000)
    connection.say_end()
    assert not connection.has_left()
    assert peer.recv(10) == b""
    peer.close()
    assert connection.has_left()


def test_who_sends_without_end_is_not_listened_to_for_ever(
    connection: Connection, peer: socket.socket
) -> None:
    connection.say_end()
    peer.sendall(bytes(LINGER_BYTES))
    assert connection.has_left()


def test_who_was_faster_with_the_end_is_not_waited_for(connection: Connection, peer: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)
    peer.close()
    connection.say_end()
    assert connection.has_left()


def closes(here: PortalUnderTest, connection: Connection, path: str, **environ: object) -> bool:
    told: list[bool] = []
    connection.begin_answer(close_after=lambda: told.append(True), take_read=bytes)
    overrides = {"gunicorn.socket": connection, **environ}
    here.http.post(path, content_type="application/json", environ_overrides=overrides, buffered=True)
    return told == [True]


@pytest.mark.parametrize("path", ["/api/v1/poll", "/api/v1/bundles/x.zip", "/healthz", "/nowhere"])
@pytest.mark.parametrize("announced", [{"CONTENT_LENGTH": "4000"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_an_answer_to_a_body_that_was_not_read_is_the_last_of_its_connection(
    here: PortalUnderTest, connection: Connection, path: str, announced: dict[str, object]
) -> None:
    assert closes(here, connection, path, **announced)


def test_a_body_that_was_read_leaves_the_connection_open(
    here: PortalUnderTest, connection: Connection, peer: socket.socket
) -> None:
    peer.sendall(b"{}")
    assert not closes(here, connection, "/api/v1/enrol", **body_of(connection, 2))


def test_a_request_without_a_body_leaves_the_connection_open(
    here: PortalUnderTest, connection: Connection
) -> None:
    assert not closes(here, connection, "/nowhere", CONTENT_LENGTH="0")
