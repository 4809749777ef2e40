"""``engine`` and ``enrol-token``: the engines of this portal, and how new ones join."""

from __future__ import annotations

import click

from engineshed_packages.jsontext import Json
from engineshed_packages.times import format_time
from engineshed_server.api.schemas.engines import DecisionSchema, EngineDetailSchema, EngineSchema
from engineshed_server.cli.durations import DURATION
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_data, print_json, print_table, talk
from engineshed_server.domain.filters import EngineFilter
from engineshed_server.domain.revisions import ANY_REVISION
from engineshed_server.services import engines, enrolment, fleet
from engineshed_server.services.engine_edits import EngineChange, change_engine
from engineshed_server.services.engines import AttemptLine, EngineDetail, EngineLine
from engineshed_server.settings import Settings

PAGE = 500
SHOWN_LOG_LINES = 3


@click.group()
def engine() -> None:
    """The engines of this portal."""


@engine.command("list")
@click.option("--product", help="Only of this product.")
@click.option("--state", help="Only in this state, as enrolled or revoked.")
@click.option("--group", help="Only of this group.")
@click.option("--channel", help="Only those that follow this channel.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, /, as_json: bool, **words: str | None) -> None:
    """List engines, by id."""
    wanted = EngineFilter(**words)
    found: list[EngineLine] = []
    with opened(settings) as portal:
        cursor: str | None = None
        while True:
            page = engines.list_engines(portal, wanted, limit=PAGE, cursor=cursor)
            found += page.engines
            cursor = page.next_cursor
            if cursor is None:
                break
    if as_json:
        print_json({"engines": [EngineSchema.write(one) for one in found]})
        return
    titles = ("engine", "host", "product", "version", "health", "state", "seen")
    print_table(titles, [_row(one) for one in found])


def _row(one: EngineLine) -> tuple[str | None, ...]:
    seen = None if one.seen is None else format_time(one.seen)
    words = [one.state, one.updater_state, "TWO HOSTS" if one.two_hosts else None]
    state = ", ".join(word for word in words if word is not None)
    return (one.engine_id, one.host_name, one.product, one.version, one.health, state, seen)


@engine.command()
@click.argument("engine_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def show(settings: Settings, engine_id: str, as_json: bool) -> None:
    """Show ENGINE_ID with its last attempts and orders."""
    with opened(settings) as portal:
        detail = engines.show_engine(portal, engine_id)
    if as_json:
        print_json(EngineDetailSchema.write(detail))
        return
    for name, value in EngineSchema.write(detail.line).items():
        print_data(f"{name:<16}{'-' if value is None else value}")
    _print_history(detail)
    if detail.line.two_hosts:
        talk(f"more than one host polls as {engine_id}: revoke it and enrol each of them anew")


def _print_history(detail: EngineDetail) -> None:
    if detail.orders:
        print_data("")
        rows = [
            (
                one.order,
                None if one.seq is None else str(one.seq),
                one.do,
                one.version,
                one.state if one.answer in (None, one.state) else f"{one.state}: {one.answer}",
                one.given_by,
                format_time(one.issued),
            )
            for one in detail.orders
        ]
        notes = [[one.message] if one.message else [] for one in detail.orders]
        print_table(("order", "seq", "do", "version", "state", "by", "issued"), rows, notes=notes)
    if detail.attempts:
        print_data("")
        attempts = [
            (one.attempt, one.outcome, one.from_version, one.to_version, one.code, format_time(one.ended))
            for one in detail.attempts
        ]
        notes = [_why(one) for one in detail.attempts]
        print_table(("attempt", "outcome", "from", "to", "code", "ended"), attempts, notes=notes)


def _why(one: AttemptLine) -> list[str]:
    """What stands below an attempt: its message, and the end of the failed engine's own words."""
    message = [one.message] if one.message else []
    return message + [f"engine: {line}" for line in one.engine_log[-SHOWN_LOG_LINES:]]


@engine.command()
@click.argument("engine_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def explain(settings: Settings, engine_id: str, as_json: bool) -> None:
    """Say what the next poll of ENGINE_ID would be answered, and why."""
    with opened(settings) as portal:
        decision = fleet.explain(portal, engine_id, now=now())
    if as_json:
        print_json(DecisionSchema.write(decision))
        return
    print_data(f"{decision.code}: {decision.text}")
    for reason in decision.reasons:
        print_data(f"  {reason.code:<20} {reason.text}")


@engine.command()
@click.argument("engine_id")
@click.option("--group", help="Put it into this group.")
@click.option("--channel", help="Let it follow this channel.")
@with_settings
def change(settings: Settings, engine_id: str, group: str | None, channel: str | None) -> None:
    """Put ENGINE_ID into another group, or let it follow another channel."""
    wanted = EngineChange(group=group, channel=channel)
    with opened(settings) as portal:
        changed = change_engine(
            portal, engine_id, change=wanted, expected=ANY_REVISION, actor=ACTOR, now=now()
        )
    talk(f"engine {engine_id} {'is changed' if changed else 'was so already'}")


@engine.command()
@click.argument("engine_id")
@with_settings
def revoke(settings: Settings, engine_id: str) -> None:
    """Take the identity of ENGINE_ID out of force, in every process within one second."""
    with opened(settings) as portal:
        revoked = engines.revoke_engine(portal, engine_id, actor=ACTOR, now=now())
    talk(f"engine {engine_id} {'is' if revoked else 'was already'} revoked: it can only join anew")


@click.group("enrol-token")
def enrol_token() -> None:
    """Tokens with which engines join."""


@enrol_token.command()
@click.option("--group", default="default", show_default=True, help="Group the engines join.")
@click.option(
    "--uses", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Engines it is good for."
)
@click.option(
    "--expires",
    "expires_s",
    type=DURATION,
    default="24h",
    show_default=True,
    metavar="DURATION",
    help="How long, as 30m, 24h or 7d.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def create(settings: Settings, group: str, uses: int, expires_s: int, as_json: bool) -> None:
    """Make a token and print the one line to paste on an engine's host, this once."""
    with opened(settings) as portal:
        made = enrolment.create_enrol_token(
            portal, group=group, uses=uses, expires_s=expires_s, actor=ACTOR, now=now()
        )
    if as_json:
        values: dict[str, Json] = {"id": made.token_id, "line": made.line.text(), "group": made.group}
        print_json({**values, "uses": made.uses, "expires": format_time(made.expires)})
        return
    engines_text = "1 engine" if made.uses == 1 else f"{made.uses} engines"
    talk(f"For {engines_text} of group {made.group}, until {format_time(made.expires)}, shown only now:")
    print_data(made.line.text())
