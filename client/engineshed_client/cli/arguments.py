"""The arguments of ``engineshed-client``. Options for every command stand before or after its name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from engineshed_client.cli import following, joining, launched, running, service, telling, tending, updating
from engineshed_client.cli.codes import USED
from engineshed_client.cli.frame import Frame
from engineshed_client.paths import Paths
from engineshed_client.settings import ENV_BASE
from engineshed_packages import __version__, exits
from engineshed_packages.target import PLATFORMS

Add = Callable[[argparse.ArgumentParser], None]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its name, what it does, and what it takes."""

    name: str
    run: Callable[[Frame], int]
    help: str
    add: Add


def build_parser() -> argparse.ArgumentParser:
    """The parser; ``run`` of the result is the command's function."""
    parser = argparse.ArgumentParser(
        prog="engineshed-client",
        description="The updater of one engine: fetches, verifies, replaces, probes, reports.",
        epilog=f"exit codes:\n{exits.describe(USED)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"engineshed-client {__version__}")
    _add_common(parser, absent=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        _add_command(commands, command)
    group = commands.add_parser("service", help=SERVICE_HELP, description=SERVICE_HELP)
    services = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in SERVICE_COMMANDS:
        _add_command(services, command)
    return parser


def _add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser], command: Command) -> None:
    sub = commands.add_parser(command.name, help=command.help, description=command.help)
    _add_common(sub, absent=argparse.SUPPRESS)
    command.add(sub)
    sub.set_defaults(run=command.run)


def _add_common(parser: argparse.ArgumentParser, *, absent: str | None) -> None:
    """Options of every command; behind its name they must not reset what stands before it."""
    flag = argparse.SUPPRESS if absent is not None else False
    group = parser.add_argument_group("options for every command")
    group.add_argument(
        "--base", metavar="FOLDER", default=absent, help=f"holds the engine and update/ (else {ENV_BASE})"
    )
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        # A list of its own behind the name: argparse would drop the one that stands before it.
        dest="set" if absent is None else "set_behind",
        help="a setting that goes before updater.toml and the environment; may be repeated",
    )
    group.add_argument("--json", action="store_true", default=flag, help="data as JSON")
    group.add_argument("-q", "--quiet", action="store_true", default=flag, help="say nothing but data")
    group.add_argument("-v", "--verbose", action="store_true", default=flag, help="log more, to stderr")
    group.add_argument("--no-progress", action="store_true", default=flag, help="do not show downloads")


def _nothing(parser: argparse.ArgumentParser) -> None:
    """The command takes nothing of its own."""


def _enrol(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--line-file",
        metavar="FILE",
        help="file with the line that `engineshed-server enrol-token create` printed (else standard input)",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="also when this base is enrolled: it gets another identity and keeps all it has seen",
    )
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="take over an engine that was installed long ago, as it lies there; it is not stopped",
    )
    parser.add_argument(
        "--version",
        metavar="X",
        dest="adopted_version",
        help="with --adopt: the version that is installed",
    )
    parser.add_argument("--trusted-root", metavar="FILE", help="the vendor's root.json, never from a portal")
    parser.add_argument("--ca-file", metavar="FILE", help="the portal's CA as PEM, when the line names one")
    parser.add_argument("--product", metavar="NAME", help="what the vendor calls the engine")
    parser.add_argument("--platform", choices=PLATFORMS, help="of this host (else found out)")
    parser.add_argument(
        "--engine-folder",
        metavar="NAME",
        default=Paths.__dataclass_fields__["engine_folder"].default,
        help="the engine's folder below the base (%(default)s)",
    )


def _install(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="file from the vendor or the download site")
    parser.add_argument(
        "--retry", action="store_true", help="also a release that failed on this engine before"
    )
    parser.add_argument(
        "--allow-downgrade", action="store_true", help="also a version older than the installed one"
    )


def _rollback(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", metavar="VERSION", nargs="?", help="a kept version (else the newest kept)")


def _status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nagios", action="store_true", help="one plugin line; exit code 0, 1, 2 or 3")


def _log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="wait for more, until interrupted")


COMMANDS = (
    Command("enrol", joining.run_enrol, "join a portal with the line its admin gave", _enrol),
    Command("run", running.run_run, "poll and update until stopped; for the service manager", _nothing),
    Command("recover", running.run_recover, "end what an interrupted updater left; before boot", _nothing),
    Command("self-test", launched.run_self_test, "whether this updater works on this base", _nothing),
    Command("check", updating.run_check, "ask the portal whether there is an update", _nothing),
    Command("update", updating.run_update, "poll and install what the portal orders, now", _nothing),
    Command("install", updating.run_install, "install from a bundle, without a portal", _install),
    Command("rollback", updating.run_rollback, "return to a kept previous version", _rollback),
    Command("start", tending.run_start, "start the engine and probe it", _nothing),
    Command("stop", tending.run_stop, "stop the engine; only a person or an order starts it again", _nothing),
    Command("restart", tending.run_restart, "stop the engine, start it and probe it", _nothing),
    Command("doctor", tending.run_doctor, "look at all an update needs, say what lacks", _nothing),
    Command("status", telling.run_status, "how the engine and its updater are", _status),
    Command("history", telling.run_history, "the attempts on this base", _nothing),
    Command("log", following.run_log, "the lines of update.log", _log),
)

SERVICE_HELP = "the updater as a service of this host (systemd)"
SERVICE_COMMANDS = (
    Command(
        "install",
        service.run_install,
        "write the units of updater and recovery, start them at boot",
        service.add_install,
    ),
    Command("remove", service.run_remove, "stop the updater, remove its units", service.add_remove),
    Command("show", service.run_show, "whether the units are installed, enabled, active", service.add_show),
)
