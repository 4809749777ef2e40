"""`engineshed-packages`: the vendor's command line.

Data goes to stdout, talk to stderr; ``--json`` gives the data as one JSON object, ``-q`` leaves the talk
away. A passphrase comes from a file or from the keyboard, never from the arguments, which every user of
the machine can read. The clock is read here and nowhere below.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from engineshed_packages import exits
from engineshed_packages.cli import key_runs, publishing, runs
from engineshed_packages.cli.answers import Answer
from engineshed_packages.cli.arguments import build_parser
from engineshed_packages.cli.options import PROGRAM
from engineshed_packages.errors import (
    ArchiveRefused,
    Conflict,
    ContentMismatch,
    FileRefused,
    KeyUnusable,
    ManifestRefused,
    MetadataRefused,
    PackagesError,
    TargetRefused,
    Unavailable,
)
from engineshed_packages.transport import HttpRefused
from engineshed_packages.transport.exit_codes import exit_code_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv*, the process's arguments when None; return the exit code."""
    arguments = build_parser(_RUNS).parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if arguments.verbose else logging.WARNING, stream=sys.stderr)
    try:
        return _run(arguments)
    except BrokenPipeError:
        # The reader went away, as `| head` does. Nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED


def _run(arguments: argparse.Namespace) -> int:
    try:
        answer: Answer = arguments.run(arguments, datetime.now(UTC))
    except (PackagesError, OSError) as err:
        return _failed(err, arguments)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped", file=sys.stderr)
        return exits.FAILED
    if arguments.json:
        print(json.dumps(answer.data, indent=1, ensure_ascii=False))
    else:
        print(_table(answer))
    sys.stdout.flush()  # here a reader that went away is noticed, and not when Python ends
    if not arguments.quiet:
        for notice in answer.notices:
            print(notice, file=sys.stderr)
    return exits.DONE


def exit_code(err: PackagesError | OSError) -> int:
    """The exit code for *err*."""
    if isinstance(err, OSError):
        return exits.IO_ERROR
    if isinstance(err, (HttpRefused, Unavailable)):
        return exit_code_of(err)
    if isinstance(err, (ArchiveRefused, ContentMismatch, ManifestRefused, MetadataRefused, TargetRefused)):
        return exits.BAD_CONTENT
    if isinstance(err, Conflict):
        return exits.TRY_LATER
    if isinstance(err, (KeyUnusable, FileRefused)):
        return exits.CONFIGURATION
    return exits.FAILED


def _failed(err: PackagesError | OSError, arguments: argparse.Namespace) -> int:
    # of an answer by a portal, its own code says more than the status
    problem = err.problem if isinstance(err, (HttpRefused, Unavailable)) else None
    code = problem or ("io-error" if isinstance(err, OSError) else err.code)
    message = _os_message(err) if isinstance(err, OSError) else err.message
    if arguments.json:
        print(json.dumps({"error": code, "message": message}, indent=1, ensure_ascii=False))
    print(f"{PROGRAM}: {message} [{code}]", file=sys.stderr)
    if arguments.run is runs.run_build and isinstance(err, (ManifestRefused, TargetRefused)):
        return exits.CONFIGURATION  # the vendor's own folders, and no content that came from elsewhere
    return exit_code(err)


def _os_message(err: OSError) -> str:
    reason = err.strerror or str(err)
    return reason if err.filename is None else f"{err.filename}: {reason}"


def _table(answer: Answer) -> str:
    rows = list(answer.rows)
    while rows and rows[-1] == ("", ""):
        rows.pop()
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


_RUNS = {
    "keys init": key_runs.run_keys_init,
    "keys new": key_runs.run_keys_new,
    "keys status": key_runs.run_keys_status,
    "keys rotate": key_runs.run_keys_rotate,
    "keys add-product": key_runs.run_keys_add_product,
    "keys remove-product": key_runs.run_keys_remove_product,
    "keys sign": key_runs.run_keys_sign,
    "keys apply": key_runs.run_keys_apply,
    "build": runs.run_build,
    "release": runs.run_release,
    "withdraw": runs.run_withdraw,
    "bundle": runs.run_bundle,
    "inspect": runs.run_inspect,
    "verify": runs.run_verify,
    "refresh": runs.run_refresh,
    "publish": publishing.run_publish,
}
