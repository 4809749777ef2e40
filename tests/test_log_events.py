"""Every log call of ours: a constant event, one meaning each, fields that can be written, documented."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from engineshed_server.serve.logs import _STANDARD, FRAME, NEVER

ROOT = Path(__file__).resolve().parent.parent
HOMES = ("packages", "server", "client")
METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a logger: where, with what event (None: no constant), and the names of its fields."""

    path: str
    line: int
    level: str
    event: str | None
    fields: tuple[str | None, ...]
    positional: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@cache
def calls() -> tuple[Call, ...]:
    return tuple(call for home in HOMES for path in (ROOT / home).rglob("*.py") for call in _calls_in(path))


def _calls_in(path: Path) -> Iterator[Call]:
    relative = path.relative_to(ROOT).as_posix()
    if "/sample/" in relative:  # files of an engine, no modules of ours
        return
    tree = ast.parse(path.read_text("utf-8"))
    dictionaries = _dictionaries(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("logger"), attr=method)):
                assert method in METHODS, f"{relative}:{node.lineno}"
                given = node.args[1:] if method == "log" else node.args
                event = given[0].value if isinstance(given[0], ast.Constant) else None
                extra = next((one.value for one in node.keywords if one.arg == "extra"), None)
                yield Call(
                    path=relative,
                    line=node.lineno,
                    level=method,
                    event=event if isinstance(event, str) else None,
                    fields=tuple(_names(extra, dictionaries)),
                    positional=len(given),
                )
            case _:
                continue


def _dictionaries(tree: ast.AST) -> dict[str, list[ast.Dict]]:
    """Dictionaries that are given a name: `extra=told` is looked up here."""
    found: dict[str, list[ast.Dict]] = {}
    for node in ast.walk(tree):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Dict):
            found.setdefault(target.id, []).append(value)
    return found


def _names(extra: ast.expr | None, dictionaries: dict[str, list[ast.Dict]]) -> Iterator[str | None]:
    """The fields' names; None for one that is no constant."""
    if isinstance(extra, ast.Name):
        for one in dictionaries.get(extra.id, []):
            yield from _names(one, dictionaries)
        if extra.id not in dictionaries:
            yield None
    elif isinstance(extra, ast.Dict):
        for key, value in zip(extra.keys, extra.values, strict=True):
            if key is not None:
                yield key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
            elif isinstance(value, ast.IfExp):  # **({} if … else {…})
                yield from _names(value.body, dictionaries)
                yield from _names(value.orelse, dictionaries)
            else:
                yield None
    elif extra is not None:
        yield None


def told() -> dict[str, str]:
    """The level by event, from the table of the document."""
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \|", (ROOT / "docs/monitoring.md").read_text("utf-8"), re.M)
    return {event: level for event, level in rows if level in {"debug", "info", "warning", "error"}}


def of_server() -> list[Call]:
    return [call for call in calls() if call.path.startswith("server/")]


def test_the_calls_are_found() -> None:
    assert len(of_server()) > 20
    assert len(calls()) > 55


def test_every_event_is_a_constant_without_arguments() -> None:
    faults = [call for call in calls() if call.event is None or "%" in call.event or call.positional != 1]
    assert list(map(str, faults)) == []


def test_an_event_has_one_meaning() -> None:
    places: dict[str | None, set[str]] = {}
    for call in calls():
        places.setdefault(call.event, set()).add(call.path)
    assert {event: paths for event, paths in places.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("names", [_STANDARD, NEVER], ids=["standard", "never"])
def test_no_field_has_a_name_that_cannot_be_written(names: frozenset[str]) -> None:
    # One of the standard names raises KeyError in the middle of whatever was to be logged.
    faults = {str(call): set(call.fields) & names for call in calls() if set(call.fields) & names}
    assert faults == {}


def test_no_field_of_the_portal_hides_what_every_line_says() -> None:
    assert [str(call) for call in of_server() if set(call.fields) & set(FRAME)] == []


def test_every_name_of_a_field_is_a_constant() -> None:
    assert [str(call) for call in calls() if None in call.fields] == []


def test_every_event_of_the_portal_is_documented_with_its_level() -> None:
    found = {str(call.event): call.level for call in of_server()}
    found["request"] = "info"  # at debug for what is asked for all the time
    assert told() == found
