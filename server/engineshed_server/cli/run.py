"""``run``: the portal with all its processes."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

import click

from engineshed_server.cli.opening import check_served
from engineshed_server.cli.options import repeated_options, with_settings
from engineshed_server.cli.serving import say_listening, starting
from engineshed_server.serve.children import ChildPlan
from engineshed_server.serve.listening import address_of, listen
from engineshed_server.serve.parent import become_parent
from engineshed_server.settings import Settings


@click.command()
@click.option("--fd", type=click.IntRange(3), help="A socket that listens already, instead of web.bind.")
@with_settings
def run(settings: Settings, fd: int | None) -> None:
    """Serve: all processes of the portal under one parent that restarts what dies.

    SIGTERM and Ctrl-C drain: running requests may finish. Repeated, everything ends at once.
    """
    with starting(settings):
        check_served(settings)  # a promise to listen is only made when there is something to serve
        listener = listen(settings.bind) if fd is None else socket.socket(fileno=fd)
        say_listening(settings, address_of(listener))
    descriptor = listener.detach()
    plans = [_plan("web", "--fd", str(descriptor), descriptors=[descriptor])]
    if settings.job_workers:
        plans += [_plan("worker"), _plan("beat")]
    become_parent(plans, log_level=settings.log_level, log_format=settings.log_format)


def _plan(name: str, *words: str, descriptors: Sequence[int] = ()) -> ChildPlan:
    """The command of that name, with the options this one was given."""
    command = [sys.executable, "-P", "-m", "engineshed_server.cli", name, *repeated_options(), *words]
    return ChildPlan(name=name, command=command, descriptors=descriptors)
