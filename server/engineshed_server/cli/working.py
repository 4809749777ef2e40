"""``worker`` and ``beat``: what runs jobs, and what calls for them in time."""

from __future__ import annotations

import signal
import sys
import threading

import click

from engineshed_server.cli.opening import check_served, opened
from engineshed_server.cli.options import now, with_settings
from engineshed_server.cli.serving import starting
from engineshed_server.jobs.beat import run_beat
from engineshed_server.jobs.worker import run_worker
from engineshed_server.serve.children import die_with_parent
from engineshed_server.serve.logs import configure_logs
from engineshed_server.services.jobs.upkeep import KINDS, SCHEDULES
from engineshed_server.services.schedules import ensure_schedules
from engineshed_server.settings import Settings


@click.command()
@with_settings
def worker(settings: Settings) -> None:
    """Work on jobs, in the foreground; any number of workers may run, here and on other hosts.

    SIGTERM lets what is being worked on end; repeated, it is given up and done by another worker.
    """
    with starting(settings):
        check_served(settings)
    configure_logs(settings.log_level, settings.log_format)
    sys.exit(run_worker(settings, KINDS, on_fork=_die_with))


def _die_with(parent_pid: int) -> None:
    """A worker without its parent could never be told to end: its job is done again by another."""
    die_with_parent(signal.SIGKILL, parent_pid)


@click.command()
@with_settings
def beat(settings: Settings) -> None:
    """Call for jobs when their turn has come, in the foreground; a second one beside it does no harm."""
    with starting(settings), opened(settings) as portal:
        ensure_schedules(portal, SCHEDULES, now=now())
    configure_logs(settings.log_level, settings.log_format)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_about: stopping.set())
    run_beat(settings, KINDS, stopping=stopping)
