"""What the arguments of all commands are made of."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime

from engineshed_packages import exits
from engineshed_packages.cli.answers import Answer
from engineshed_packages.errors import VersionUnreadable
from engineshed_packages.versions import Version

PROGRAM = "engineshed-packages"
PASSPHRASE_VARIABLE = "ENGINESHED_KEY_PASSPHRASE_FILE"
CODES = (
    exits.DONE,
    exits.FAILED,
    exits.USAGE,
    exits.BAD_CONTENT,
    exits.UNREACHABLE,
    exits.IO_ERROR,
    exits.TRY_LATER,
    exits.REFUSED,
    exits.CONFIGURATION,
)

Run = Callable[[argparse.Namespace, datetime], Answer]
Commands = argparse._SubParsersAction  # argparse gives the thing no public name


def add_command(
    to: Commands[argparse.ArgumentParser], name: str, run: Run, *, summary: str, more: str, examples: str
) -> argparse.ArgumentParser:
    """Add the command *name* with the options all commands have."""
    indented = "\n".join(f"  {PROGRAM} {line}" for line in examples.splitlines())
    parser = to.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{more}",
        epilog=f"Examples:\n{indented}\n\nExit codes:\n{exits.describe(CODES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the data as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="no talk on stderr but errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="log on stderr what is done")
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_repository(parser: argparse.ArgumentParser) -> None:
    """Add ``--repository``."""
    parser.add_argument(
        "--repository", default="repository", metavar="DIR", help="the TUF repository (%(default)s)"
    )


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Add the folder of keys and the file of their passphrase."""
    add_key_folder(parser)
    add_passphrase(parser)


def add_key_folder(parser: argparse.ArgumentParser) -> None:
    """Add ``--keys``."""
    parser.add_argument(
        "--keys", default="keys", metavar="DIR", help="folder of the signing keys (%(default)s)"
    )


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Add the file that holds the passphrase."""
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help=f"holds the passphrase of the keys; else ${PASSPHRASE_VARIABLE}, else it is asked for",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add where the bundle for portals is written."""
    parser.add_argument(
        "--output", default=".", metavar="PATH", help="bundle, or folder to name it in (%(default)s)"
    )


def version(text: str) -> str:
    """An argument that must be a version; its text."""
    try:
        return Version.parse(text).text
    except VersionUnreadable as err:
        raise argparse.ArgumentTypeError(err.message) from err
