"""Folder, zip and HTTP as one kind of thing: bounded, and closed to names no repository has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages.archive import Item, open_archive, write_archive
from engineshed_packages.errors import Missing, SourceRefused
from engineshed_packages.sources import FolderSource, HttpSource, Source, ZipSource, check_name, read_source
from engineshed_packages.transport import HttpClient, HttpRefused
from tests.faulty_http import FaultyServer, answers

NAME = "metadata/1.root.json"
DATA = b"x" * 1000


@pytest.fixture(params=["folder", "zip", "http"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """The same one file behind each kind of source."""
    folder = tmp_path / "repository"
    (folder / "metadata").mkdir(parents=True)
    (folder / NAME).write_bytes(DATA)
    (tmp_path / "secret.json").write_bytes(DATA)
    if request.param == "folder":
        yield FolderSource(folder)
    elif request.param == "zip":
        write_archive(tmp_path / "bundle.zip", [Item.of_bytes(NAME, DATA)])
        with open_archive(tmp_path / "bundle.zip") as archive:
            yield ZipSource(archive)
    else:
        with FaultyServer() as server, HttpClient() as client:
            server.mount("/repo/v1/vendor", folder)
            yield HttpSource(client, server.url + "/repo/v1/vendor/")


def test_a_file_is_read_whole(source: Source) -> None:
    assert read_source(source, NAME, max_bytes=1000) == DATA


def test_an_absent_file_is_missing(source: Source) -> None:
    with pytest.raises(Missing):
        read_source(source, "metadata/2.root.json", max_bytes=1000)


def test_a_file_over_the_limit_is_refused(source: Source) -> None:
    with pytest.raises(SourceRefused) as caught:
        read_source(source, NAME, max_bytes=999)
    assert caught.value.code == "too-large"


def test_a_name_that_leads_outside_is_missing(source: Source) -> None:
    with pytest.raises(Missing):
        read_source(source, "metadata/../../secret.json", max_bytes=1000)


@pytest.mark.parametrize(
    "name",
    [
        "metadata/../x",
        "metadata//x",
        "metadata/",
        "metadata",
        "/metadata/x",
        "other/x",
        "Version.txt",
        "targets/.incoming-1",
        "targets/a\\b",
        "targets/a:b",
        "targets/a\n",
        "targets/\u202ea",
    ],
)
def test_a_name_no_repository_has_is_not_looked_for(name: str) -> None:
    with pytest.raises(Missing):
        check_name(name)


@pytest.mark.parametrize("status", [401, 403])
def test_a_portal_that_forbids_is_an_error_and_not_missing(status: int) -> None:
    with FaultyServer() as server, HttpClient() as client:
        server.at(f"/{NAME}", answers.status(status))
        with pytest.raises(HttpRefused):
            read_source(HttpSource(client, server.url), NAME, max_bytes=1000)


def test_the_token_is_sent_with_each_request() -> None:
    with FaultyServer() as server, HttpClient() as client:
        server.at(f"/{NAME}", answers.status(200, {}, DATA))
        read_source(HttpSource(client, server.url, "abc"), NAME, max_bytes=1000)
        assert server.requests[0].headers["authorization"] == "Bearer abc"


def test_a_status_of_success_without_the_file_is_refused() -> None:
    with FaultyServer() as server, HttpClient() as client:
        server.at(f"/{NAME}", answers.status(206, {}, DATA))
        with pytest.raises(SourceRefused) as caught:
            read_source(HttpSource(client, server.url), NAME, max_bytes=1000)
        assert caught.value.code == "http-206"
