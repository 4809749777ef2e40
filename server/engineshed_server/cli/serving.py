"""What the commands that serve say before they do: plainly to a person, or as log lines when those are JSON.

Who collects the lines of a service reads every one of them; that a service did not come up must stand there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from engineshed_server.cli.main import exit_code
from engineshed_server.cli.output import complain, talk
from engineshed_server.errors import ServerError, TryLater
from engineshed_server.serve.logs import JSON, configure_logs
from engineshed_server.settings import Settings

logger = logging.getLogger(__name__)


@contextmanager
def starting(settings: Settings) -> Iterator[None]:
    """Let what is said in the block go where the settings send log lines.

    Raises:
        click.exceptions.Exit: in place of any error of ours, which stands in the log then.
    """
    if settings.log_format != JSON:
        yield
        return
    configure_logs(settings.log_level, settings.log_format)
    try:
        yield
    except ServerError as err:
        logger.error("not started", extra={"code": err.code, "reason": err.message})
        raise click.exceptions.Exit(exit_code(err)) from err


def say_listening(settings: Settings, address: str) -> None:
    """Say where the portal listens."""
    if settings.log_format == JSON:
        logger.info("portal listens", extra={"portal": settings.name, "address": address})
    else:
        talk(f"{settings.name} listens at {address}")


def say_database_away(settings: Settings, err: TryLater) -> None:
    """Say that the database is away, which keeps nobody from starting."""
    if settings.log_format == JSON:
        logger.warning("database away at the start", extra={"code": err.code, "reason": err.message})
    else:
        complain(f"warning: {err.message}; starting all the same")
