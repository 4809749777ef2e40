"""How a page is declared: its address, and what a person must at least be to see it or to send its form.

    pages = Pages("users")

    @pages.get("/users", needs=Role.OWNER)
    def list_users() -> Response: ...

    @pages.post("/users/<name:user>/disable", needs=Role.OWNER)
    def disable_user(user: str) -> Response: ...

Checked in this order before the view is called: who is logged in, his role, and for whatever changes
something that a form of ours was sent. A route that ``needs`` None is for visitors too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, g, request

from engineshed_server.api.access import EVERYBODY, Access, declare, people
from engineshed_server.domain.roles import Role
from engineshed_server.errors import NotAllowed, NotAuthenticated
from engineshed_server.web.forms import check_form
from engineshed_server.web.people import bind_forms, find_person

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

View = TypeVar("View", bound=Callable[..., Any])


class Pages:
    """The pages of one topic.

    Attributes:
        blueprint: what ``site`` registers below ``web``: ``url_for("web.users.list_users")``.
    """

    def __init__(self, topic: str) -> None:
        self.blueprint = Blueprint(topic, __name__)

    def get(self, rule: str, *, needs: Role | None) -> Callable[[View], View]:
        """Show something."""
        return self._add("GET", rule, needs=needs, raw=False)

    def post(self, rule: str, *, needs: Role | None) -> Callable[[View], View]:
        """Do what a form asks for, then ``go_to`` a page."""
        return self._add("POST", rule, needs=needs, raw=False)

    def raw(self, method: str, rule: str, *, needs: Role) -> Callable[[View], View]:
        """Something that is no page: its body is read by the view, its errors are told in JSON."""
        return self._add(method, rule, needs=needs, raw=True)

    def _add(self, method: str, rule: str, *, needs: Role | None, raw: bool) -> Callable[[View], View]:
        def decorator(view: View) -> View:
            access = EVERYBODY if needs is None else people(needs)
            checked = declare(access)(_checked(view, access, raw=raw))
            self.blueprint.add_url_rule(rule, view.__name__, checked, methods=[method])
            return view

        return decorator


def _checked(view: Callable[..., Any], access: Access, *, raw: bool) -> Callable[..., Any]:
    @wraps(view)
    def checked(**kwargs: Any) -> Any:
        g.tells_json = raw
        person = find_person()
        bind_forms()
        if access.role is not None and person is None:
            raise NotAuthenticated(
                "login-needed", "you are not logged in, or no longer: log in, then do this again"
            )
        if access.role is not None and person is not None and not person.role.covers(access.role):
            raise NotAllowed(
                "role-too-low",
                f"{person.user} is {person.role.value} here, and this is for "
                f"{' and '.join(role.value for role in Role if role.covers(access.role))}: ask an owner",
            )
        if request.method not in SAFE:
            check_form(raw=raw)
        return view(**kwargs)

    return checked
