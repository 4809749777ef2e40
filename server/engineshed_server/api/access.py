"""Who may call a route: declared once, checked, documented, and walked by a test.

Every route of the application declares its ``Access``; one without fails the tests. Operators carry API
tokens with a scope, engines carry access tokens, people's browsers a cookie. None is ever accepted for
another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from engineshed_server.domain.roles import Role
from engineshed_server.services.api_tokens import READERS, RELEASE_READERS, Scope

_DECLARED = "_engineshed_access"

View = TypeVar("View", bound=Callable[..., object])


class Asker(StrEnum):
    """Whose token a route takes."""

    ANYBODY = "anybody"
    ENGINE = "engine"
    OPERATOR = "operator"
    ENGINE_OR_OPERATOR = "engine or operator"
    PERSON = "person"
    MONITOR = "monitor or operator"  # by its address or by its token


@dataclass(frozen=True, slots=True)
class Access:
    """Whose token a route takes.

    Attributes:
        scopes: which of an operator's tokens do; empty for others.
        role: what a person must at least be; None for others.
    """

    asker: Asker
    scopes: frozenset[Scope] = frozenset()
    role: Role | None = None


EVERYBODY = Access(Asker.ANYBODY)
ENGINES = Access(Asker.ENGINE)
MONITORS = Access(Asker.MONITOR, READERS)
PACKAGE_READERS = Access(Asker.ENGINE_OR_OPERATOR, RELEASE_READERS)


def operators(scopes: frozenset[Scope]) -> Access:
    """Operators whose token has one of *scopes*."""
    return Access(Asker.OPERATOR, scopes)


def people(role: Role) -> Access:
    """People who are logged in and may at least what *role* may."""
    return Access(Asker.PERSON, role=role)


def declare(access: Access) -> Callable[[View], View]:
    """Say who may call the decorated view; it checks that by itself."""

    def decorator(view: View) -> View:
        setattr(view, _DECLARED, access)
        return view

    return decorator


def find_access(view: Callable[..., object]) -> Access | None:
    """Who may call *view*, None when nobody said so."""
    found: Access | None = getattr(view, _DECLARED, None)
    return found
