"""The portal under real gunicorn: sendfile, restarts, draining, no orphans, uploads over a connection."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from engineshed_packages import exits
from engineshed_packages.protocol import Poll
from engineshed_packages.versions import Version
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import SettingsRefused
from engineshed_server.serve.listening import address_of, listen
from engineshed_server.services.engines import revoke_engine, show_engine
from engineshed_server.wiring import open_portal
from tests.conftest import require
from tests.server.running import RunningPortal
from tests.server.serve.processes import processes_of, wait_until
from tests.vendor import PRODUCT

BIG = os.urandom(24_000_000)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path)
    yield portal
    portal.end()


def _bearer(here: RunningPortal) -> str:
    return f"Bearer {here.token}"


def _strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0


def _copied_bytes(calls: Path) -> int:
    """The sum of what `sendfile` returned, by strace's lines."""
    returned = (line.rpartition("= ")[2].strip() for line in calls.read_text().splitlines())
    return sum(int(number) for number in returned if number.isdigit())


@pytest.mark.parametrize("asked", ["bytes=1000000-", "bytes=0-23999999"])
def test_the_kernel_copies_a_range(here: RunningPortal, tmp_path: Path, asked: str) -> None:
    require(_strace_works(), "strace that may trace")
    path = here.publish("1.0.0", files={"lib/big.bin": BIG})
    calls = tmp_path / "calls"
    # -D: the portal stays our own child, strace watches from aside
    here.start("web", under=["strace", "-D", "-f", "-qq", "-e", "trace=sendfile", "-o", str(calls)])
    status, body = here.get(path, Authorization=_bearer(here), Range=asked)
    assert status == 206
    assert len(body) > 20_000_000
    wait_until(lambda: _copied_bytes(calls) == len(body), "strace tells of all bytes")


def test_a_killed_worker_is_replaced(here: RunningPortal) -> None:
    here.start()
    worker = max(process.pid for process in processes_of(here.folder))
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in here.processes() and here.is_ready(), "another worker answers")


def test_while_gunicorn_is_restarted_connections_wait_and_none_is_refused(here: RunningPortal) -> None:
    parent = here.start()
    (gunicorn,) = psutil.Process(parent.pid).children()
    gunicorn.kill()
    status, _ = here.get("/healthz")
    assert status == 200
    assert gunicorn.pid not in here.processes()


def test_a_parent_killed_with_sigkill_leaves_no_process(here: RunningPortal) -> None:
    parent = here.start()
    assert len(here.processes()) >= 3
    parent.kill()
    parent.wait()
    wait_until(lambda: here.processes() == [], "all processes are gone")


def test_parent_and_gunicorn_killed_together_leave_no_process(here: RunningPortal) -> None:
    parent = here.start()
    (gunicorn,) = psutil.Process(parent.pid).children()
    gunicorn.kill()
    parent.kill()
    parent.wait()
    wait_until(lambda: here.processes() == [], "all processes are gone")


def test_sigterm_lets_a_running_download_finish(here: RunningPortal) -> None:
    path = here.publish("1.0.0", files={"lib/big.bin": BIG})
    parent = here.start()
    with closing(here.connect()) as connection:
        connection.request("GET", path, headers={"Authorization": _bearer(here)})
        answer = connection.getresponse()
        parent.send_signal(signal.SIGTERM)
        wait_until(lambda: b"Handling signal: term" in here.log.read_bytes(), "gunicorn drains")
        body = answer.read()
    assert len(body) == int(answer.headers["Content-Length"])
    assert parent.wait(40) == exits.DONE


def test_heartbeats_that_wait_are_written_at_the_end(here: RunningPortal) -> None:
    parent = here.start()
    joined, token = here.enrol()
    poll = Poll(
        engine=joined.engine,
        product=PRODUCT,
        platform="linux-x86_64",
        version=Version.parse("1.0.0"),
        state="IDLE",
        boot="b",
        clock=datetime.now(UTC),
        updater_version="0.1.0",
    )
    here.post("/api/v1/poll", poll.to_bytes(), Authorization=f"Bearer {token}")
    parent.terminate()
    parent.wait(40)
    with closing(open_portal(here.settings)) as portal:
        assert show_engine(portal, joined.engine).line.updater_state == "IDLE"


def test_an_engine_revoked_elsewhere_is_refused_within_a_second(here: RunningPortal) -> None:
    here.start()
    joined, token = here.enrol()
    with closing(open_portal(here.settings)) as portal:
        revoke_engine(portal, joined.engine, actor=Actor("test"), now=datetime.now(UTC))

    def refused() -> bool:
        return here.post("/api/v1/poll", b"{}", Authorization=f"Bearer {token}")[0] == 401

    wait_until(refused, "the token is refused", patience_s=1.0)


def _socket_to(here: RunningPortal) -> socket.socket:
    parts = urlsplit(here.address)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def _put_head(here: RunningPortal, *lines: str) -> bytes:
    head = ["PUT /api/v1/bundles/x.zip HTTP/1.1", "Host: x", f"Authorization: {_bearer(here)}", *lines]
    return "\r\n".join([*head, "", ""]).encode()


def test_a_connection_cut_in_an_upload_leaves_nothing(here: RunningPortal) -> None:
    here.start()
    incoming = here.settings.data_dir / "incoming"
    with _socket_to(here) as connection:
        connection.sendall(_put_head(here, "Content-Length: 50000000") + b"x" * 3_000_000)
        wait_until(lambda: any(incoming.iterdir()), "the upload arrives")
    wait_until(lambda: not any(incoming.iterdir()), "nothing is left")


@pytest.mark.parametrize(
    ("line", "status"), [("Content-Length: 1000000001", b"413"), ("Transfer-Encoding: chunked", b"411")]
)
def test_a_refused_upload_is_answered_before_its_body_comes(
    here: RunningPortal, line: str, status: bytes
) -> None:
    here.start()
    with _socket_to(here) as connection:
        connection.sendall(_put_head(here, line))
        first = connection.recv(12)
    assert first == b"HTTP/1.1 " + status


def _said(here: RunningPortal, request: bytes) -> bytes:
    """All that is answered until the portal ends the connection."""
    with _socket_to(here) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_refused_upload_ends_the_connection_and_its_body_is_not_taken_for_requests(
    here: RunningPortal,
) -> None:
    here.start()
    inner = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"PUT /api/v1/bundles/x.zip HTTP/1.1\r\nHost: x\r\nContent-Length: {len(inner)}\r\n\r\n"
    said = _said(here, head.encode() + inner + inner)
    assert (said.count(b"HTTP/1.1 "), b"Connection: close" in said) == (1, True)
    assert said.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("request_head", "status", "code"),
    [
        (b"GET\r\n\r\n", 400, "bad-request"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "address-too-long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431, "headers-too-large"),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400, "bad-request"),
    ],
)
def test_what_cannot_be_parsed_is_answered_with_a_problem(
    here: RunningPortal, request_head: bytes, status: int, code: str
) -> None:
    here.start()
    head, _, body = _said(here, request_head).partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    told = json.loads(body)
    assert (told["status"], told["code"]) == (status, code)
    assert f"X-Request-ID: {told['instance']}".encode() in head
    (line,) = [line for line in here.log.read_text("utf-8").splitlines() if "Invalid request" in line]
    assert line.endswith(f"request={told['instance']}")


@pytest.mark.parametrize("line", [b"SCRIPT_NAME: /healthz", b"PATH_INFO: /version"])
def test_no_header_moves_a_request_to_another_path(here: RunningPortal, line: bytes) -> None:
    here.start()
    lines = [b"GET /healthz/version HTTP/1.1", b"Host: x", b"Connection: close", line, b"", b""]
    said = _said(here, b"\r\n".join(lines))
    assert said.startswith(b"HTTP/1.1 404")


def test_a_hundred_silent_connections_do_not_stop_the_answers(here: RunningPortal) -> None:
    here.start()
    idle = [_socket_to(here) for _ in range(100)]
    try:
        assert here.get("/healthz")[0] == 200
    finally:
        for connection in idle:
            connection.close()


def test_an_address_in_use_is_a_fault_of_the_settings() -> None:
    with listen("127.0.0.1:0") as listener, pytest.raises(SettingsRefused) as caught:
        listen(address_of(listener).removeprefix("http://"))
    assert "web.bind" in caught.value.message


def test_an_ipv6_address_is_written_with_brackets() -> None:
    with listen("[::1]:0") as listener:
        assert address_of(listener).startswith("http://[::1]:")
