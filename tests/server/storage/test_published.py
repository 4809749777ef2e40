from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engineshed_packages.files import write_file
from engineshed_packages.metadata import MAX_VERSION
from engineshed_packages.metadata.cache import MetadataFile
from engineshed_server.errors import TryLater
from engineshed_server.storage import published as published_module
from engineshed_server.storage.published import PublishedMetadata

FILES = (
    MetadataFile("1.root.json", b"root"),
    MetadataFile("1.snapshot.json", b"snapshot"),
    MetadataFile("timestamp.json", b"now"),
)


@pytest.fixture
def published(tmp_path: Path) -> PublishedMetadata:
    return PublishedMetadata(tmp_path / "repo" / "vendor" / "metadata")


def test_the_immutable_files_come_without_the_timestamp(published: PublishedMetadata) -> None:
    published.write_immutable(FILES)
    assert published.find("1.snapshot.json") is not None
    assert published.timestamp() is None


def test_a_root_comes_with_the_timestamp(published: PublishedMetadata) -> None:
    """Clients ask for the next root by its number, before any other file."""
    published.write_immutable(FILES)
    assert published.find("1.root.json") is None
    published.write_timestamp(FILES)
    assert published.find("1.root.json") is not None


def test_a_root_whose_timestamp_does_not_follow_is_taken_back(
    published: PublishedMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.write_immutable(FILES)
    published.write_timestamp(FILES)

    def full(path: Path, data: bytes) -> None:
        if path.name == "timestamp.json":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_file(path, data)

    monkeypatch.setattr(published_module, "write_file", full)
    with pytest.raises(TryLater):
        published.write_timestamp(
            (MetadataFile("2.root.json", b"two"), MetadataFile("timestamp.json", b"later"))
        )
    assert (published.find("2.root.json"), published.timestamp()) == (None, b"now")


def test_the_timestamp_makes_the_set_whole(published: PublishedMetadata) -> None:
    published.write_immutable(FILES)
    assert published.lacks(FILES)
    published.write_timestamp(FILES)
    assert not published.lacks(FILES)
    assert published.timestamp() == b"now"


def test_a_file_of_the_set_before_stays(published: PublishedMetadata) -> None:
    published.write_immutable((MetadataFile("1.snapshot.json", b"old"),))
    published.write_immutable((MetadataFile("2.snapshot.json", b"new"),))
    assert published.find("1.snapshot.json") is not None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secrets/order.pem",
        "1.root.json/..",
        "root.json",
        "0.root.json",
        "timestamp.json\n",
        "1.root.json.tmp",
    ],
)
def test_a_name_that_is_none_of_metadata_finds_nothing(published: PublishedMetadata, name: str) -> None:
    published.write_immutable(FILES)
    assert published.find(name) is None


def test_a_folder_with_the_name_of_a_file_is_not_published(published: PublishedMetadata) -> None:
    (published.folder / "7.root.json").mkdir(parents=True)
    assert published.find("7.root.json") is None


def test_the_highest_version_that_is_accepted_can_be_asked_for(published: PublishedMetadata) -> None:
    name = f"{MAX_VERSION}.snapshot.json"
    published.write_immutable((MetadataFile(name, b"last"),))
    assert published.find(name) is not None
