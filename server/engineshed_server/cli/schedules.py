"""``schedule``: what the portal does by itself, and when."""

from __future__ import annotations

import click

from engineshed_packages.times import format_time
from engineshed_server.api.schemas.jobs import ScheduleSchema
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_json, print_table, talk
from engineshed_server.services.jobs.upkeep import SCHEDULES
from engineshed_server.services.schedules import (
    Wanted,
    change_schedule,
    ensure_schedules,
    find_schedule,
    list_schedules,
)
from engineshed_server.settings import Settings


@click.group()
def schedule() -> None:
    """What the portal does by itself, and when."""


@schedule.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List the schedules with their next and last turn."""
    with opened(settings) as portal:
        ensure_schedules(portal, SCHEDULES, now=now())
        found = list_schedules(portal)
    if as_json:
        print_json({"schedules": [ScheduleSchema.write(one) for one in found]})
        return
    titles = ("schedule", "on", "timing", "zone", "node", "next", "last")
    rows = [
        (
            one.name,
            "on" if one.is_on else "off",
            one.timing,
            one.zone,
            one.node,
            *(None if at is None else format_time(at) for at in (one.next_run, one.last_run)),
        )
        for one in found
    ]
    print_table(titles, rows)


@schedule.command("set")
@click.argument("name", metavar="SCHEDULE")
@click.option("--on/--off", "is_on", default=None, help="Let it be done by itself, or not.")
@click.option("--timing", help='Five fields of cron, as "30 2 * * *", or an interval, as "every 6 h".')
@click.option("--zone", help="Time zone of the IANA list in which cron is read, as Europe/Paris.")
@click.option("--node", help="Only on this node; empty: on any.")
@with_settings
def set_command(
    settings: Settings,
    name: str,
    is_on: bool | None,
    timing: str | None,
    zone: str | None,
    node: str | None,
) -> None:
    """Switch a schedule and time it; what is not given stays."""
    if (is_on, timing, zone, node) == (None, None, None, None):
        raise click.UsageError("nothing to set: expected --on, --off, --timing, --zone or --node")
    with opened(settings) as portal:
        ensure_schedules(portal, SCHEDULES, now=now())
        before = find_schedule(portal, name)
        wanted = Wanted(
            is_on=before.is_on if is_on is None else is_on,
            timing=before.timing if timing is None else timing,
            zone=before.zone if zone is None else zone,
            node=before.node if node is None else node or None,
        )
        after = change_schedule(portal, name, wanted, revision=before.revision, actor=ACTOR, now=now())
    turn = "off" if after.next_run is None else f"next turn at {format_time(after.next_run)}"
    talk(f"schedule {name}: {turn}")
