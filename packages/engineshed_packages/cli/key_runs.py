"""From the arguments of a command to its function: keys. Nothing is decided here."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from engineshed_packages.cli import ceremony, key_commands
from engineshed_packages.cli.answers import Answer
from engineshed_packages.cli.key_commands import Outcome, Rotation
from engineshed_packages.cli.passphrase import ask, ask_twice, open_keys
from engineshed_packages.repository import Repository
from engineshed_packages.repository.creation import NewRepository


def run_keys_init(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``keys init``."""
    plan = NewRepository(
        products=tuple(arguments.product), root_keys=arguments.root_keys, threshold=arguments.threshold
    )
    keys = open_keys(arguments, ask_twice)
    repository = Repository(Path(arguments.repository))
    return key_commands.init_keys(repository, keys, plan, root_out=Path(arguments.root_out), now=now)


def run_keys_new(arguments: argparse.Namespace, _: datetime) -> Answer:
    """``keys new``."""
    return key_commands.new_keys(open_keys(arguments, ask_twice), arguments.names)


def run_keys_status(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``keys status``."""
    if arguments.files:
        return ceremony.proposal_status([Path(file) for file in arguments.files])
    return ceremony.repository_status(Repository(Path(arguments.repository)), Path(arguments.keys), now=now)


def run_keys_rotate(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``keys rotate``."""
    wanted = Rotation(
        role=arguments.role,
        remove=arguments.remove,
        add=[Path(path) for path in arguments.add],
        threshold=arguments.threshold,
    )
    return key_commands.rotate(
        Repository(Path(arguments.repository)),
        open_keys(arguments, ask),
        wanted,
        outcome=_outcome(arguments),
        now=now,
    )


def run_keys_add_product(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``keys add-product``."""
    return key_commands.add_product(
        Repository(Path(arguments.repository)),
        open_keys(arguments, ask),
        arguments.product,
        add=[Path(path) for path in arguments.add],
        outcome=_outcome(arguments),
        now=now,
    )


def run_keys_remove_product(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``keys remove-product``."""
    return key_commands.remove_product(
        Repository(Path(arguments.repository)),
        open_keys(arguments, ask),
        arguments.product,
        outcome=_outcome(arguments),
        now=now,
    )


def run_keys_sign(arguments: argparse.Namespace, _: datetime) -> Answer:
    """``keys sign``."""
    paths = [Path(key) for key in arguments.key]
    folders = {path.parent: open_keys(arguments, ask, folder=path.parent) for path in paths}
    return ceremony.sign(
        Path(arguments.file),
        [(folders[path.parent], path.stem) for path in paths],
        root=None if arguments.root is None else Path(arguments.root),
        output=Path(arguments.output or arguments.file),
    )


def run_keys_apply(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``keys apply``."""
    proposal = ceremony.read_proposals([Path(file) for file in arguments.files])
    return key_commands.apply(
        Repository(Path(arguments.repository)),
        open_keys(arguments, ask),
        proposal,
        output=Path(arguments.output),
        now=now,
    )


def run_refresh_proposal(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``refresh --proposal``."""
    return key_commands.renew(
        Repository(Path(arguments.repository)),
        open_keys(arguments, ask),
        arguments.role,
        proposal=Path(arguments.proposal),
        now=now,
    )


def _outcome(arguments: argparse.Namespace) -> Outcome:
    proposal = None if arguments.proposal is None else Path(arguments.proposal)
    return Outcome(proposal=proposal, bundle=Path(arguments.output))
