"""The text of a unit: placeholders filled, values quoted as systemd reads them, and our mark on top.

A template is the unit itself with ``@NAME@`` where a value goes. A line that holds nothing but one
placeholder vanishes when its value is empty, and becomes several when that has several lines.

The first line of what ``render`` makes carries the SHA-256 of all that follows: by it a unit is known to
be ours and unchanged, whatever version wrote it (``is_untouched``).
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engineshed_packages.errors import UnitRefused

_MARK = re.compile(r"# Written by `(.+)` \(sha256 ([0-9a-f]{64})\)\.")
_PLACEHOLDER = re.compile(r"^@([A-Z_]+)@\n|@([A-Z_]+)@", re.MULTILINE)
_BARE = re.compile(r"[A-Za-z0-9/._:,+=@-]+", re.ASCII)
# systemd.exec(5), User=: what every tool takes as an account's name.
_ACCOUNT = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,30}", re.ASCII)
_INSTANCE = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
_UNIT_NAME = re.compile(r"[A-Za-z0-9:_.@\\-]{1,200}\.(service|target|socket)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit file: its name, such as ``engineshed-portal.service``, and its text."""

    name: str
    text: str


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders filled, once: what looks like one in a value stays.

    *values* are taken as they are: words from outside go through ``word`` or ``path_word`` first.
    """

    def value_of(found: re.Match[str]) -> str:
        alone, inside = found.groups()
        return values[inside] if alone is None else _lines(values[alone])

    return _PLACEHOLDER.sub(value_of, template)


def render(template: str, values: Mapping[str, str], *, command: Sequence[str]) -> str:
    """``fill``, and above it the mark with *command*, the command line that writes the same again.

    Raises:
        UnitRefused: code ``unit-value``: a word of the command holds a control character.
    """
    body = fill(template, values)
    for one in command:
        word(one)
    return f"# Written by `{shlex.join(command)}` (sha256 {_digest(body)}).\n{body}"


def is_untouched(text: str) -> bool:
    """Whether *text* is what ``render`` made, now or in an earlier version: nobody has changed it."""
    mark, _, body = text.partition("\n")
    found = _MARK.fullmatch(mark)
    return found is not None and found[2] == _digest(body)


def word(value: str) -> str:
    """*value* as one argument in ``ExecStart=``, quoted where it must be.

    Raises:
        UnitRefused: code ``unit-value``: it holds a control character, which no unit can carry.
    """
    if not value.isprintable() or value == "":
        raise UnitRefused("unit-value", f"{value!r} cannot stand in a unit: it must be printable, not empty")
    # systemd.unit(5), "Specifiers", and systemd.service(5), "Command lines".
    escaped = value.replace("%", "%%").replace("$", "$$")
    if _BARE.fullmatch(escaped):
        return escaped
    inner = escaped.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def command_line(words: Sequence[str]) -> str:
    """*words* as the value of ``ExecStart=``; the first is the absolute path of a program.

    Raises:
        UnitRefused: code ``unit-value``: systemd takes no such program, or a word is refused by ``word``.
    """
    program, *arguments = words
    if set(program) & set("\"'\\"):  # systemd: "Executable name contains special characters"
        raise UnitRefused(
            "unit-value", f"{program} holds a quote or a backslash, which systemd refuses: move it"
        )
    return " ".join([path_word(program), *(word(argument) for argument in arguments)])


def path_word(value: str) -> str:
    """*value* where ``$`` means nothing: in a list of paths such as ``ReadWritePaths=``.

    Raises:
        UnitRefused: code ``unit-value``.
    """
    return word(value).replace("$$", "$")


def check_account(name: str) -> str:
    """*name* as the name of a user.

    Raises:
        UnitRefused: code ``unit-user``.
    """
    if not _ACCOUNT.fullmatch(name):
        raise UnitRefused("unit-user", f"{name!r} is no name of a user, expected one such as engineshed")
    return name


def check_instance(name: str) -> str:
    """*name* as what tells several services of one kind on one host apart.

    Raises:
        UnitRefused: code ``unit-name``.
    """
    if not _INSTANCE.fullmatch(name):
        raise UnitRefused("unit-name", f"the name {name!r} is refused, expected a-z, 0-9 and - inside")
    return name


def check_unit_name(name: str) -> str:
    """*name* as the full name of a unit that starts an engine.

    Raises:
        UnitRefused: code ``unit-name``.
    """
    if not _UNIT_NAME.fullmatch(name):
        raise UnitRefused("unit-name", f"{name!r} is no name of a unit, expected one such as cockpit.service")
    return name


def _lines(value: str) -> str:
    return f"{value}\n" if value else ""


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()
