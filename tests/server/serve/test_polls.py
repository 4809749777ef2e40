"""Polls that the thread which accepts answers by itself: as a thread would, and waiting for nothing."""

import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from engineshed_packages.protocol import Poll
from engineshed_server.services.api_tokens import Scope
from tests.conftest import require
from tests.crash.points import traced
from tests.server.api.conftest import poll_of
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until

THREADS = 2
POLLS = 40
# What one poll may cost the thread that accepts, and what its loop does on the way.
OF_THE_LOOP = {"epoll_wait", "recvfrom", "sendto", "getrandom", "utimensat", "getppid"}
# `web` with less patience, and a fault that one request meets; what it imports is otherwise the same.
IMPATIENT = """
import sys
from engineshed_server.serve import polls, web
web.KEEP_ALIVE_S = 1
read = polls.read_poll_request
def faulty(data):
    if b"meets-a-fault" in data:
        raise RuntimeError("a fault of ours")
    return read(data)
polls.read_poll_request = faulty
from engineshed_server.cli import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path_factory.mktemp("polls"), settings={"web.threads": THREADS})
    portal.publish("1.0.0")
    portal.start("web", program=("-P", "-c", IMPATIENT))
    yield portal
    portal.end()


@pytest.fixture(scope="module")
def engine(here: RunningPortal) -> tuple[str, str]:
    """Id and token of an engine that has polled before."""
    joined, token = here.enrol("1.0.0")
    body = poll_of(joined.engine).to_bytes()
    assert here.post("/api/v1/poll", body, Authorization=f"Bearer {token}")[0] == 200
    return joined.engine, token


def request_of(engine: tuple[str, str], *lines: str, poll: Poll | None = None) -> bytes:
    name, token = engine
    body = (poll or poll_of(name)).to_bytes()
    head = ["POST /api/v1/poll HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


@contextmanager
def socket_to(here: RunningPortal) -> Iterator[socket.socket]:
    parts = urlsplit(here.address)
    with socket.socket() as made:
        made.settimeout(20)
        made.connect((parts.hostname, parts.port))
        yield made


def answer_of(peer: socket.socket) -> tuple[list[str], dict[str, object]]:
    """The lines of the head, and the body."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += peer.recv(1) or pytest.fail(f"the connection ended after {data!r}")
    lines = data[:end].decode().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("Content-Length:"))
    body = b""
    while len(body) < length:
        body += peer.recv(length - len(body))
    return lines, json.loads(body)


def asked(here: RunningPortal, request: bytes) -> tuple[list[str], dict[str, object]]:
    with socket_to(here) as peer:
        peer.sendall(request)
        return answer_of(peer)


@pytest.fixture
def no_thread_left(here: RunningPortal) -> Iterator[None]:
    """Every thread reads an upload that does not go on."""
    token = here.make_token(Scope.SUPPORT)
    head = f"PUT /api/v1/bundles/x.zip HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    incoming = here.folder / "data" / "incoming"
    with ExitStack() as stack:
        for number in range(THREADS):
            peer = stack.enter_context(socket_to(here))
            peer.sendall(f"{head}Content-Length: 100000\r\n\r\nPK".encode())
            wait_until(lambda n=number: len(list(incoming.iterdir())) > n, "a thread reads it")  # type: ignore[misc]
        yield
    wait_until(lambda: not any(incoming.iterdir()), "the threads are free again")


@pytest.mark.usefixtures("no_thread_left")
def test_a_poll_without_news_needs_no_thread(here: RunningPortal, engine: tuple[str, str]) -> None:
    with socket_to(here) as peer, socket_to(here) as other:
        other.settimeout(0.3)
        other.sendall(request_of(engine, "Unheard-Of: x"))
        for _ in range(3):  # the first request of its connection, and others
            peer.sendall(request_of(engine))
            assert answer_of(peer)[1]["code"] == "up-to-date"
        with pytest.raises(TimeoutError):
            other.recv(1)


def test_it_is_answered_as_by_a_thread(here: RunningPortal, engine: tuple[str, str]) -> None:
    trace = "X-Request-ID: trace-0123456789"
    at_once = asked(here, request_of(engine, trace))
    by_thread = asked(here, request_of(engine, trace, "Unheard-Of: x"))
    for lines, body in (at_once, by_thread):
        lines[:] = [re.sub(r"^Date: .* GMT$", "Date", line) for line in lines]
        del body["server_time"]
    assert at_once == by_thread
    assert "X-Request-ID: trace-0123456789" in at_once[0]


def test_polls_that_come_together_are_answered_one_after_the_other(
    here: RunningPortal, engine: tuple[str, str]
) -> None:
    with socket_to(here) as peer:
        for number in range(5):
            peer.sendall(request_of(engine, f"X-Request-ID: number-{number}") * 2)
            for _ in range(2):
                lines, body = answer_of(peer)
                assert body["code"] == "up-to-date"
                assert f"X-Request-ID: number-{number}" in lines


def test_a_poll_may_come_in_pieces(here: RunningPortal, engine: tuple[str, str]) -> None:
    request = request_of(engine)
    with socket_to(here) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            for start in range(0, len(request), 97):
                peer.sendall(request[start : start + 97])
                time.sleep(0.002)
            assert answer_of(peer)[1]["code"] == "up-to-date"


def test_a_poll_with_news_and_others_come_by_one_connection(here: RunningPortal) -> None:
    joined, token = here.enrol("0.9.0")
    engine = (joined.engine, token)
    older, newer = poll_of(joined.engine, version="0.9.0"), poll_of(joined.engine, version="1.0.0")
    with socket_to(here) as peer:
        for poll, code in ((newer, "up-to-date"), (older, "offer"), (newer, "up-to-date")):
            peer.sendall(request_of(engine, poll=poll))
            assert answer_of(peer)[1]["code"] == code
        peer.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_of(peer)[1]["name"] == "engineshed-server"


def test_what_is_wrong_with_a_poll_is_told(here: RunningPortal, engine: tuple[str, str]) -> None:
    other, _ = here.enrol("1.0.0")
    wrong = request_of(engine, poll=replace(poll_of(engine[0]), engine=other.engine))
    with socket_to(here) as peer:
        for _ in range(2):
            peer.sendall(wrong)
            assert answer_of(peer)[1]["code"] == "engine-mismatch"
            peer.sendall(request_of(engine))
            assert answer_of(peer)[1]["code"] == "up-to-date"


def test_a_fault_leaves_the_poll_to_a_thread(here: RunningPortal, engine: tuple[str, str]) -> None:
    before = here.processes()
    lines, body = asked(here, request_of(engine, "X-Request-ID: meets-a-fault"))
    assert (lines[0], body["code"]) == ("HTTP/1.1 200 OK", "up-to-date")
    assert "poll not answered at once" in here.log.read_text("utf-8")
    assert here.processes() == before


def test_a_connection_that_asks_no_more_is_ended(here: RunningPortal, engine: tuple[str, str]) -> None:
    with socket_to(here) as peer:
        for _ in range(2):
            peer.sendall(request_of(engine))
            answer_of(peer)
            time.sleep(0.6)  # less than a second: it is kept from the last request on
        assert peer.recv(1) == b""


def test_a_heartbeat_taken_at_once_is_written(here: RunningPortal, engine: tuple[str, str]) -> None:
    before = datetime.now(UTC)
    asked(here, request_of(engine, poll=poll_of(engine[0], boot="another-boot")))
    headers = {"Authorization": f"Bearer {here.token}"}

    def is_seen() -> bool:
        shown = json.loads(here.get(f"/api/v1/engines/{engine[0]}", **headers)[1])
        return datetime.fromisoformat(shown["seen"]) >= before.replace(microsecond=0)

    wait_until(is_seen, "the engine was seen")


def test_the_thread_that_accepts_does_nothing_for_a_poll_that_could_wait(
    here: RunningPortal, engine: tuple[str, str], tmp_path: Path
) -> None:
    """Seen from the kernel: between what it receives and what it sends there is no file and no database."""
    require(shutil.which("strace") is not None, "strace")
    assert here.process is not None
    (worker,) = [one.pid for one in psutil.Process(here.process.pid).children()]
    log = tmp_path / "strace.log"
    request = request_of(engine)
    with socket_to(here) as peer:
        peer.sendall(request)
        answer_of(peer)
        with traced(worker, log):
            for _ in range(POLLS):
                peer.sendall(request)
                answer_of(peer)
    calls = re.findall(rf"^{worker} +(\w+)\(", log.read_text("utf-8"), re.MULTILINE)
    assert calls.count("sendto") == POLLS
    # A lock is waited for in the kernel when another thread holds it just then.
    assert {*calls} - {"futex", "restart_syscall"} <= OF_THE_LOOP
