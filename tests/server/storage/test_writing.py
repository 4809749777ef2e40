"""Large files are written whole, durable step by step, and do not stay in memory."""

import os
from pathlib import Path

import pytest

from engineshed_server.storage.writing import settle, write_all


class Reluctant:
    """Takes three bytes at a time, as a file may."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: memoryview) -> int:
        self.taken += bytes(data[:3])
        return min(3, len(data))


def test_a_piece_is_written_whole_whatever_the_file_takes_at_once() -> None:
    file = Reluctant()
    write_all(file, b"0123456789")  # type: ignore[arg-type]  # a file for what is called here
    assert file.taken == b"0123456789"


def test_memory_is_given_back_only_of_what_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("durable"))
    monkeypatch.setattr(os, "posix_fadvise", lambda *words: calls.append("given back"))
    with (tmp_path / "big").open("xb", buffering=0) as file:
        settle(file)
    assert calls == ["durable", "given back"]
