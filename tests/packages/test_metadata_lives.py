"""How long the roles of a published set last, also when it has expired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engineshed_packages.errors import MetadataRefused
from engineshed_packages.metadata.lives import read_lives
from tests.vendor import PRODUCT, Vendor


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    made = Vendor(tmp_path_factory.mktemp("vendor"))
    made.release("1.0.0")
    return made


@pytest.fixture
def metadata(vendor: Vendor, tmp_path: Path) -> Path:
    """A copy of the vendor's metadata."""
    copy = tmp_path / "metadata"
    copy.mkdir()
    for path in (vendor.repository.folder / "metadata").glob("*.json"):
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_every_role_is_told_with_its_own_expiry(vendor: Vendor, metadata: Path) -> None:
    lives = {life.name: life for life in read_lives(metadata)}
    assert list(lives) == ["root", "timestamp", "snapshot", PRODUCT, "targets"]
    view = vendor.view(vendor.folder / "cache")
    assert set(lives.values()) == set(view.roles)


def test_a_folder_without_a_timestamp_holds_no_set(tmp_path: Path) -> None:
    assert read_lives(tmp_path) == ()
    assert read_lives(tmp_path / "nothing") == ()


def test_the_newest_root_counts(metadata: Path) -> None:
    root = json.loads((metadata / "1.root.json").read_bytes())
    root["signed"]["version"] = 10
    (metadata / "10.root.json").write_text(json.dumps(root), "utf-8")
    (metadata / "9.root.json").write_text(json.dumps(root), "utf-8")
    assert read_lives(metadata)[0].version == 10


def test_a_role_that_is_missing_is_named(metadata: Path) -> None:
    gone = max(metadata.glob(f"*.{PRODUCT}.json"))
    gone.unlink()
    with pytest.raises(MetadataRefused, match=gone.name) as caught:
        read_lives(metadata)
    assert caught.value.code == "metadata-missing"


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe"])
def test_a_role_that_cannot_be_read_is_named(metadata: Path, damage: bytes) -> None:
    (metadata / "timestamp.json").write_bytes(damage)
    with pytest.raises(MetadataRefused, match=r"timestamp\.json") as caught:
        read_lives(metadata)
    assert caught.value.code == "metadata-unreadable"


def test_a_file_of_another_role_is_refused(metadata: Path) -> None:
    (metadata / "timestamp.json").write_bytes((metadata / "1.root.json").read_bytes())
    with pytest.raises(MetadataRefused, match="of role root"):
        read_lives(metadata)
