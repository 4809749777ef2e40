"""The passphrase of the signing keys: from a file or from the keyboard, never from the arguments.

Every user of a machine can read the arguments of its processes.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path

from engineshed_packages.cli.options import PASSPHRASE_VARIABLE, PROGRAM
from engineshed_packages.errors import KeyUnusable
from engineshed_packages.files import read_limited
from engineshed_packages.repository.keys import KeyFolder

MAX_PASSPHRASE_BYTES = 4096


def open_keys(
    arguments: argparse.Namespace, ask: Callable[[], str], *, folder: Path | None = None
) -> KeyFolder:
    """The folder of keys, that of the arguments unless *folder* is given.

    Its passphrase comes from a file when one is named, else *ask* is asked for it.

    Raises:
        KeyUnusable: codes ``passphrase-missing``, ``passphrase-short``.
        FileRefused: the passphrase's file cannot be read.
    """
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
    return KeyFolder(Path(arguments.keys) if folder is None else folder, passphrase)


def _warn_of_readers(file: Path) -> None:
    # Not a refusal: in a container the file often comes from a mount whose mode nobody there can change.
    mode = file.stat().st_mode & 0o777
    if sys.platform != "win32" and mode & 0o077:
        warning = f"warning: {file} has mode {mode:04o}, others may read the passphrase: chmod 600 {file}"
        print(f"{PROGRAM}: {warning}", file=sys.stderr)


def ask() -> str:
    """Ask for the passphrase of keys that exist."""
    return getpass.getpass("Passphrase of the keys: ")


def ask_twice() -> str:
    """Ask for the passphrase of keys to be made.

    Raises:
        KeyUnusable: code ``passphrase-wrong``: the two differ.
    """
    first = getpass.getpass("New passphrase for all keys: ")
    if getpass.getpass("The same again: ") != first:
        raise KeyUnusable("passphrase-wrong", "the two passphrases differ")
    return first
