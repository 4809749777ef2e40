"""``enrol-token``: tokens with which engines join."""

from __future__ import annotations

import re

import click

from engineshed_packages.times import format_time
from engineshed_server.api.schemas.enrol_tokens import EnrolTokenSchema, NewEnrolTokenSchema
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_data, print_json, print_table, talk
from engineshed_server.services import enrol_tokens
from engineshed_server.services.enrol_tokens import DEFAULT_GROUP, MAX_USES, EnrolTerms, EnrolToken
from engineshed_server.settings import Settings

PAGE = 500
_UNITS_S = {"m": 60, "h": 3600, "d": 86400}
_TITLES = ("id", "name", "group", "state", "left", "expires", "terms")


@click.group("enrol-token")
def enrol_token() -> None:
    """Tokens with which engines join."""


@enrol_token.command()
@click.option("--name", default="", help="What the token is for; shown in lists and in the audit.")
@click.option("--group", default=DEFAULT_GROUP, show_default=True, help="Group the engines join.")
@click.option("--product", metavar="NAME", help="The only product that may join.")
@click.option(
    "--uses", type=click.IntRange(1, MAX_USES), default=1, show_default=True, help="Engines it is good for."
)
@click.option(
    "--expires", default="24h", show_default=True, metavar="DURATION", help="How long, as 30m, 24h or 7d."
)
@click.option(
    "--from",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="Address range it may be used from, as 10.20.0.0/16; may be repeated.",
)
@click.option("--needs-approval", is_flag=True, help="Who joins waits until `engine approve` lets it in.")
@click.option(
    "--replaces",
    metavar="ENGINE",
    help="Whose place the host takes: same id and history, the secret from before is dead.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def create(
    settings: Settings,
    *,
    name: str,
    group: str,
    product: str | None,
    uses: int,
    expires: str,
    networks: tuple[str, ...],
    needs_approval: bool,
    replaces: str | None,
    as_json: bool,
) -> None:
    """Make a token and print the one line to paste on an engine's host, this once."""
    terms = EnrolTerms(
        name=name,
        group=group,
        product=product,
        networks=networks,
        needs_approval=needs_approval,
        replaces=replaces,
        uses=uses,
        expires_s=_seconds(expires),
    )
    with opened(settings) as portal:
        made = enrol_tokens.create_enrol_token(portal, terms, actor=ACTOR, now=now())
    if as_json:
        print_json(NewEnrolTokenSchema.write(made))
        return
    talk(f"For {_whom(made.token)}, until {format_time(made.token.expires)}, shown only now:")
    print_data(made.text)


def _whom(token: EnrolToken) -> str:
    """Who may join with the token, in words."""
    if token.replaces is not None:
        text = f"the host that takes the place of engine {token.replaces}"
    else:
        engines = "1 engine" if token.uses == 1 else f"{token.uses} engines"
        product = "" if token.product is None else f" with {token.product}"
        text = f"{engines}{product} of group {token.group}"
    if token.networks:
        text += f", from {' or '.join(token.networks)}"
    return text + (", to be approved" if token.needs_approval else "")


@enrol_token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List all enrolment tokens, the oldest first; the tokens themselves are not stored."""
    found: list[EnrolToken] = []
    with opened(settings) as portal:
        cursor: str | None = None
        while True:
            page = enrol_tokens.list_enrol_tokens(portal, now=now(), limit=PAGE, cursor=cursor)
            found += page.tokens
            cursor = page.next_cursor
            if cursor is None:
                break
    found.sort(key=lambda one: (one.created, one.token_id))
    if as_json:
        print_json({"tokens": [EnrolTokenSchema.write(one) for one in found]})
        return
    rows = [
        (
            one.token_id,
            one.name,
            one.group,
            one.state,
            f"{one.uses_left}/{one.uses}",
            format_time(one.expires),
            _terms(one),
        )
        for one in found
    ]
    print_table(_TITLES, rows)


def _terms(token: EnrolToken) -> str | None:
    words = [
        None if token.product is None else f"product {token.product}",
        f"from {' '.join(token.networks)}" if token.networks else None,
        "needs approval" if token.needs_approval else None,
        None if token.replaces is None else f"replaces {token.replaces}",
    ]
    return ", ".join(word for word in words if word is not None) or None


@enrol_token.command()
@click.argument("token_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def show(settings: Settings, token_id: str, as_json: bool) -> None:
    """Show the enrolment token TOKEN_ID (tok_…) with its terms."""
    with opened(settings) as portal:
        token = enrol_tokens.show_enrol_token(portal, token_id, now=now())
    values = EnrolTokenSchema.write(token)
    if as_json:
        print_json(values)
        return
    for name, value in {**values, "networks": " ".join(token.networks) or None}.items():
        print_data(f"{name:<16}{'-' if value in (None, '') else value}")


@enrol_token.command()
@click.argument("token_id")
@with_settings
def revoke(settings: Settings, token_id: str) -> None:
    """Let nobody join with TOKEN_ID (tok_…) any more; engines that have joined stay."""
    with opened(settings) as portal:
        revoked = enrol_tokens.revoke_enrol_token(portal, token_id, actor=ACTOR, now=now())
    talk(f"enrolment token {token_id} {'is' if revoked else 'was already'} revoked: nobody joins with it")


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,4})([mhd])", text, re.ASCII)
    if found is None:
        raise click.BadParameter(
            f"found {text!r}, expected a duration such as 30m, 24h or 7d", param_hint="--expires"
        )
    return int(found.group(1)) * _UNITS_S[found.group(2)]
