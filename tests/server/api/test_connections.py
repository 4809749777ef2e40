"""Abuse row 17: who sends slowly loses the connection, who sends at all gets through."""

import json
import socket
import threading
from collections.abc import Iterator

import pytest
from gunicorn.http.body import Body, LengthReader  # type: ignore[import-untyped]  # it has no types
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]

from engineshed_server.api import connections
from engineshed_server.api.connections import Connection
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


@pytest.mark.usefixtures("dripping")
def test_a_head_that_trickles_counts_as_a_peer_that_went_away(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ALLOWANCE_S", 0.1)
    connection.await_head()
    while connection.recv(1):
        pass
    assert connection.recv(1) == b""


def test_nothing_is_received_once_the_end_was_said(connection: Connection, peer: socket.socket) -> None:
    peer.close()
    connection.end()
    assert connection.recv(1) == b""


def closes(here: PortalUnderTest, connection: Connection, path: str, **environ: object) -> bool:
    told: list[bool] = []
    connection.begin_answer(close_after=lambda: told.append(True))
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
