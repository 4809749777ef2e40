"""What forms send: bounded, proven to come from a page of ours, and read field by field.

A form carries a token that Flask-WTF made for the browser it was shown in (``csrf_token()`` in a template);
htmx and tus send the same in the header ``X-CSRFToken``. ``check_form`` is called before any view that is
asked to change something.
"""

from __future__ import annotations

import io
from enum import StrEnum
from typing import TypeVar

from flask import Flask, request

# Flask-WTF carries no type information: this module is where it is used.
from flask_wtf.csrf import CSRFError, CSRFProtect  # type: ignore[import-untyped]

from engineshed_server.api.bodies import read_form_body
from engineshed_server.errors import Refused

MAX_FORM_BYTES = 64 * 1024
MAX_TEXT_CHARS = 2000
MAX_DIGITS = 9

_csrf = CSRFProtect()
Choice = TypeVar("Choice", bound=StrEnum)


def configure_forms(app: Flask) -> None:
    """Let templates make tokens; whether one came along is asked by ``check_form``."""
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # good as long as the login: ``people.bind_forms``
    _csrf.init_app(app)


def check_form(*, raw: bool) -> None:
    """Read the form, unless the body is *raw*, and see that a page of ours has sent the request.

    Raises:
        Refused: code ``form-stale``, and those of ``read_form_body``. TooLarge: ``form-too-large``.
    """
    if not raw:
        request.environ["wsgi.input"] = io.BytesIO(read_form_body(request, max_bytes=MAX_FORM_BYTES))
    try:
        _csrf.protect()
    except CSRFError as err:
        raise Refused(
            "form-stale",
            "nothing was changed: the form is from before your last login, or from elsewhere; go back, "
            "reload the page, and send it again",
        ) from err


def text(name: str, *, max_chars: int = MAX_TEXT_CHARS) -> str:
    """The field *name*, spaces around it dropped; empty when it was not sent.

    Raises:
        Refused: codes ``field-too-long`` and ``field-unreadable``.
    """
    return secret(name, max_chars=max_chars).strip()


def secret(name: str, *, max_chars: int = MAX_TEXT_CHARS) -> str:
    """The field *name* as it was typed, as passwords are.

    Raises:
        Refused: codes ``field-too-long`` and ``field-unreadable``.
    """
    return _bounded(name, request.form.get(name, ""), max_chars)


def _bounded(name: str, found: str, max_chars: int) -> str:
    if len(found) > max_chars:
        raise Refused("field-too-long", f"{name} has {len(found)} characters, at most {max_chars} are read")
    if "\0" in found:
        raise Refused("field-unreadable", f"{name} has a NUL in it, which is no character of any text")
    return found


def whole(name: str) -> int:
    """The field *name* as a whole number, 0 or more.

    Raises:
        Refused: code ``field-number``.
    """
    found = text(name)
    if not (found.isascii() and found.isdigit() and len(found) <= MAX_DIGITS):
        raise Refused("field-number", f"{name} is {found[:40]!r}, expected a whole number")
    return int(found)


def checked(name: str) -> bool:
    """Whether the box *name* was ticked."""
    return name in request.form


def chosen(name: str) -> tuple[str, ...]:
    """The values of the boxes called *name* that were ticked.

    Raises:
        Refused: codes ``field-too-long`` and ``field-unreadable``.
    """
    return tuple(_bounded(name, found, MAX_TEXT_CHARS) for found in request.form.getlist(name))


def choice(name: str, kind: type[Choice]) -> Choice:
    """The field *name* as one of *kind*.

    Raises:
        Refused: code ``field-choice``.
    """
    found = request.form.get(name, "")
    try:
        return kind(found)
    except ValueError as err:
        expected = ", ".join(kind)
        raise Refused("field-choice", f"{name} is {found[:40]!r}, expected one of {expected}") from err


def check_same(name: str, again: str) -> None:
    """Refuse a new password that was not typed the same twice.

    Raises:
        Refused: codes ``passwords-differ`` and ``field-too-long``.
    """
    if secret(name) != secret(again):
        raise Refused("passwords-differ", "the two new passwords are not the same: type it twice")


def local_path(found: str | None) -> str:
    """*found* when it is a path of this portal, to go on there; else the first page."""
    if found is None or not found.startswith("/") or len(found) > MAX_TEXT_CHARS:
        return "/"
    # Browsers take //host and /\host for another host, and drop tabs and line ends before they look.
    strange = found[1:2] in ("/", "\\") or any(char <= " " or char == "\x7f" for char in found)
    return "/" if strange or not found.isprintable() else found
