"""When a request is worth a thread: with its head, and with its body when that is small."""

import pytest

from engineshed_server.api.gathering import MAX_BODY_BYTES, MAX_BYTES, Gathered

GET = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"


def post(length: int | str, *lines: str) -> bytes:
    head = ["POST /api/v1/enrol HTTP/1.1", "Host: x", f"Content-Length: {length}", *lines]
    return "\r\n".join([*head, "", ""]).encode()


def gathered(*pieces: bytes) -> Gathered:
    made = Gathered()
    made.begin()
    for piece in pieces:
        made.add(piece)
    return made


@pytest.mark.parametrize(
    ("data", "enough"),
    [
        (b"", False),
        (GET, True),
        (GET[:-1], False),
        (GET + GET, True),
        (b"\r\n\r\n", True),
        (post(5), False),
        (post(5) + b"1234", False),
        (post(5) + b"12345", True),
        (post(0), True),
        (post(5).replace(b"Content-Length: ", b"content-LENGTH:\t "), False),
        (post(MAX_BODY_BYTES), False),
        (post(MAX_BODY_BYTES) + bytes(MAX_BODY_BYTES), True),
        # what a thread reads by itself, or refuses
        (post(MAX_BODY_BYTES + 1), True),
        (post("99999999999999999999"), True),
        (post("-5"), True),
        (post("five"), True),
        (post(5).replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"), True),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_BYTES, True),
    ],
)
def test_a_request_is_enough_with_its_head_and_small_body(data: bytes, enough: bool) -> None:
    assert gathered(data).is_enough() is enough


@pytest.mark.parametrize("request_bytes", [GET, post(5) + b"12345"])
def test_it_does_not_matter_in_which_pieces_a_request_comes(request_bytes: bytes) -> None:
    made = Gathered()
    made.begin()
    for number in range(len(request_bytes)):
        assert not made.is_enough()
        made.add(request_bytes[number : number + 1])
    assert made.is_enough()


def test_bytes_are_taken_in_their_order() -> None:
    made = gathered(b"abc", b"def")
    assert [made.take(2), made.take(10), made.take(1), len(made)] == [b"ab", b"cdef", b"", 0]


def test_bytes_of_the_next_request_come_first_when_they_are_given_back() -> None:
    made = gathered(b"later")
    made.give_back(b"sooner ")
    assert made.take(99) == b"sooner later"


def test_the_next_request_is_looked_at_anew() -> None:
    made = gathered(GET, b"POST / HT")
    assert made.is_enough()
    made.take(len(GET))
    made.begin()
    assert not made.is_enough()
    assert not made.has_head


@pytest.mark.parametrize(
    ("data", "expects"),
    [
        (post(5, "Expect: 100-continue"), True),
        (post(5, "expect:100-Continue"), True),
        (post(5, "Expect: 100-continue") + b"12345", False),
        (post(5, "Expect: something"), False),
        (post(5), False),
    ],
)
def test_who_waits_for_a_word_before_the_body_is_noticed_once(data: bytes, expects: bool) -> None:
    made = gathered(data)
    made.is_enough()
    assert [made.expects_word(), made.expects_word()] == [expects, False]
