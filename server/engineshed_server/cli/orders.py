"""``engine order``: what an administrator orders one engine, several, or a group to do."""

from __future__ import annotations

from datetime import datetime

import click

from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.orders import Window
from engineshed_packages.target import UPDATER_PRODUCT
from engineshed_packages.times import format_time, parse_time
from engineshed_server.api.schemas.engines import OrderSchema
from engineshed_server.cli.durations import DURATION
from engineshed_server.cli.engines import engine
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import complain, print_json, print_table, talk
from engineshed_server.domain.orders import GIVEN_VERBS
from engineshed_server.services.ordering import Answered, Ask, give_order, give_orders, list_group
from engineshed_server.services.portal import Portal
from engineshed_server.settings import Settings

GROUP = "group:"


class _Instant(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read an RFC 3339 time."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_time(str(value))
        except ProtocolRefused as err:
            self.fail(f"{err.message}, such as 2026-11-22T22:00:00Z", param, ctx)


@engine.command()
@click.argument("engines", metavar="ENGINE")
@click.argument("do", metavar="DO", type=click.Choice(GIVEN_VERBS))
@click.argument("version", required=False)
@click.option("--updater", is_flag=True, help="Install or retry a version of the updater itself.")
@click.option("--allow-downgrade", is_flag=True, help="An older version, or the same again, is meant.")
@click.option("--although-held", is_flag=True, help="Send it although the release is on hold.")
@click.option(
    "--offline-start", is_flag=True, help="Go on even if the portal cannot be asked again before the stop."
)
@click.option(
    "--window",
    nargs=2,
    type=_Instant(),
    metavar="OPENS CLOSES",
    help="Stop the engine only between these two times, as 2026-11-22T22:00:00Z.",
)
@click.option("--start-before", type=_Instant(), metavar="TIME", help="Do not stop the engine later.")
@click.option(
    "--accept-within",
    "accept_within_s",
    type=DURATION,
    default="7d",
    show_default=True,
    help="The order lapses when the engine has not taken it by then.",
)
@click.option("--message", default="", help="Why, for those who read the engine's log.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def order(
    settings: Settings,
    engines: str,
    do: str,
    version: str | None,
    updater: bool,
    allow_downgrade: bool,
    although_held: bool,
    offline_start: bool,
    window: tuple[datetime, datetime] | None,
    start_before: datetime | None,
    accept_within_s: int,
    message: str,
    as_json: bool,
) -> None:
    """Order ENGINE to DO something, at its next poll.

    \b
    install VERSION  also one that is not offered by itself; --allow-downgrade for an older one
    retry [VERSION]  install what failed there before, the newest such when no version is given
    rollback [VERSION]  return to a version that is kept on the host
    cancel           give up what it was ordered and has not stopped for yet
    start, stop, restart  the engine; one that was stopped stays so until it is ordered to start

    ENGINE is an engine's id, several with commas between them, or group:NAME for all of a group. An order
    supersedes the one that is open; nothing is offered to the engine by itself before it is answered.
    """
    if window is not None and window[1] <= window[0]:
        raise click.BadParameter("the window closes before it opens", param_hint="--window")
    ask = Ask(
        do=do,
        product=UPDATER_PRODUCT if updater else None,
        version=version,
        allow_downgrade=allow_downgrade,
        although_held=although_held,
        offline_start=offline_start,
        window=None if window is None else Window(opens=window[0], closes=window[1]),
        start_before=start_before,
        accept_within_s=accept_within_s,
        message=message,
    )
    with opened(settings) as portal:
        answered = _give(portal, engines, ask)
    _tell(answered, as_json=as_json)


def _give(portal: Portal, engines: str, ask: Ask) -> tuple[Answered, ...]:
    moment = now()
    if engines.startswith(GROUP):
        return give_orders(
            portal, list_group(portal, engines.removeprefix(GROUP)), ask, actor=ACTOR, now=moment
        )
    if "," in engines:
        ids = [one for one in engines.split(",") if one]
        return give_orders(portal, ids, ask, actor=ACTOR, now=moment)
    given = give_order(portal, engines, ask, actor=ACTOR, now=moment)
    return (Answered(engine_id=engines, order=given, refusal=None),)


def _tell(answered: tuple[Answered, ...], *, as_json: bool) -> None:
    given = [one.line for one in answered if one.line is not None]
    if as_json:
        print_json({"orders": [OrderSchema.write(line) for line in given]})
    else:
        rows = [(one.order, one.engine, one.do, one.version, format_time(one.accept_before)) for one in given]
        print_table(("order", "engine", "do", "version", "accept before"), rows)
    refused = [one.refusal for one in answered if one.refusal is not None]
    for err in refused:
        complain(f"{err.message} [{err.code}]")
    talk(f"{len(given)} given; what became of it is told by: engineshed-server engine show ENGINE")
    if refused:
        raise click.exceptions.Exit(1)
