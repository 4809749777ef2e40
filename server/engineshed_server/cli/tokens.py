"""``token``: API tokens for operators and programs."""

from __future__ import annotations

import click

from engineshed_packages.times import format_time
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_data, print_json, print_table, talk
from engineshed_server.services.api_tokens import Scope, create_api_token, list_api_tokens, revoke_api_token
from engineshed_server.settings import Settings

_TITLES = ("id", "name", "scope", "created", "revoked")


@click.group()
def token() -> None:
    """API tokens for operators and programs."""


@token.command()
@click.option("--name", default="cli", show_default=True, help="What the token is for; shown in the audit.")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=Scope.VIEWER.value,
    show_default=True,
    help="viewer reads; support publishes and reads; admin does everything.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def create(settings: Settings, name: str, scope: str, as_json: bool) -> None:
    """Make an API token and print it, this once."""
    with opened(settings) as portal:
        made = create_api_token(portal, name=name, scope=Scope(scope), actor=ACTOR, now=now())
    if as_json:
        print_json({"id": made.token_id, "token": made.secret, "scope": made.scope.value})
        return
    talk(f"Token {made.token_id} with scope {made.scope.value}. It is not shown again:")
    print_data(made.secret)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List all API tokens with the ids that `revoke` takes; the tokens themselves are not stored."""
    with opened(settings) as portal:
        found = list_api_tokens(portal)
    rows = [
        (
            one.token_id,
            one.name,
            one.scope.value,
            format_time(one.created),
            None if one.revoked is None else format_time(one.revoked),
        )
        for one in found
    ]
    if as_json:
        print_json({"tokens": [dict(zip(_TITLES, row, strict=True)) for row in rows]})
        return
    print_table(_TITLES, rows)


@token.command()
@click.argument("token_id")
@with_settings
def revoke(settings: Settings, token_id: str) -> None:
    """Take the API token TOKEN_ID (tok_…) out of force; repeating it changes nothing."""
    with opened(settings) as portal:
        revoke_api_token(portal, token_id, actor=ACTOR, now=now())
    talk(f"token {token_id} is revoked")
