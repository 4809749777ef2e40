"""The arguments of `engineshed-packages keys` and the words of its ``--help``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from engineshed_packages.cli.options import (
    Commands,
    Run,
    add_command,
    add_key_folder,
    add_keys,
    add_output,
    add_passphrase,
    add_repository,
)


def add_key_commands(top: Commands[argparse.ArgumentParser], runs: Mapping[str, Run]) -> None:
    """Add ``keys`` and what is below it."""
    keys = top.add_parser("keys", help="make and replace the signing keys, and the repository")
    below = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_keys_init(below, runs["keys init"])
    _add_keys_new(below, runs["keys new"])
    _add_keys_status(below, runs["keys status"])
    _add_keys_rotate(below, runs["keys rotate"])
    _add_products(below, runs)
    _add_keys_sign(below, runs["keys sign"])
    _add_keys_apply(below, runs["keys apply"])


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


def _add_keys_new(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "new",
        run,
        summary="make pairs of keys, as on the offline machine of somebody who signs roots",
        more="NAME.pem stays there; NAME.pub goes to the repository: keys rotate --add NAME.pub.",
        examples="keys new root-4 --keys /media/stick/keys",
    )
    parser.add_argument("names", nargs="+", metavar="NAME")
    add_keys(parser)


def _add_keys_status(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "status",
        run,
        summary="show every role's keys and life, or who has signed a proposal and who is missing",
        more="Needs no passphrase. Several files are copies of one proposal that were signed apart.",
        examples="keys status\nkeys status root.proposal",
    )
    parser.add_argument("files", nargs="*", metavar="PROPOSAL", help="a file of keys rotate --proposal")
    add_repository(parser)
    add_key_folder(parser)


def _add_keys_rotate(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "rotate",
        run,
        summary="replace a key: of root, of targets, the online one, or a product's",
        more="Without --add and --remove the role's only key is replaced by a new one. With all keys here\n"
        "the change is published at once, and a bundle written that tells portals. With --proposal\n"
        "nothing changes yet: the file goes to the other keys (keys sign), and comes back (keys apply).\n"
        "A product's key is asked for by targets, every other by root.",
        examples="keys rotate --role online\n"
        "keys rotate --role sample-engine --proposal product.proposal\n"
        "keys rotate --role root --remove root-1 --add root-4.pub --proposal root.proposal\n"
        "keys rotate --role root --add root-2.pub --add root-3.pub --threshold 2",
    )
    parser.add_argument("--role", required=True, metavar="NAME", help="root, targets, online or a product")
    parser.add_argument(
        "--remove",
        action="append",
        default=[],
        metavar="KEY",
        help="key to remove: its name, or how its id begins; repeatable (the only one)",
    )
    _add_new_keys(parser)
    parser.add_argument("--threshold", type=int, metavar="N", help="keys that must sign from now on")
    _add_change(parser)


def _add_products(to: Commands[argparse.ArgumentParser], runs: Mapping[str, Run]) -> None:
    parser = add_command(
        to,
        "add-product",
        runs["keys add-product"],
        summary="let a new product be released, with a key of its own",
        more="The targets role names it: its key must be here, or --proposal goes to it.",
        examples="keys add-product other-engine\nkeys add-product other-engine --proposal other.proposal",
    )
    parser.add_argument("product", metavar="PRODUCT")
    _add_new_keys(parser)
    _add_change(parser)
    parser = add_command(
        to,
        "remove-product",
        runs["keys remove-product"],
        summary="take a product away: none of its releases is offered or installed any more",
        more="Engines that run it run on. The targets role leaves it out: its key must be here.",
        examples="keys remove-product other-engine",
    )
    parser.add_argument("product", metavar="PRODUCT")
    _add_change(parser)


def _add_new_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--add",
        action="append",
        default=[],
        metavar="FILE",
        help="public half of a key made elsewhere; repeatable (a new key is made here)",
    )


def _add_change(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--proposal", metavar="FILE", help="write the change to be signed elsewhere")
    add_output(parser)
    add_repository(parser)
    add_keys(parser)


def _add_keys_sign(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "sign",
        run,
        summary="sign a proposal, as on the offline machine of a key",
        more="Shows what the proposal would change. Needs no repository and no network.",
        examples="keys sign root.proposal --key /media/stick/keys/root-2.pem --root root.json",
    )
    parser.add_argument("file", metavar="PROPOSAL")
    parser.add_argument(
        "--key", action="append", required=True, metavar="FILE", help="a private key; repeatable"
    )
    parser.add_argument(
        "--root", metavar="FILE", help="the root in force, as known here: sign only what changes that one"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="where to write the signed proposal (PROPOSAL itself)"
    )
    add_passphrase(parser)


def _add_keys_apply(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "apply",
        run,
        summary="publish a proposal that enough keys have signed",
        more="Keys that are here sign as well. Several files are copies of one proposal that were signed\n"
        "apart. It is published as a whole or not at all; applied twice it is applied once.",
        examples="keys apply root.proposal\nkeys apply from-alice.proposal from-bob.proposal",
    )
    parser.add_argument("files", nargs="+", metavar="PROPOSAL")
    add_output(parser)
    add_repository(parser)
    add_keys(parser)
