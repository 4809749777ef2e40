"""Who may call a route: declared once, checked, documented, and walked by a test.

Every route of the application declares its ``Access``; one without fails the tests. Operators carry API
tokens with a scope, engines carry access tokens. Neither is ever accepted for the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from engineshed_server.services.api_tokens import RELEASE_READERS, Scope

_DECLARED = "_engineshed_access"

View = TypeVar("View", bound=Callable[..., object])


class Asker(StrEnum):
    """Whose token a route takes."""

    ANYBODY = "anybody"
    ENGINE = "engine"
    OPERATOR = "operator"
    ENGINE_OR_OPERATOR = "engine or operator"


@dataclass(frozen=True, slots=True)
class Access:
    """Whose token a route takes; ``scopes`` says which of an operator's do, and is empty for others."""

    asker: Asker
    scopes: frozenset[Scope] = frozenset()


EVERYBODY = Access(Asker.ANYBODY)
ENGINES = Access(Asker.ENGINE)
PACKAGE_READERS = Access(Asker.ENGINE_OR_OPERATOR, RELEASE_READERS)


def operators(scopes: frozenset[Scope]) -> Access:
    """Operators whose token has one of *scopes*."""
    return Access(Asker.OPERATOR, scopes)


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
