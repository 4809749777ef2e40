"""``engine``: the engines of this portal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from engineshed_packages.times import format_time
from engineshed_server.api.schemas.engines import DecisionSchema, EngineDetailSchema, EngineSchema
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_data, print_json, print_table, talk
from engineshed_server.domain.filters import EngineFilter
from engineshed_server.domain.revisions import ANY_REVISION
from engineshed_server.services import approval, engines, fleet
from engineshed_server.services.approval import MAX_AT_ONCE
from engineshed_server.services.engine_edits import EngineChange, change_engine
from engineshed_server.services.engines import STATES, WAITING, AttemptLine, EngineDetail, EngineLine
from engineshed_server.services.portal import Portal
from engineshed_server.settings import Settings

PAGE = 500
SHOWN_LOG_LINES = 3


@click.group()
def engine() -> None:
    """The engines of this portal."""


@engine.command("list")
@click.option("--product", help="Only of this product.")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--group", help="Only of this group.")
@click.option("--channel", help="Only those that follow this channel.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, /, as_json: bool, **words: str | None) -> None:
    """List engines, by id."""
    with opened(settings) as portal:
        found = _every_engine(portal, EngineFilter(**words))
    if as_json:
        print_json({"engines": [EngineSchema.write(one) for one in found]})
        return
    titles = ("engine", "host", "product", "version", "health", "state", "seen")
    print_table(titles, [_row(one) for one in found])


def _every_engine(portal: Portal, wanted: EngineFilter) -> list[EngineLine]:
    found: list[EngineLine] = []
    cursor: str | None = None
    while True:
        page = engines.list_engines(portal, wanted, limit=PAGE, cursor=cursor)
        found += page.engines
        cursor = page.next_cursor
        if cursor is None:
            return found


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
        _tell_two_hosts(detail)


def _tell_two_hosts(detail: EngineDetail) -> None:
    engine_id = detail.line.engine_id
    talk(f"more than one host polls as {engine_id}:")
    for host in detail.hosts:
        name, address = host.host_name or "unnamed", host.address or "unknown address"
        talk(f"  {name}, {address}, from {format_time(host.first)} to {format_time(host.last)}")
    talk(
        f"let the rightful one join with the line of `enrol-token create --replaces {engine_id}`: that shuts "
        f"the others out, enrol them anew. Or `engine revoke {engine_id}`, and enrol each of them anew"
    )


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
            (
                one.attempt,
                one.kind,
                one.outcome,
                one.from_version,
                one.to_version,
                one.code,
                format_time(one.ended),
            )
            for one in detail.attempts
        ]
        notes = [_why(one) for one in detail.attempts]
        print_table(("attempt", "kind", "outcome", "from", "to", "code", "ended"), attempts, notes=notes)


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


@engine.command()
@click.argument("engine_ids", nargs=-1, metavar="[ENGINE]...")
@click.option("--group", help="All engines of this group that wait.")
@click.option("--all", "everybody", is_flag=True, help="All engines that wait.")
@with_settings
def approve(settings: Settings, engine_ids: tuple[str, ...], group: str | None, everybody: bool) -> None:
    """Let engines in that wait for approval, in force in every process within one second."""
    with opened(settings) as portal:
        wanted = _wanted(portal, engine_ids, group=group, everybody=everybody)
        approved = [approval.approve_engines(portal, part, actor=ACTOR, now=now()) for part in _parts(wanted)]
    _tell_decided(wanted, approved, verb="approved")


@engine.command()
@click.argument("engine_ids", nargs=-1, metavar="[ENGINE]...")
@click.option("--group", help="All engines of this group that wait.")
@click.option("--all", "everybody", is_flag=True, help="All engines that wait.")
@with_settings
def reject(settings: Settings, engine_ids: tuple[str, ...], group: str | None, everybody: bool) -> None:
    """Refuse engines that wait for approval; `approve` can still let them in later."""
    with opened(settings) as portal:
        wanted = _wanted(portal, engine_ids, group=group, everybody=everybody)
        rejected = [approval.reject_engines(portal, part, actor=ACTOR, now=now()) for part in _parts(wanted)]
    _tell_decided(wanted, rejected, verb="rejected")


def _wanted(
    portal: Portal, engine_ids: tuple[str, ...], *, group: str | None, everybody: bool
) -> tuple[str, ...]:
    """The engines to decide on: those that are named, or those that wait."""
    if [bool(engine_ids), group is not None, everybody].count(True) != 1:
        raise click.UsageError("name engines, or give --group GROUP, or --all")
    if engine_ids:
        return engine_ids
    waiting = _every_engine(portal, EngineFilter(state=WAITING, group=group))
    return tuple(one.engine_id for one in waiting)


def _parts(engine_ids: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(engine_ids), MAX_AT_ONCE):
        yield engine_ids[start : start + MAX_AT_ONCE]


def _tell_decided(wanted: tuple[str, ...], decided: list[tuple[str, ...]], *, verb: str) -> None:
    changed = [engine_id for part in decided for engine_id in part]
    for engine_id in changed:
        print_data(engine_id)
    before = len(set(wanted)) - len(changed)
    talk(f"{len(changed)} engines {verb}" + (f", {before} were already" if before else ""))
