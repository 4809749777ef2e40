"""``emergency-stop``: nothing changes the software of the engines it covers while it is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from engineshed_packages.times import format_time
from engineshed_server.api.schemas.stops import StopSchema
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_json, print_table, talk
from engineshed_server.db.stops import StopRecord
from engineshed_server.services.stops import StopChanged, list_stops, turn_off, turn_on
from engineshed_server.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


def _scoped(command: Callable[P, R]) -> Callable[P, R]:
    for option in (
        click.option("--reason", required=True, help="Why, for those who come later."),
        click.option("--channel", help="Only what is in this channel; else all channels."),
        click.option("--product", help="Only this product; else all products."),
    ):
        command = option(command)
    return command


@click.group("emergency-stop")
def emergency_stop() -> None:
    """Stop all changes of engines' software at once, in every process within one second."""


@emergency_stop.command("on")
@_scoped
@with_settings
def on_command(settings: Settings, product: str | None, channel: str | None, reason: str) -> None:
    """Let no engine begin to install or to roll back; one that has not stopped yet for it turns back."""
    with opened(settings) as portal:
        done = turn_on(portal, product=product, channel=channel, reason=reason, actor=ACTOR, now=now())
    stop = done.record.stop
    if not done.changed:
        talk(f"the emergency stop for {stop.scope} was on already: {stop.reason}")
        return
    talk(f"the emergency stop is on for {stop.scope}, {_engines(done)}")
    if not done.engines:
        talk("no engine here is covered by it: check the names")


@emergency_stop.command("off")
@_scoped
@with_settings
def off_command(settings: Settings, product: str | None, channel: str | None, reason: str) -> None:
    """End the stop that was turned on for exactly this product and channel."""
    with opened(settings) as portal:
        done = turn_off(portal, product=product, channel=channel, reason=reason, actor=ACTOR, now=now())
    talk(f"the emergency stop for {done.record.stop.scope} is off, {_engines(done)}")
    for other in done.others:
        talk(f"still on for {other.stop.scope}: {other.stop.reason}")


@emergency_stop.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List the stops that are on."""
    with opened(settings) as portal:
        found = list_stops(portal)
    if as_json:
        print_json({"stops": [StopSchema.write(one) for one in found]})
        return
    titles = ("product", "channel", "since", "by", "reason")
    print_table(
        titles,
        [
            (one.stop.product or "all", one.stop.channel or "all", *_since(one), one.stop.reason)
            for one in found
        ],
    )


def _engines(done: StopChanged) -> str:
    return "1 engine" if done.engines == 1 else f"{done.engines} engines"


def _since(record: StopRecord) -> tuple[str, str]:
    return format_time(record.began), record.began_by
