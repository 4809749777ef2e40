"""Where the API token is taken from."""

from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_packages.errors import FileRefused
from engineshed_packages.uploads.tokens import find_token


def test_a_file_goes_before_the_environment(tmp_path: Path) -> None:
    for name in ("flag", "variable"):
        (tmp_path / name).write_text(f"{name}\n")
    environment = {"ENGINESHED_TOKEN": "environment"}
    assert find_token(None, environment) == "environment"
    environment["ENGINESHED_TOKEN_FILE"] = str(tmp_path / "variable")
    assert find_token(None, environment) == "variable"
    assert find_token(tmp_path / "flag", environment) == "flag"


@pytest.mark.parametrize("text", ["", "two words", "ünlauter", "\x1b[31m"])
def test_what_is_no_token_is_none(text: str) -> None:
    assert find_token(None, {"ENGINESHED_TOKEN": text}) is None


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        find_token(tmp_path / "none", {})
