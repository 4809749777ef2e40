"""What is taken for a poll by who watches the connections is read alike by the server's own parser."""

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]  # the library carries no types
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.unreader import IterUnreader  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from engineshed_server.api.poll_request import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    PollRequest,
    read_poll_request,
)

BODY = b'{"protocol":1}'
LINES = (
    "POST /api/v1/poll HTTP/1.1",
    "Host: portal.example:8080",
    "Authorization: Bearer a.b-c.d_e",
    "Content-Type: application/json",
    f"Content-Length: {len(BODY)}",
)


def request_of(*lines: str, body: bytes = BODY) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


PLAIN = request_of(*LINES)
FULL = request_of(
    *LINES,
    "User-Agent: engineshed-client/0.1.0",
    "Accept: */*",
    "accept-encoding:identity",
    "CONNECTION: \t keep-alive \t",
    "X-Request-ID: req_aaaaaaaaaaaaaaaaaaaa",
    "X-Forwarded-For: 192.0.2.7, 192.0.2.8",
    "X-Forwarded-Proto: https",
)


def with_line(number: int, line: str) -> bytes:
    return request_of(*LINES[:number], line, *LINES[number + 1 :])


def test_a_plain_poll_is_read() -> None:
    assert read_poll_request(PLAIN) == PollRequest("a.b-c.d_e", BODY, sent_id=None, forwarded=None)


def test_what_web_servers_in_front_add_is_read() -> None:
    assert read_poll_request(FULL) == PollRequest(
        "a.b-c.d_e", BODY, sent_id="req_aaaaaaaaaaaaaaaaaaaa", forwarded="192.0.2.7, 192.0.2.8"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:-1],
        PLAIN + b"x",
        PLAIN + PLAIN,
        b"\r\n" + PLAIN,
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN.replace(b"Host: p", b"Host: \np"),
        PLAIN.replace(b"Host: p", b"Host: \rp"),
        PLAIN.replace(b"Host: p", b"Host: \0p"),
        PLAIN.replace(b"Host: p", "Host: ü".encode("latin-1")),
        with_line(0, "GET /api/v1/poll HTTP/1.1"),
        with_line(0, "POST /api/v1/poll HTTP/1.0"),
        with_line(0, "POST /api/v1/poll?x HTTP/1.1"),
        with_line(0, "POST /api/v1/poll/ HTTP/1.1"),
        with_line(0, "POST /api/v1/%70oll HTTP/1.1"),
        with_line(0, "POST http://portal.example/api/v1/poll HTTP/1.1"),
        with_line(0, "POST  /api/v1/poll HTTP/1.1"),
        with_line(1, "Host : portal.example"),
        with_line(1, " folded: line"),
        with_line(1, "Host"),
        with_line(1, ": nameless"),
        with_line(2, "Authorization: bearer a.b.c"),
        with_line(2, "Authorization: Basic eDp5"),
        with_line(2, "Accept: */*"),
        with_line(3, "Content-Type: application/json; charset=utf-8"),
        with_line(3, "Content-Type: "),
        with_line(3, "Accept: */*"),
        with_line(4, "Content-Length: +14"),
        with_line(4, "Content-Length: 14, 14"),
        with_line(4, "Content-Length: 0x0e"),
        with_line(4, "Content-Length: 13"),
        with_line(4, "Content-Length: 15"),
        with_line(4, "Content-Length:"),
        with_line(4, "Transfer-Encoding: chunked"),
        request_of(*LINES, "Content-Length: 14"),
        request_of(*LINES, "Transfer-Encoding: chunked"),
        request_of(*LINES, "Content-Encoding: gzip"),
        request_of(*LINES, "Expect: 100-continue"),
        request_of(*LINES, "Connection: close"),
        request_of(*LINES, "Connection: keep-alive, upgrade"),
        request_of(*LINES, "Upgrade: h2c"),
        request_of(*LINES, "X_Forwarded_For: 192.0.2.9"),
        request_of(*LINES, "X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.8"),
        request_of(*LINES, "Idempotency-Key: once"),
        request_of(*LINES, "Unheard-Of: x"),
        request_of(*LINES, "Accept: " + "a" * MAX_HEAD_BYTES),
        request_of(*LINES[:4], f"Content-Length: {MAX_BODY_BYTES + 1}", body=bytes(MAX_BODY_BYTES + 1)),
    ],
)
def test_anything_else_is_left_to_the_parser(data: bytes) -> None:
    assert read_poll_request(data) is None


def by_the_parser(data: bytes) -> PollRequest:
    unreader = IterUnreader([data])
    request = Request(Config(), unreader, ("192.0.2.1", 1))
    body = request.body.read()
    assert (request.method, request.uri, request.version) == ("POST", "/api/v1/poll", (1, 1))
    assert (unreader.take_buffered(), request.should_close()) == (b"", False)
    fields = dict(request.headers)
    assert len(fields) == len(request.headers)
    assert fields["CONTENT-TYPE"] == "application/json"
    return PollRequest(
        fields["AUTHORIZATION"].removeprefix("Bearer "),
        body,
        sent_id=fields.get("X-REQUEST-ID"),
        forwarded=fields.get("X-FORWARDED-FOR"),
    )


PIECES = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b"\xff", b"Content-Length: 5\r\n"]
PIECES += [b"Transfer-Encoding: chunked\r\n", b"Accept: x\r\n", b"Host: y\r\n", b"0", b"HTTP/1.1", b"?"]
CHANGES = st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from([b"", *PIECES]))


@given(base=st.sampled_from([PLAIN, FULL]), changes=st.lists(CHANGES, max_size=3))
def test_whatever_is_taken_the_parser_reads_alike(
    base: bytes, changes: list[tuple[float, int, bytes]]
) -> None:
    data = base
    for where, count, piece in changes:
        at = int(where * len(data))
        data = data[:at] + piece + data[at + count :]
    found = read_poll_request(data)
    assert found is None or found == by_the_parser(data)
