"""`engineshed-packages`: the vendor's command line.

Data goes to stdout, talk to stderr; ``--json`` gives the data as one JSON object, ``-q`` leaves the talk
away. A passphrase comes from a file or from the keyboard, never from the arguments, which every user of
the machine can read. The clock is read here and nowhere below.
"""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from engineshed_packages import exits
from engineshed_packages.cli import commands
from engineshed_packages.cli.arguments import PASSPHRASE_VARIABLE, PROGRAM, build_parser
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
from engineshed_packages.files import read_limited
from engineshed_packages.repository import Repository
from engineshed_packages.repository.creation import NewRepository
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_packages.versions import Version

MAX_PASSPHRASE_BYTES = 4096


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
        answer: commands.Answer = arguments.run(arguments, datetime.now(UTC))
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
    if isinstance(err, (ArchiveRefused, ContentMismatch, ManifestRefused, MetadataRefused, TargetRefused)):
        return exits.BAD_CONTENT
    if isinstance(err, Conflict):
        return exits.TRY_LATER
    if isinstance(err, (KeyUnusable, FileRefused)):
        return exits.CONFIGURATION
    return exits.UNREACHABLE if isinstance(err, Unavailable) else exits.FAILED


def _failed(err: PackagesError | OSError, arguments: argparse.Namespace) -> int:
    code = "io-error" if isinstance(err, OSError) else err.code
    message = _os_message(err) if isinstance(err, OSError) else err.message
    if arguments.json:
        print(json.dumps({"error": code, "message": message}, indent=1, ensure_ascii=False))
    print(f"{PROGRAM}: {message} [{code}]", file=sys.stderr)
    if arguments.run is _run_build and isinstance(err, (ManifestRefused, TargetRefused)):
        return exits.CONFIGURATION  # the vendor's own folders, and no content that came from elsewhere
    return exit_code(err)


def _os_message(err: OSError) -> str:
    reason = err.strerror or str(err)
    return reason if err.filename is None else f"{err.filename}: {reason}"


def _table(answer: commands.Answer) -> str:
    rows = list(answer.rows)
    while rows and rows[-1] == ("", ""):
        rows.pop()
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def _keys(arguments: argparse.Namespace, ask: Callable[[], str]) -> KeyFolder:
    """The folder of keys; its passphrase from a file when one is named, else *ask* for it."""
    file = arguments.passphrase_file or os.environ.get(PASSPHRASE_VARIABLE)
    if file:
        data = read_limited(Path(file), MAX_PASSPHRASE_BYTES)
        _warn_of_readers(Path(file))
        passphrase = data.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
    elif sys.stdin.isatty():
        passphrase = ask()
    else:
        raise KeyUnusable(
            "passphrase-missing",
            f"the keys need a passphrase: give --passphrase-file, set {PASSPHRASE_VARIABLE}, or use a "
            "terminal",
        )
    return KeyFolder(Path(arguments.keys), passphrase)


def _warn_of_readers(file: Path) -> None:
    # Not a refusal: in a container the file often comes from a mount whose mode nobody there can change.
    mode = file.stat().st_mode & 0o777
    if sys.platform != "win32" and mode & 0o077:
        warning = f"warning: {file} has mode {mode:04o}, others may read the passphrase: chmod 600 {file}"
        print(f"{PROGRAM}: {warning}", file=sys.stderr)


def _ask() -> str:
    return getpass.getpass("Passphrase of the keys: ")


def _ask_twice() -> str:
    first = getpass.getpass("New passphrase for all keys: ")
    if getpass.getpass("The same again: ") != first:
        raise KeyUnusable("passphrase-wrong", "the two passphrases differ")
    return first


def _run_keys_init(arguments: argparse.Namespace, now: datetime) -> commands.Answer:
    plan = NewRepository(
        products=tuple(arguments.product), root_keys=arguments.root_keys, threshold=arguments.threshold
    )
    keys = _keys(arguments, _ask_twice)
    repository = Repository(Path(arguments.repository))
    return commands.init_keys(repository, keys, plan, root_out=Path(arguments.root_out), now=now)


def _run_build(arguments: argparse.Namespace, _: datetime) -> commands.Answer:
    return commands.build(
        [Path(source) for source in arguments.sources],
        version=arguments.version,
        platform=arguments.platform,
        output=Path(arguments.output),
    )


def _run_release(arguments: argparse.Namespace, now: datetime) -> commands.Answer:
    terms = ReleaseTerms(
        channel=arguments.channel,
        severity=arguments.severity,
        mode=arguments.mode,
        min_version=_version_or_none(arguments.min_version),
        floor=_version_or_none(arguments.floor),
        message=arguments.message,
        notes=None if arguments.notes is None else Path(arguments.notes),
    )
    repository = Repository(Path(arguments.repository))
    packages = [Path(package) for package in arguments.packages]
    return commands.release(repository, _keys(arguments, _ask), packages, terms, now=now)


def _version_or_none(text: str | None) -> Version | None:
    return None if text is None else Version.parse(text)


def _run_bundle(arguments: argparse.Namespace, now: datetime) -> commands.Answer:
    return commands.bundle(
        Repository(Path(arguments.repository)),
        arguments.product,
        arguments.version,
        platforms=arguments.platform,
        output=Path(arguments.output),
        now=now,
    )


def _run_inspect(arguments: argparse.Namespace, _: datetime) -> commands.Answer:
    return commands.inspect(Path(arguments.file))


def _run_verify(arguments: argparse.Namespace, now: datetime) -> commands.Answer:
    return commands.verify(Path(arguments.path), root_file=Path(arguments.root), now=now)


def _run_refresh(arguments: argparse.Namespace, now: datetime) -> commands.Answer:
    repository = Repository(Path(arguments.repository))
    return commands.refresh_repository(repository, _keys(arguments, _ask), roles=arguments.role, now=now)


_RUNS = {
    "keys init": _run_keys_init,
    "build": _run_build,
    "release": _run_release,
    "bundle": _run_bundle,
    "inspect": _run_inspect,
    "verify": _run_verify,
    "refresh": _run_refresh,
}
