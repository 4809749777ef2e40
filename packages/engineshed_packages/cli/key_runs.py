"""From the arguments of a command to its function: keys. Nothing is decided here."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from engineshed_packages.cli import key_commands
from engineshed_packages.cli.answers import Answer
from engineshed_packages.cli.passphrase import ask_twice, open_keys
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
