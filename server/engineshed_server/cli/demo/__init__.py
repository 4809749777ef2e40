"""``demo``: vendor, portal, engine and updater on this machine, by their own commands; see ``story``."""

from __future__ import annotations

import click

from engineshed_packages import exits
from engineshed_server.cli.demo.cast import PortalSide
from engineshed_server.cli.demo.pausing import Ended, block_endings, pause
from engineshed_server.cli.demo.screen import Screen
from engineshed_server.cli.demo.stage import DemoFailed, Stage
from engineshed_server.cli.demo.story import play
from engineshed_server.cli.output import complain

INTERRUPTED = 130
LOOK_S = 1.0


@click.command()
@click.option("--once", is_flag=True, help="End when the engine is updated, instead of waiting for Ctrl-C.")
def demo(once: bool) -> int:
    """Show the main job on this machine, in a temporary folder, without root.

    A portal, throw-away vendor keys, a sample engine and its updater: 1.0.0 is installed, 1.1.0 published,
    and the updater brings the engine there. Nothing is left behind. Exit code 1 when a step failed.
    """
    block_endings()
    screen = Screen()
    played = False
    try:
        with Stage() as stage:
            click.echo("Engineshed demo: a vendor, a portal, and an engine with its updater.\n")
            try:
                portal = play(stage, screen)
                played = True
                if not once:
                    _stay(portal, screen)
            except DemoFailed as err:
                _show_failure(err, stage)
                return exits.FAILED
    except Ended:
        screen.end_line()
        return exits.DONE if played else INTERRUPTED
    return exits.DONE


def _stay(portal: PortalSide, screen: Screen) -> None:
    screen.title("The portal stays up until Ctrl-C")
    screen.lines(
        [
            f"address        {portal.address}",
            f"API token      {portal.token}",
            f"log in         {portal.owner_link()}",
            "",
            f"curl -H 'Authorization: Bearer {portal.token}' {portal.address}/api/v1/engines",
        ]
    )
    while True:
        pause(LOOK_S)
        portal.check_alive()


def _show_failure(err: DemoFailed, stage: Stage) -> None:
    complain("")
    for line in err.message.splitlines():
        complain(line)
    shown = {"portal.log: warnings and errors": stage.complaints("portal.log")}
    shown |= {log: stage.tail(log) for log in ("portal.log", "updater.log")}
    for title, lines in shown.items():
        if lines:
            complain(f"\u2500\u2500 {title}")
            for line in lines.splitlines():
                complain(line)
