from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_client.adoption import Adoption, AdoptionFile
from engineshed_client.errors import DiskTrouble
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_packages.versions import Version

WANTED = Adoption(Version.parse("1.0.0"), summary="as released")


@pytest.fixture
def file(tmp_path: Path) -> AdoptionFile:
    Paths(tmp_path).work.mkdir(parents=True)
    return AdoptionFile(Paths(tmp_path), FsOps())


def test_what_is_written_is_read_back_and_dropped_once(file: AdoptionFile) -> None:
    assert file.load() is None
    file.save(WANTED)
    assert file.load() == WANTED
    for _ in range(2):
        file.drop()
    assert file.load() is None


@pytest.mark.parametrize("content", ["", "{}", '{"version": "x y"}', '{"version": "1.0.0", "summary": 5}'])
def test_one_that_cannot_be_read_has_to_be_said_again(
    file: AdoptionFile, tmp_path: Path, content: str
) -> None:
    Paths(tmp_path).adoption.write_text(content)
    assert file.load() is None


def test_whether_it_is_there_must_be_told(file: AdoptionFile, tmp_path: Path) -> None:
    Paths(tmp_path).adoption.mkdir()
    with pytest.raises(DiskTrouble):
        file.load()
