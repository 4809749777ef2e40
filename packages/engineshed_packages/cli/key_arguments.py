"""The arguments of `engineshed-packages keys` and the words of its ``--help``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from engineshed_packages.cli.options import Commands, Run, add_command, add_keys, add_repository


def add_key_commands(top: Commands[argparse.ArgumentParser], runs: Mapping[str, Run]) -> None:
    """Add ``keys`` and what is below it."""
    keys = top.add_parser("keys", help="make the signing keys and the repository")
    below = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_keys_init(below, runs["keys init"])


def _add_keys_init(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "init",
        run,
        summary="make all keys and a new repository, and write the root to hand out",
        more="Once per vendor. The keys are encrypted with one passphrase of at least 12 characters.\n"
        "Afterwards take root-… and targets to an offline place; daily work needs online and product-….",
        examples="keys init --product sample-engine\n"
        "keys init --product sample-engine --root-keys 1 --threshold 1 --passphrase-file pass.txt",
    )
    parser.add_argument(
        "--product", action="append", required=True, metavar="NAME", help="a product to release; repeatable"
    )
    parser.add_argument(
        "--root-keys", type=int, default=3, metavar="N", help="number of root keys (%(default)s)"
    )
    parser.add_argument(
        "--threshold", type=int, default=2, metavar="N", help="root keys that must sign a root (%(default)s)"
    )
    parser.add_argument(
        "--root-out",
        default="root.json",
        metavar="FILE",
        help="where to write the root to hand out (%(default)s)",
    )
    add_repository(parser)
    add_keys(parser)
