"""``token``: API tokens for operators and programs."""

from __future__ import annotations

import click

from engineshed_packages.times import format_time
from engineshed_server.api.schemas.tokens import ApiTokenSchema, NewApiTokenSchema
from engineshed_server.cli.durations import DURATION
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_data, print_json, print_table, talk
from engineshed_server.services.api_tokens import (
    ApiToken,
    Scope,
    create_api_token,
    list_api_tokens,
    revoke_api_token,
)
from engineshed_server.settings import Settings

PAGE = 500


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
    help="viewer reads; support uploads and reads releases; admin does everything.",
)
@click.option(
    "--expires",
    "expires_s",
    type=DURATION,
    metavar="DURATION",
    help="How long it lives, as 12h or 90d; without it, until it is revoked.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def create(settings: Settings, name: str, scope: str, expires_s: int | None, as_json: bool) -> None:
    """Make an API token and print it, this once."""
    with opened(settings) as portal:
        made = create_api_token(
            portal, name=name, scope=Scope(scope), expires_s=expires_s, actor=ACTOR, now=now()
        )
    if as_json:
        print_json(NewApiTokenSchema.write(made))
        return
    expires = made.token.expires
    until = "" if expires is None else f", until {format_time(expires)}"
    talk(f"Token {made.token_id} with scope {made.scope.value}{until}. It is not shown again:")
    print_data(made.secret)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List all API tokens with the ids that `revoke` takes; the tokens themselves are not stored.

    When a token was last used is known to the minute or so.
    """
    found: list[ApiToken] = []
    with opened(settings) as portal:
        page = list_api_tokens(portal, limit=PAGE)
        found += page.tokens
        while page.after is not None:
            page = list_api_tokens(portal, limit=PAGE, after=page.after)
            found += page.tokens
    if as_json:
        print_json({"tokens": [ApiTokenSchema.write(one) for one in found]})
        return
    print_table(
        ("id", "name", "scope", "created", "expires", "used", "revoked"), [_row(one) for one in found]
    )


def _row(one: ApiToken) -> tuple[str | None, ...]:
    moments = (one.created, one.expires, one.used, one.revoked)
    times = (None if moment is None else format_time(moment) for moment in moments)
    return (one.token_id, one.name, one.scope.value, *times)


@token.command()
@click.argument("token_id")
@with_settings
def revoke(settings: Settings, token_id: str) -> None:
    """Take the API token TOKEN_ID (tok_…) out of force, in every process within one second.

    Repeating it changes nothing.
    """
    with opened(settings) as portal:
        revoke_api_token(portal, token_id, actor=ACTOR, now=now())
    talk(f"token {token_id} is revoked")
