"""``user``: who may log in on the pages. Passwords come by standard input or are asked for."""

from __future__ import annotations

import sys

import click

from engineshed_packages.times import format_time
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_data, print_json, print_table, talk
from engineshed_server.domain.roles import Role
from engineshed_server.services import owner_links, users
from engineshed_server.services.passwords import MAX_CHARS
from engineshed_server.services.users import User
from engineshed_server.settings import Settings


@click.group()
def user() -> None:
    """People who may log in on the pages."""


@user.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="viewer looks; admin changes engines and releases; owner also decides about users.",
)
@with_settings
def add(settings: Settings, name: str, role: str) -> None:
    """Let NAME log in. The password is asked for, or is the first line of standard input."""
    with opened(settings) as portal:
        made = users.create_user(
            portal, name=name, password=_password(), role=Role(role), actor=ACTOR, now=now()
        )
    talk(f"user {made.name} may log in as {made.role.value}")


@user.command()
@click.argument("name")
@with_settings
def passwd(settings: Settings, name: str) -> None:
    """Give NAME another password.

    It is asked for or read from standard input. NAME is logged out everywhere.
    """
    with opened(settings) as portal:
        users.show_user(portal, name)
        users.set_password(portal, name, password=_password(), actor=ACTOR, now=now())
    talk(f"user {name} has another password, and is logged out")


@user.command()
@click.argument("name")
@with_settings
def disable(settings: Settings, name: str) -> None:
    """Keep NAME out from now on. Repeating it changes nothing."""
    with opened(settings) as portal:
        users.disable_user(portal, name, actor=ACTOR, now=now())
    talk(f"user {name} is disabled, and logged out")


@user.command()
@click.argument("name")
@with_settings
def enable(settings: Settings, name: str) -> None:
    """Let a disabled NAME log in again. The password is the one before."""
    with opened(settings) as portal:
        users.enable_user(portal, name, actor=ACTOR, now=now())
    talk(f"user {name} may log in again")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List all users, disabled ones too."""
    with opened(settings) as portal:
        found = users.list_users(portal)
    if as_json:
        print_json({"users": [dict(_values(one)) for one in found]})
        return
    titles = ("name", "role", "created", "password_set", "disabled")
    print_table(titles, [[_values(one)[title] for title in titles] for one in found])


@user.command("owner-link")
@with_settings
def owner_link(settings: Settings) -> None:
    """Print a link that makes one owner, within a day. Links printed before are good for nothing then."""
    with opened(settings) as portal:
        made = owner_links.create_owner_link(portal, actor=ACTOR, now=now())
    talk(f"Open this address once, before {format_time(made.expires)}. It is not shown again:")
    print_data(made.address)


def _password() -> str:
    if sys.stdin.isatty():
        found: str = click.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True)
        return found
    # One line, whoever ends it; a longer one is refused as too long, not cut.
    return sys.stdin.readline(MAX_CHARS + 3).removesuffix("\n").removesuffix("\r")


def _values(one: User) -> dict[str, str | None]:
    return {
        "name": one.name,
        "role": one.role.value,
        "created": format_time(one.created),
        "password_set": format_time(one.password_set),
        "disabled": None if one.disabled is None else format_time(one.disabled),
    }
