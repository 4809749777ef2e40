"""The verified view from a portal that is in trouble or forbids."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engineshed_packages.errors import PackagesError, Unavailable
from engineshed_packages.metadata import open_view
from engineshed_packages.sources import FolderSource, HttpSource
from engineshed_packages.transport import HttpClient, HttpRefused
from tests.faulty_http import Answer, FaultyServer, answers
from tests.vendor import Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@contextmanager
def portal(vendor: Vendor) -> Iterator[tuple[FaultyServer, HttpSource]]:
    with FaultyServer() as server, HttpClient(read_timeout_s=5) as client:
        server.mount("/repo", vendor.repository.folder)
        yield server, HttpSource(client, server.url + "/repo", deadline_s=5)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("name", ["2.root.json", "timestamp.json", "1.snapshot.json"])
def test_a_portal_that_forbids_a_file_is_an_error_and_never_means_there_is_none(
    vendor: Vendor, cache: Path, status: int, name: str
) -> None:
    """The library reads 403 on the next root as "there is no newer root": a root could be withheld so."""
    with portal(vendor) as (server, source):
        server.at(f"/repo/metadata/{name}", answers.status(status))
        with pytest.raises(HttpRefused) as caught:
            open_view(source, cache=cache, trusted_root=vendor.root, now=vendor.now)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answers.status(500), "http-500"),
        (answers.status(429, {"Retry-After": "9"}), "http-429"),
        (answers.redirect("/elsewhere"), "http-302"),
        (answers.html(), "metadata-unreadable"),
        (answers.broken_chunks(b'{"signed"'), "unreachable"),
        (answers.truncated(b"x" * 1000, 10), "unreachable"),
        (answers.endless(), "too-large"),
    ],
)
def test_a_portal_in_trouble_gives_an_error_of_ours(
    vendor: Vendor, cache: Path, answer: Answer, code: str
) -> None:
    with portal(vendor) as (server, source):
        server.at("/repo/metadata/timestamp.json", answer)
        with pytest.raises(PackagesError) as caught:
            open_view(source, cache=cache, trusted_root=vendor.root, now=vendor.now)
    assert caught.value.code == code


def test_a_timestamp_of_one_byte_a_second_ends_at_the_deadline(vendor: Vendor, cache: Path) -> None:
    with portal(vendor) as (server, source):
        server.at("/repo/metadata/timestamp.json", answers.dripping(b" " * 10_000, 0.05))
        with pytest.raises(Unavailable) as caught:
            open_view(source, cache=cache, trusted_root=vendor.root, now=vendor.now, deadline_s=0.5)
    assert caught.value.code == "deadline"


class Slow(FolderSource):
    """Each file comes whole and soon; only all of them together take long."""

    @contextmanager
    def open(self, name: str, *, max_bytes: int) -> Iterator[Iterator[bytes]]:
        time.sleep(0.2)
        with super().open(name, max_bytes=max_bytes) as pieces:
            yield pieces


def test_the_deadline_holds_for_all_files_together(vendor: Vendor, cache: Path) -> None:
    source = Slow(vendor.repository.folder)
    with pytest.raises(Unavailable) as caught:
        open_view(source, cache=cache, trusted_root=vendor.root, now=vendor.now, deadline_s=0.5)
    assert caught.value.code == "deadline"
