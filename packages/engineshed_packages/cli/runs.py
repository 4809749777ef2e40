"""From the arguments of a command to its function: releases. Nothing is decided here."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from engineshed_packages.cli import commands, inspecting
from engineshed_packages.cli.answers import Answer
from engineshed_packages.cli.key_runs import run_refresh_proposal
from engineshed_packages.cli.passphrase import ask, open_keys
from engineshed_packages.repository import Repository
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms
from engineshed_packages.versions import Version


def run_build(arguments: argparse.Namespace, _: datetime) -> Answer:
    """``build``."""
    return commands.build(
        [Path(source) for source in arguments.sources],
        version=arguments.version,
        platform=arguments.platform,
        output=Path(arguments.output),
    )


def run_release(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``release``."""
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
    return commands.release(repository, open_keys(arguments, ask), packages, terms, now=now)


def _version_or_none(text: str | None) -> Version | None:
    return None if text is None else Version.parse(text)


def run_bundle(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``bundle``."""
    named = arguments.product is not None and arguments.version is not None
    if arguments.metadata_only:
        if arguments.product is not None or arguments.platform:
            arguments.parser.error("--metadata-only is for the whole repository: name no release or platform")
        repository = Repository(Path(arguments.repository))
        return commands.metadata_bundle(repository, output=Path(arguments.output), now=now)
    if not named:
        arguments.parser.error("name a PRODUCT and a VERSION, or give --metadata-only")
    return commands.bundle(
        Repository(Path(arguments.repository)),
        arguments.product,
        arguments.version,
        platforms=arguments.platform,
        output=Path(arguments.output),
        now=now,
    )


def run_withdraw(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``withdraw``."""
    if not arguments.undo and not arguments.reason:
        arguments.parser.error("--reason is needed: admins are shown it")
    change = ReleaseChange(
        withdrawn=not arguments.undo, message=arguments.reason, platforms=tuple(arguments.platform)
    )
    return commands.withdraw(
        Repository(Path(arguments.repository)),
        open_keys(arguments, ask),
        arguments.product,
        arguments.version,
        change,
        output=Path(arguments.output),
        now=now,
    )


def run_inspect(arguments: argparse.Namespace, _: datetime) -> Answer:
    """``inspect``."""
    return inspecting.inspect(Path(arguments.file))


def run_verify(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``verify``."""
    return inspecting.verify(Path(arguments.path), root_file=Path(arguments.root), now=now)


def run_refresh(arguments: argparse.Namespace, now: datetime) -> Answer:
    """``refresh``."""
    if arguments.proposal is not None:
        return run_refresh_proposal(arguments, now)
    repository = Repository(Path(arguments.repository))
    return commands.refresh_repository(repository, open_keys(arguments, ask), roles=arguments.role, now=now)
