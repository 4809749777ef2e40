"""The command group, and what each error means as an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

import click

from engineshed_packages import __version__, exits
from engineshed_packages.errors import Conflict, FileRefused, PackagesError, Unavailable
from engineshed_packages.transport import HttpRefused
from engineshed_packages.transport.exit_codes import exit_code_of
from engineshed_server import errors
from engineshed_server.cli.output import complain

PROGRAM = "engineshed-server"
INTERRUPTED = 130  # as shells write it: 128 and SIGINT
CODES = (
    exits.DONE,
    exits.FAILED,
    exits.USAGE,
    exits.BAD_CONTENT,
    exits.UNREACHABLE,
    exits.CANNOT_CREATE,
    exits.IO_ERROR,
    exits.TRY_LATER,
    exits.REFUSED,
    exits.CONFIGURATION,
)


# Where each command is. A module is loaded when its command runs: `upload` on a build machine needs no
# database, and nobody should wait a second for `--version`.
COMMANDS: Mapping[str, str] = {
    "audit": "audit:audit",
    "beat": "working:beat",
    "config": "configuration:config",
    "db": "database:db",
    "demo": "demo:demo",
    "emergency-stop": "stops:emergency_stop",
    "engine": "orders:engine",  # the group of `engines`, with what is in `orders` too
    "enrol-token": "enrol_tokens:enrol_token",
    "init": "setup:init",
    "job": "jobs:job",
    "order-key": "order_keys:order_key",
    "portals": "order_keys:portals",
    "release": "releases:release",
    "run": "run:run",
    "schedule": "schedules:schedule",
    "service": "service:service",
    "token": "tokens:token",
    "upload": "upload:upload",
    "user": "users:user",
    "web": "web:web",
    "worker": "working:worker",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(importlib.import_module(f"engineshed_server.cli.{module}"), name)
        return _listed_whole(command) if isinstance(command, click.Command) else None


def _listed_whole(command: click.Command) -> click.Command:
    """*command* with all below it, whose first sentence click would else cut off in lists of commands."""
    command.short_help = command.get_short_help_str(limit=len(command.help or ""))
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _listed_whole(below)
    return command


@click.command(cls=_Commands, epilog="\b\nExit codes:\n" + exits.describe(CODES))
@click.version_option(__version__, message="%(prog)s %(version)s")
def group() -> None:
    """A portal or download site: publishes signed releases, answers engines."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code. *argv* without the program's name, None: the process' own."""
    try:
        result = group.main(args=argv, prog_name=PROGRAM, standalone_mode=False)
        return result if isinstance(result, int) else exits.DONE
    except click.ClickException as err:
        err.show()
        return err.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away, as `| head` does. Nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    except errors.SettingsRefused as err:
        for fault in err.faults:
            complain(f"{PROGRAM}: {fault}")
        return exits.CONFIGURATION
    except (errors.ServerError, PackagesError) as err:
        # of an answer by a portal, its own code says more than the status
        problem = err.problem if isinstance(err, HttpRefused | Unavailable) else None
        complain(f"{PROGRAM}: {err.message} [{problem or err.code}]")
        return exit_code(err)
    except OSError as err:
        reason = err.strerror or str(err)
        complain(f"{PROGRAM}: {reason if err.filename is None else f'{err.filename}: {reason}'}")
        return exits.CANNOT_CREATE if isinstance(err, PermissionError | FileExistsError) else exits.IO_ERROR


def exit_code(err: errors.ServerError | PackagesError) -> int:
    """The exit code that tells a script what to do about *err*."""
    if isinstance(err, HttpRefused | Unavailable):
        return exit_code_of(err)
    for branch, code in _BY_BRANCH:
        if isinstance(err, branch):
            return code
    return exits.FAILED


_BY_BRANCH: tuple[tuple[type[Exception], int], ...] = (
    (errors.SetupRefused, exits.CONFIGURATION),
    (errors.SettingsRefused, exits.CONFIGURATION),
    (errors.NotAuthenticated, exits.REFUSED),
    (errors.NotAllowed, exits.REFUSED),
    (errors.TryLater, exits.TRY_LATER),
    (FileRefused, exits.IO_ERROR),
    (Conflict, exits.TRY_LATER),
)
