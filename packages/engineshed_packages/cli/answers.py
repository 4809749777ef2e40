"""What a command has to say, for people and for programs, and the parts that several of them say alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engineshed_packages.jsontext import Json
from engineshed_packages.repository.lifetimes import RoleAge
from engineshed_packages.target import Target
from engineshed_packages.times import format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command has to say.

    Attributes:
        rows: name and value for people; an empty name continues the one above, an empty row parts blocks.
        data: the same for programs.
        notices: for stderr: warnings and what to do next.
    """

    rows: Sequence[tuple[str, str]]
    data: Mapping[str, Json]
    notices: Sequence[str] = field(default_factory=tuple)


def age_notices(ages: Sequence[RoleAge]) -> list[str]:
    """A warning for each role past 80 % of its life."""
    return [
        f"warning: the signature of {age.name} ends on {format_time(age.expires)} ({age.days_left} days "
        f"left): engineshed-packages refresh --role {age.name}"
        for age in ages
        if age.needs_warning
    ]


def age_rows(ages: Sequence[RoleAge]) -> list[tuple[str, str]]:
    """The rows of all roles' ages."""
    rows = [("", f"{age.name}: {age.days_left} days left, until {format_time(age.expires)}") for age in ages]
    return [("Roles", rows[0][1]), *rows[1:]] if rows else []


def ages_data(ages: Sequence[RoleAge]) -> list[Json]:
    """The same for programs."""
    return [
        {"name": age.name, "expires": format_time(age.expires), "days_left": age.days_left} for age in ages
    ]


def target_rows(targets: Sequence[Target]) -> list[tuple[str, str]]:
    """The rows of packages and their terms."""
    rows: list[tuple[str, str]] = []
    for target in targets:
        terms = f"{target.channel}, {target.severity}, {target.mode}"
        rows += [
            ("", ""),
            ("Package", target.path.rpartition("/")[2]),
            ("Terms", terms + (", withdrawn" if target.withdrawn else "")),
            ("Bytes", str(target.length_bytes)),
            ("SHA-256", target.sha256),
        ]
    return [*rows, ("", "")]


def target_data(target: Target) -> Json:
    """The same of one package for programs."""
    return {
        "path": target.path,
        "length_bytes": target.length_bytes,
        "sha256": target.sha256,
        **target.to_custom(),
    }
