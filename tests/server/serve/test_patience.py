"""Peers of real gunicorn that take their time: they cost no thread, and are answered all the same.

Two threads serve here, and a quarter of a minute of patience has become a second.
"""

import http.client
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until

BIG = os.urandom(16_000_000)
MANY = 40
# `web` with less patience; what it imports is otherwise the same.
IMPATIENT = """
import sys
from engineshed_server.serve import sender, worker
worker.GATHER_S = 1.0
sender.Sender.__init__.__kwdefaults__.update(stall_s=1.5, look_s=0.2)
from engineshed_server.cli import main
sys.exit(main())
"""
VERSION = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
ENROL = b"POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60\r\n"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path_factory.mktemp("patience"), settings={"web.threads": 2})
    portal.publish("0.1.0")
    portal.start("web", program=("-P", "-c", IMPATIENT))
    yield portal
    portal.end()


@pytest.fixture(scope="module")
def package(here: RunningPortal) -> str:
    return here.publish("1.0.0", files={"lib/big.bin": BIG})


def socket_to(here: RunningPortal, *, receive_bytes: int | None = None) -> socket.socket:
    parts = urlsplit(here.address)
    made = socket.socket()
    if receive_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    made.settimeout(20)
    made.connect((parts.hostname, parts.port))
    return made


def all_of(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(65536), b""))


def answers_at_once(here: RunningPortal) -> bool:
    began_s = time.monotonic()
    assert here.get("/healthz")[0] == 200
    return time.monotonic() - began_s < 0.9  # less than any peer here is waited for


@pytest.mark.parametrize("begun", [b"GET /ver", VERSION[:-2], ENROL + b"\r\n{"], ids=["line", "head", "body"])
def test_many_that_do_not_go_on_keep_nobody_waiting(here: RunningPortal, begun: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(socket_to(here)).sendall(begun)
        assert answers_at_once(here)


def test_many_that_do_not_read_their_download_keep_nobody_waiting(here: RunningPortal, package: str) -> None:
    asked = f"GET {package} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {here.token}\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(socket_to(here, receive_bytes=4096)).sendall(asked)
        assert answers_at_once(here)


def test_many_that_do_not_close_after_their_answer_keep_nobody_waiting(here: RunningPortal) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            peer = stack.enter_context(socket_to(here))
            peer.sendall(b"GET\r\n\r\n")
            assert peer.recv(12) == b"HTTP/1.1 400"
        assert answers_at_once(here)


def test_a_head_that_does_not_come_ends_the_connection_without_a_word(here: RunningPortal) -> None:
    with socket_to(here) as peer:
        peer.sendall(VERSION[:-2])
        assert all_of(peer) == b""


def test_a_small_body_that_does_not_come_is_told(here: RunningPortal) -> None:
    with socket_to(here) as peer:
        peer.sendall(ENROL + b"\r\n{")
        head, _, body = all_of(peer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "body-slow"


def test_a_request_may_come_byte_by_byte(here: RunningPortal) -> None:
    with socket_to(here) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(VERSION)):
            peer.sendall(VERSION[number : number + 1])
            time.sleep(0.002)
        assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_requests_that_come_together_are_answered_one_after_the_other(here: RunningPortal) -> None:
    body = ENROL + b"\r\n" + b"{" * 60
    with socket_to(here) as peer:
        peer.sendall(
            VERSION + body + VERSION + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        said = all_of(peer)
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", said) == [b"200", b"400", b"200", b"200"]


def test_the_next_request_on_a_connection_may_take_its_time_too(here: RunningPortal) -> None:
    with socket_to(here) as peer:
        for _ in range(3):
            peer.sendall(VERSION[:20])
            time.sleep(0.3)
            peer.sendall(VERSION[20:])
            answer = http.client.HTTPResponse(peer)
            answer.begin()
            assert (answer.status, json.loads(answer.read())["name"]) == (200, "engineshed-server")


def test_who_expects_a_word_before_its_body_gets_one(here: RunningPortal) -> None:
    with socket_to(here) as peer:
        peer.sendall(ENROL + b"Expect: 100-continue\r\n\r\n")
        assert peer.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b"{" * 60)
        said = peer.recv(65536).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n") or peer.recv(65536)
    assert said.startswith(b"HTTP/1.1 400 ")


def test_a_slow_download_is_whole_and_its_connection_goes_on(here: RunningPortal, package: str) -> None:
    with closing(here.connect()) as connection:
        connection.request("GET", package, headers={"Authorization": f"Bearer {here.token}"})
        answer = connection.getresponse()
        received = b""
        while piece := answer.read(2_000_000):
            received += piece
            time.sleep(0.05)
        assert len(received) == int(answer.headers["Content-Length"])
        assert BIG in received
        connection.request("GET", "/version")
        assert connection.getresponse().status == 200


def test_a_download_nobody_reads_ends(here: RunningPortal, package: str) -> None:
    asked = f"GET {package} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {here.token}\r\n\r\n".encode()
    assert here.process is not None
    (worker,) = psutil.Process(here.process.pid).children()
    sha256 = package.rpartition("/")[2].partition(".")[0]

    def is_open() -> bool:
        return any(Path(file.path).name == sha256 for file in worker.open_files())

    with socket_to(here, receive_bytes=4096) as peer:
        peer.sendall(asked)
        wait_until(is_open, "the download begins")
        wait_until(lambda: not is_open(), "the download is given up", patience_s=10)


def test_more_connections_than_files_may_be_open_do_not_end_the_worker(tmp_path: Path) -> None:
    portal = RunningPortal(tmp_path)
    try:
        portal.start("web", under=["prlimit", "--nofile=420:420"], program=("-P", "-c", IMPATIENT))
        before = portal.processes()
        with ExitStack() as stack:
            for _ in range(430):
                stack.enter_context(socket_to(portal)).sendall(VERSION[:-2])
            wait_until(portal.is_ready, "it answers again once the slow ones were let go")
        assert portal.processes() == before
    finally:
        portal.end()
