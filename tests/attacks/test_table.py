"""The tables in ``docs/security.md`` name these tests, all of them, and others by their paths: all exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "security.md"
COLUMNS = {"attack": 4, "input": 4, "what": 2}
TEST = re.compile(r"`([\w/]*test_\w+\.py::test_\w+)`")


def names_in(path: Path) -> set[str]:
    """The names of the tests in a module; none when there is no such module."""
    if not path.is_file():
        return set()
    return {
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def played() -> set[str]:
    """Every test of an attack, by file and name."""
    return {
        f"{path.name}::{name}"
        for path in HERE.glob("test_*.py")
        if path != Path(__file__)
        for name in names_in(path)
    }


def exists(test: str) -> bool:
    """Whether *test* is one of an attack, or of the module it names below ``tests``."""
    module, _, name = test.partition("::")
    return name in names_in((HERE.parent if "/" in module else HERE) / module)


def rows() -> list[list[str]]:
    """The cells of each row of the tables, their heads left out."""
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [cells for cells in found if cells[0] not in COLUMNS]


def test_every_row_names_tests_that_exist() -> None:
    assert len(rows()) > 20
    for cells in rows():
        named = TEST.findall(cells[-1])
        assert named, cells
        assert [test for test in named if not exists(test)] == []


def test_every_test_of_an_attack_is_in_the_table() -> None:
    named = {name for cells in rows() for name in TEST.findall(cells[-1])}
    assert played() - named == set()


def test_every_row_says_what_the_attacker_holds_and_what_happened() -> None:
    for cells in rows():
        assert len(cells) in COLUMNS.values(), cells
        assert all(cells), cells
