"""The table of attacks in ``docs/security.md`` names these tests, all of them, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "security.md"
COLUMNS = {"attack": 4, "what": 2}


def played() -> set[str]:
    """Every test of an attack, by file and name."""
    return {
        f"{path.name}::{node.name}"
        for path in HERE.glob("test_*.py")
        if path != Path(__file__)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def rows() -> list[list[str]]:
    """The cells of each row of the tables, their heads left out."""
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [cells for cells in found if cells[0] not in COLUMNS]


def test_every_row_names_tests_that_exist() -> None:
    assert len(rows()) > 20
    for cells in rows():
        named = re.findall(r"`(test_\w+\.py::test_\w+)`", cells[-1])
        assert named, cells
        assert set(named) <= played(), cells


def test_every_test_of_an_attack_is_in_the_table() -> None:
    named = {name for cells in rows() for name in re.findall(r"`(test_\w+\.py::test_\w+)`", cells[-1])}
    assert played() - named == set()


def test_every_row_says_what_the_attacker_holds_and_what_happened() -> None:
    for cells in rows():
        assert len(cells) in COLUMNS.values(), cells
        assert all(cells), cells
