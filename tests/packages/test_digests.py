"""Digests: known values, in pieces or at once."""

import io
from pathlib import Path

import pytest

from engineshed_packages.digests import (
    CHUNK_BYTES,
    Digester,
    Digests,
    Sha256Digester,
    digest_file,
    digest_stream,
    is_sha256,
    sha256_file,
    sha256_stream,
)

# FIPS 180-4, the one-block message of its examples
ABC = Digests(
    length_bytes=3,
    sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    sha1="a9993e364706816aba3e25717850c26c9cd0d89d",
)
LONG = b"0123456789abcdef" * (CHUNK_BYTES // 8) + b"tail"


def test_a_stream_has_the_digests_of_the_standard() -> None:
    assert digest_stream(io.BytesIO(b"abc")) == ABC


def test_a_file_has_the_digests_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert digest_file(tmp_path / "file") == ABC


def test_the_sha256_of_a_file_is_the_same_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_file(tmp_path / "file") == ABC.sha256


def test_a_stream_is_digested_from_where_it_stands() -> None:
    stream = io.BytesIO(b"12abc")
    stream.seek(2)
    assert sha256_stream(stream) == ABC.sha256


def test_pieces_give_what_the_whole_gives() -> None:
    digester = Digester()
    for start in range(0, len(LONG), 700_001):
        digester.update(memoryview(LONG)[start : start + 700_001])
    assert digester.result() == digest_stream(io.BytesIO(LONG))


def test_what_decides_can_be_had_without_the_sha1() -> None:
    digester = Sha256Digester()
    digester.update(b"ab")
    digester.update(b"c")
    assert (digester.length_bytes, digester.sha256) == (3, ABC.sha256)


def test_a_digester_can_be_asked_before_its_end() -> None:
    digester = Digester()
    digester.update(b"abc")
    assert digester.result() == ABC
    digester.update(b"d")
    assert digester.result().length_bytes == 4


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (ABC.sha256, True),
        (ABC.sha256.upper(), False),
        (ABC.sha256[:-1], False),
        (ABC.sha256 + "\n", False),
        ("\u0661" * 64, False),
        (None, False),
    ],
)
def test_a_sha256_is_64_lower_case_hexadecimal_digits(text: object, good: bool) -> None:
    assert is_sha256(text) is good


@pytest.mark.parametrize(
    ("length_bytes", "sha256", "sha1"),
    [(-1, ABC.sha256, ABC.sha1), (3, "abc", ABC.sha1), (3, ABC.sha256, ABC.sha256)],
)
def test_digests_that_are_none_are_a_bug_of_the_caller(length_bytes: int, sha256: str, sha1: str) -> None:
    with pytest.raises(ValueError, match="expected a length"):
        Digests(length_bytes=length_bytes, sha256=sha256, sha1=sha1)
