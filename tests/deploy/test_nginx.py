"""Debian's nginx with the shipped configuration before a real portal: joining, polls, uploads, downloads."""

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engineshed_packages.builder import build_package
from engineshed_packages.protocol import PollAnswer
from engineshed_packages.versions import Version
from engineshed_server.db import audit
from engineshed_server.services.api_tokens import Scope
from engineshed_server.wiring import open_portal
from tests.authority import Authority
from tests.conftest import require
from tests.deploy.front import WORKER_USER, Answer, Front, Nginx, portal_behind_nginx
from tests.e2e.sample_parties import SAMPLE, EngineHost
from tests.server.api.conftest import poll_of
from tests.server.exposed import Exposed
from tests.server.serve.processes import wait_until
from tests.vendor import PRODUCT

BIG = os.urandom(12_000_000)
UPLOAD_LIMIT = 40 * 1024 * 1024
CHANGES = {
    "4096m;": "40m;",
    "rate=20r/s": "rate=1r/m",  # joining: the burst, and then nothing
    "burst=400": "burst=40",
    "client_body_timeout 15s": "client_body_timeout 1s",
    "client_header_timeout 10s": "client_header_timeout 1s",
}
# Who asks, so that one test does not use up what another may ask.
ELSEWHERE = "127.0.0.77"


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with portal_behind_nginx(changes=CHANGES) as made:
        yield made


@pytest.fixture(scope="module")
def package(front: Front) -> str:
    """Where a package of 12 MB is."""
    return front.portal.publish("0.1.0", files={"lib/big.bin": BIG})


def problem_of(answer: Answer) -> dict[str, object]:
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, object] = json.loads(answer.body)
    assert told["status"] == answer.status
    assert told["instance"] == answer.headers["x-request-id"]
    return told


# --- joining, polling ---


def test_an_engine_joins_gets_its_token_and_polls(front: Front) -> None:
    with front.client() as client:

        def post(path: str, body: bytes) -> bytes:
            return client.post_json(front.nginx.address + path, body, max_bytes=65536).body

        joined, token = front.portal.enrol(post=post)
        url, body = f"{front.nginx.address}/api/v1/poll", poll_of(joined.engine).to_bytes()
        answer = PollAnswer.from_bytes(client.post_json(url, body, token=token, max_bytes=65536).body)
    assert answer.code in ("no-release", "up-to-date")
    assert joined.portals == (front.nginx.address,)


def failed_join(front: Front, *, source: str = "127.0.0.1", **headers: str) -> Answer:
    body = {"protocol": 1, "token": "none", "product": "p", "platform": "any", "host_name": "h"}
    connection = http.client.HTTPSConnection(
        "127.0.0.1", front.nginx.port, timeout=20, context=front.context, source_address=(source, 0)
    )
    sent = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    with closing(connection):
        connection.request("POST", "/api/v1/enrol", json.dumps({**body, "updater_version": "1"}), sent)
        found = connection.getresponse()
        return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())


def test_audit_and_log_tell_the_clients_own_address_whatever_it_claims(front: Front) -> None:
    claims = {"X_Forwarded_For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X_Real_IP": "192.0.2.1"}
    answer = failed_join(front, source="127.0.0.9", **claims)
    assert problem_of(answer)["code"] == "enrol-token-unknown"
    with (
        closing(open_portal(front.portal.settings)) as portal,
        portal.database.read() as session,
    ):
        told = [one.actor for one in audit.list_audit(session) if one.action == "enrolment-failed"]
    assert "127.0.0.9" in {actor.address for actor in told}
    assert "192.0.2.1" not in {actor.address for actor in told}
    line = log_line(front.portal.log, answer.headers["x-request-id"])
    assert " address=127.0.0.9 " in line


def log_line(log: Path, request: str) -> str:
    def found() -> list[str]:
        return [line for line in log.read_text("utf-8").splitlines() if f"request={request}" in line]

    wait_until(lambda: bool(found()), f"{log} tells of {request}")
    return found()[-1]


@pytest.mark.parametrize(("sent", "kept"), [("my-own.id_17", True), ("ab", False), ('x" y=z 12', False)])
def test_a_request_has_one_id_in_answer_and_both_logs(front: Front, sent: str, kept: bool) -> None:
    answer = front.get("/version", X_Request_ID=sent)
    shown = answer.headers["x-request-id"]
    assert (shown == sent) is kept
    assert "GET /version" in log_line(front.nginx.folder / "engineshed.log", shown)
    assert "path=/version" in log_line(front.portal.log, shown)


def test_no_version_of_nginx_is_told(front: Front) -> None:
    assert front.get("/healthz").headers["server"] == "nginx"


# --- uploads ---


def put(front: Front, name: str, body: bytes, **headers: str) -> Answer:
    sent = {"Authorization": front.bearer, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return front.ask("PUT", f"/api/v1/bundles/{name}", body, sent)


def test_the_upload_command_publishes_through_nginx(front: Front) -> None:
    front.portal.vendor.release("0.2.0", files={"lib/big.bin": BIG})
    bundle, ca = front.portal.vendor.bundle("0.2.0"), front.nginx.authority.ca_file
    words = [sys.executable, "-P", "-m", "engineshed_server.cli", "upload", str(bundle), "--no-progress"]
    run = subprocess.run(
        [*words, "--to", front.nginx.address, "--ca-file", str(ca)],
        env={
            **os.environ,
            "ENGINESHED_TOKEN": front.portal.token,
            "XDG_STATE_HOME": str(front.nginx.folder / "state"),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert f"published: {PRODUCT} 0.2.0" in run.stdout
    wait_until(lambda: no_file_is_left(front), "the body is gone from nginx's disk")


def no_file_is_left(front: Front) -> bool:
    return not [path for path in (front.nginx.folder / "body").rglob("*") if path.is_file()]


def test_an_upload_over_the_limit_is_refused_before_it_is_sent(front: Front) -> None:
    with socket_to(front) as peer:
        lines = ["PUT /api/v1/bundles/x.zip HTTP/1.1", "Host: x", f"Authorization: {front.bearer}"]
        peer.sendall("\r\n".join([*lines, f"Content-Length: {UPLOAD_LIMIT + 1}", "", ""]).encode())
        head, _, body = peer.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert json.loads(body)["code"] == "body-too-large"


@pytest.mark.parametrize(
    ("token", "status", "code"), [(None, 401, "token-missing"), ("nobody", 401, "api-token-unknown")]
)
@pytest.mark.parametrize("length", ["Content-Length: 30000000", "Transfer-Encoding: chunked"])
def test_nobody_without_a_token_fills_the_disk(
    front: Front, token: str | None, status: int, code: str, length: str
) -> None:
    with socket_to(front) as peer:
        lines = ["PUT /api/v1/bundles/x.zip HTTP/1.1", "Host: x", length]
        lines += [] if token is None else [f"Authorization: Bearer {token}"]
        peer.sendall("\r\n".join([*lines, "", ""]).encode())
        with closing(http.client.HTTPResponse(peer)) as answer:
            answer.begin()  # of the body nothing was sent
            assert (answer.status, json.loads(answer.read())["code"]) == (status, code)
    assert no_file_is_left(front)


def test_a_token_that_may_only_read_is_refused_before_anything_is_sent(front: Front) -> None:
    viewer = front.portal.make_token(Scope.VIEWER)
    with socket_to(front) as peer:
        lines = ["POST /api/v1/uploads HTTP/1.1", "Host: x", f"Authorization: Bearer {viewer}"]
        lines += ["Tus-Resumable: 1.0.0", "Upload-Length: 5000000", "Content-Length: 1000000"]
        peer.sendall("\r\n".join([*lines, "", ""]).encode())
        with closing(http.client.HTTPResponse(peer)) as answer:
            answer.begin()
            assert (answer.status, json.loads(answer.read())["code"]) == (403, "api-token-scope")


def test_who_sends_all_the_same_hears_why_it_was_in_vain(front: Front) -> None:
    answer = front.ask("PUT", "/api/v1/bundles/x.zip", BIG, {"Authorization": "Bearer nobody"})
    assert (answer.status, problem_of(answer)["code"]) == (401, "api-token-unknown")


def test_what_is_spoken_for_uploads_is_told_without_a_token(front: Front) -> None:
    answer = front.ask("OPTIONS", "/api/v1/uploads")
    assert (answer.status, answer.headers["tus-version"]) == (204, "1.0.0")
    assert answer.headers["tus-max-size"] == str(front.portal.settings.upload_bytes)


def test_a_chunked_upload_comes_to_the_portal_with_its_length(front: Front) -> None:
    connection = front.connect()
    with closing(connection):
        pieces = iter([b"no zip", b" at all"])
        headers = {"Authorization": front.bearer, "Transfer-Encoding": "chunked"}
        connection.request("PUT", "/api/v1/bundles/x.zip", pieces, headers, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (422, "archive-not-zip")


def test_an_upload_in_chunks_goes_on_where_it_was_cut(front: Front) -> None:
    front.portal.vendor.release("0.4.0", files={"lib/big.bin": BIG})
    data = front.portal.vendor.bundle("0.4.0").read_bytes()
    tus = {"Authorization": front.bearer, "Tus-Resumable": "1.0.0"}
    begun = front.ask("POST", "/api/v1/uploads", b"", {**tus, "Upload-Length": str(len(data))})
    assert begun.status == 201
    path, patch = begun.headers["location"], {**tus, "Content-Type": "application/offset+octet-stream"}
    sent = front.ask("PATCH", path, data[:5_000_000], {**patch, "Upload-Offset": "0"})
    assert (sent.status, sent.headers["upload-offset"]) == (204, "5000000")
    with socket_to(front) as peer:  # nginx keeps what it does not have in whole
        lines = [f"PATCH {path} HTTP/1.1", "Host: x", "Upload-Offset: 5000000", "Content-Length: 4000000"]
        lines += [f"{name}: {text}" for name, text in patch.items()]
        peer.sendall("\r\n".join([*lines, "", ""]).encode() + data[5_000_000:6_000_000])
    assert front.ask("HEAD", path, headers=tus).headers["upload-offset"] == "5000000"
    rest = front.ask("PATCH", path, data[5_000_000:], {**patch, "Upload-Offset": "5000000"})
    assert (rest.status, rest.headers["upload-offset"]) == (204, str(len(data)))

    def state() -> str:
        return str(json.loads(front.ask("GET", path, headers=tus).body)["state"])

    wait_until(lambda: state() in ("done", "failed"), "the bundle is taken in")
    assert "0.4.0" in front.get("/api/v1/releases", Authorization=front.bearer).body.decode()


def test_a_json_body_over_the_limit_is_refused(front: Front) -> None:
    answer = front.ask("POST", "/api/v1/poll", b"x" * 1_100_000, {"Content-Type": "application/json"})
    assert (answer.status, problem_of(answer)["code"]) == (413, "body-too-large")


def test_the_portals_own_refusal_comes_through_as_it_is(front: Front) -> None:
    answer = put(front, "x.zip", b"no zip at all")
    assert (answer.status, problem_of(answer)["code"]) == (422, "archive-not-zip")


# --- downloads ---

SAME = (
    *("accept-ranges", "cache-control", "content-disposition", "content-length", "content-range"),
    *("content-type", "etag", "last-modified", "repr-digest", "x-content-type-options", "content-encoding"),
)


def directly(front: Front, method: str, path: str, headers: dict[str, str]) -> Answer:
    with closing(front.portal.connect()) as connection:
        connection.request(method, path, headers=headers)
        found = connection.getresponse()
        return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"Range": "bytes=1000-"},
        {"Range": "bytes=5-9"},
        {"Range": "bytes=-7"},
        {"Range": "bytes=0-0,5-9"},
        {"Range": "bytes=999999999-"},
        {"Range": "bytes=-0"},
        {"Range": "bytes=9-5"},
        {"Range": "bytes=x"},
        {"Range": "lines=1-5"},
        {"Range": "bytes=5-9", "If-Range": "ETAG"},
        {"Range": "bytes=5-9", "If-Range": '"another"'},
        {"Range": "bytes=5-9", "If-Range": "W/ETAG"},
        {"Range": "bytes=5-9", "If-Range": "DATE"},
        {"Range": "bytes=5-9", "If-Match": "ETAG"},
        {"If-Match": "ETAG"},
        {"If-Match": '"another"'},
        {"If-None-Match": "ETAG"},
        {"If-None-Match": '"another"'},
        {"If-Modified-Since": "DATE"},
        {"If-Modified-Since": "Sun, 22 Nov 2099 08:00:00 GMT"},
        {"If-Unmodified-Since": "Thu, 22 Nov 2001 08:00:00 GMT"},
        {"Accept-Encoding": "gzip"},
    ],
    ids=lambda asked: " ".join(f"{name}:{text}" for name, text in asked.items()) or "plain",
)
def test_nginx_answers_as_the_portal_itself_does(
    front: Front, package: str, method: str, asked: dict[str, str]
) -> None:
    etag = re.search(r"[0-9a-f]{64}", package)
    assert etag is not None
    (blob,) = (front.portal.folder / "data" / "blobs").rglob(etag[0])
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(blob.stat().st_mtime))
    headers = {
        name: text.replace("ETAG", f'"{etag[0]}"').replace("DATE", date) for name, text in asked.items()
    }
    headers["Authorization"] = front.bearer
    through, ours = (
        front.ask(method, package, headers=headers),
        directly(front, method, package, headers),
    )
    assert through.status == ours.status
    for name in SAME:
        if name != "content-length" or ours.status < 300:  # a problem tells the request's id
            assert (name, through.headers.get(name)) == (name, ours.headers.get(name))
    if ours.status < 300:
        assert through.body == ours.body


def test_nginx_sends_the_bytes_and_the_portal_none(front: Front, package: str) -> None:
    told = directly(front, "GET", package, {"Authorization": front.bearer, "X-Forwarded-For": "127.0.0.9"})
    assert (told.status, told.body) == (200, b"")
    assert told.headers["x-accel-redirect"].startswith("/_blobs/")
    assert "x-accel-redirect" not in front.get(package, Authorization=front.bearer).headers


def test_bytes_that_nginx_sends_are_counted_as_its_own(front: Front, package: str) -> None:
    def sent() -> dict[str, float]:
        exposed = Exposed(front.get("/metrics").body)
        return {
            who: exposed.total("engineshed_download_bytes_total", sender=who) for who in ("front", "portal")
        }

    before = sent()
    whole = front.get(package, Authorization=front.bearer).body
    part = front.get(package, Authorization=front.bearer, Range="bytes=1000-1999").body
    after = sent()
    assert after["front"] - before["front"] == len(whole) + len(part) > 12_000_000
    assert after["portal"] == before["portal"]


def test_through_nginx_too_only_who_is_allowed_reads_the_metrics(front: Front) -> None:
    def elsewhere(**headers: str) -> Answer:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", front.nginx.port, context=front.context, source_address=(ELSEWHERE, 0)
        )
        with closing(connection):
            connection.request("GET", "/metrics", headers=headers)
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())

    assert front.get("/metrics").status == 200
    stranger = elsewhere(**{"X-Forwarded-For": "127.0.0.1"})
    assert (stranger.status, problem_of(stranger)["code"]) == (401, "monitor-unknown")
    assert elsewhere(Authorization=front.bearer).status == 200


def test_a_download_that_was_cut_is_resumed_with_the_same_bytes(front: Front, package: str) -> None:
    with closing(front.connect()) as connection:
        connection.request("GET", package, headers={"Authorization": front.bearer})
        answer = connection.getresponse()
        begun = answer.read(5_000_000)
        etag, digest = str(answer.headers["ETag"]), str(answer.headers["Repr-Digest"])
    rest = front.get(package, Authorization=front.bearer, Range=f"bytes={len(begun)}-", If_Range=etag)
    assert (rest.status, rest.headers["repr-digest"]) == (206, digest)
    assert begun + rest.body == front.get(package, Authorization=front.bearer).body


def test_a_package_is_not_to_be_had_without_a_token(front: Front, package: str) -> None:
    assert problem_of(front.get(package))["code"] == "token-missing"


@pytest.mark.parametrize("path", ["/_blobs/", "/_blobs/ab/", "/_blobs/../_blobs/x", "/engineshed-problem"])
def test_nobody_reaches_the_store_by_its_inner_address(front: Front, package: str, path: str) -> None:
    found = re.search(r"([0-9a-f]{2})[0-9a-f]{62}", package)
    assert found is not None
    for asked in (path, f"{path}{found[1]}/{found[0]}"):
        assert problem_of(front.get(asked, Authorization=front.bearer))["code"] == "not-found"


def test_a_store_that_nginx_may_not_read_is_told_as_a_fault_of_the_portal(front: Front) -> None:
    require(os.geteuid() == 0, "root")
    path = front.portal.publish("0.3.0")
    found = re.search(r"[0-9a-f]{64}", path)
    assert found is not None
    (blob,) = (front.portal.folder / "data" / "blobs").rglob(found[0])
    subprocess.run(["setfacl", "-x", f"u:{WORKER_USER}", str(blob)], check=True)
    answer = front.get(path, Authorization=front.bearer)
    assert (answer.status, problem_of(answer)["code"]) == (503, "portal-unavailable")
    assert answer.headers["retry-after"] == "5"


# --- the whole way ---


def test_an_updater_with_a_pinned_ca_is_brought_to_the_release(front: Front, tmp_path: Path) -> None:
    output = tmp_path / "packages"
    output.mkdir()
    package = build_package(
        [SAMPLE / "common", SAMPLE / "1.0.0"], version=Version.parse("1.0.0"), platform="any", output=output
    ).path
    front.portal.vendor.release("1.0.0", packages=[package])
    answer = put(front, "bundle.zip", front.portal.vendor.bundle("1.0.0").read_bytes())
    assert answer.status == 201
    host = EngineHost(tmp_path / "base", product=PRODUCT, root_file=front.portal.vendor.root_file)
    with host:
        ca = str(front.nginx.authority.ca_file)
        line, root = front.portal.enrol_line().text(), str(front.portal.vendor.root_file)
        joined = host.client("enrol", "--trusted-root", root, "--ca-file", ca, stdin=line + "\n")
        assert joined.returncode == 0, joined.stderr
        updated = host.client("update")
        assert updated.returncode == 0, updated.stderr
        assert host.version == "1.0.0"


# --- peers that ask too much or too slowly ---


@contextmanager
def socket_to(front: Front, *, source: str = "127.0.0.1") -> Iterator[ssl.SSLSocket]:
    plain = socket.create_connection(("127.0.0.1", front.nginx.port), 20, source_address=(source, 0))
    with plain, front.context.wrap_socket(plain, server_hostname="127.0.0.1") as peer:
        yield peer


def ended(peer: ssl.SSLSocket) -> bytes:
    """What comes until nginx ends the connection, however."""
    said = b""
    try:
        while data := peer.recv(65536):
            said += data
    except (ConnectionResetError, ssl.SSLEOFError):
        return said
    return said


def test_who_joins_too_often_is_told_to_wait_and_everything_else_goes_on(front: Front) -> None:
    said = [failed_join(front, source=ELSEWHERE) for _ in range(45)]
    limited = [answer for answer in said if problem_of(answer)["code"] == "rate-limited"]
    assert [answer.status for answer in said[:3]] == [401, 401, 401]
    assert limited, [answer.status for answer in said]
    assert (limited[-1].status, limited[-1].headers["retry-after"]) == (429, "10")
    assert front.get("/healthz").status == 200


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /version HT",
        b"GET /version HTTP/1.1\r\nHost: x\r\n",
        b"POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 500\r\n\r\n{",
    ],
    ids=["line", "headers", "body"],
)
def test_who_sends_too_slowly_loses_the_connection_and_the_portal_hears_nothing(
    front: Front, begun: bytes
) -> None:
    before = front.portal.log.read_text("utf-8").count(" address=127.0.0.88 ")
    with socket_to(front, source="127.0.0.88") as peer:
        peer.sendall(begun)
        peer.settimeout(10)
        assert ended(peer) == b""
    assert front.portal.log.read_text("utf-8").count(" address=127.0.0.88 ") == before


@pytest.mark.parametrize(
    ("request_head", "status", "code"),
    [
        (b"GET\r\n\r\n", 400, "bad-request"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "address-too-long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431, "headers-too-large"),
    ],
)
def test_what_nginx_cannot_parse_is_answered_with_a_problem(
    front: Front, request_head: bytes, status: int, code: str
) -> None:
    with socket_to(front) as peer:
        peer.sendall(request_head)
        head, _, body = ended(peer).partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert (json.loads(body)["status"], json.loads(body)["code"]) == (status, code)


def test_plain_http_is_not_answered_but_with_a_problem(front: Front) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", front.nginx.port, timeout=20)) as connection:
        connection.request("GET", "/version")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (400, "bad-request")


def test_a_portal_that_does_not_answer_is_told_with_the_time_to_wait(tmp_path: Path) -> None:
    nginx = Nginx(tmp_path, Authority(tmp_path), blobs=tmp_path)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, so that nobody else gets the port, and not listening
        nginx.write_configuration(f"127.0.0.1:{nobody.getsockname()[1]}")
        nginx.start()
        try:
            context = ssl.create_default_context(cafile=nginx.authority.ca_file)
            connection = http.client.HTTPSConnection("127.0.0.1", nginx.port, timeout=20, context=context)
            with closing(connection):
                connection.request("GET", "/readyz")
                found = connection.getresponse()
                told = json.loads(found.read())
        finally:
            nginx.end()
    assert (found.status, found.headers["Retry-After"]) == (503, "5")
    assert told["code"] == "portal-unavailable"
