"""``publish``: send a bundle to a download site or a portal, and wait until it was taken in."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path

from engineshed_packages.cli.answers import Answer
from engineshed_packages.cli.options import Commands, Run, add_command
from engineshed_packages.enrolment import check_portal_url
from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.progress import choose
from engineshed_packages.transport import HttpClient
from engineshed_packages.uploads.memory import Memory
from engineshed_packages.uploads.patience import GIVE_UP_S, Patience
from engineshed_packages.uploads.portal import UploadPortal
from engineshed_packages.uploads.sending import send_file
from engineshed_packages.uploads.tokens import FILE_VARIABLE, MISSING, find_token


def add_publish(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    """Add ``publish``."""
    parser = add_command(
        to,
        "publish",
        run,
        summary="upload a bundle to a download site or a portal",
        more="A cut line or a restart over there is borne; the same command, started again, goes on where\n"
        "it was. The API token (scope support or admin) comes from a file or the environment, never from\n"
        f"the arguments: --token-file, else ${FILE_VARIABLE}, else $ENGINESHED_TOKEN.",
        examples="publish sample-engine-3.4.0-bundle.zip --to https://download.example.org\n"
        "publish 3.4.0.zip --to https://portal.example.org --token-file token.txt --ca-file ca.pem",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="what bundle wrote")
    parser.add_argument("--to", required=True, metavar="URL", help="address of the download site or portal")
    parser.add_argument("--token-file", metavar="FILE", help="holds the API token")
    parser.add_argument("--ca-file", metavar="FILE", help="PEM file of the CA to trust (the system's)")
    parser.add_argument(
        "--retry-for",
        type=int,
        default=int(GIVE_UP_S),
        metavar="SECONDS",
        help="give up after so long without progress (%(default)s)",
    )
    parser.add_argument("--no-progress", action="store_true", help="do not show how far it is")


def run_publish(arguments: argparse.Namespace, _: datetime) -> Answer:
    """``publish``."""
    file = None if arguments.token_file is None else Path(arguments.token_file)
    token = find_token(file, os.environ)
    parser: argparse.ArgumentParser = arguments.parser
    if token is None:
        parser.error(MISSING)
    try:
        portal = check_portal_url(arguments.to)
    except ProtocolRefused as err:
        parser.error(f"argument --to: {err.message}")
    bundle = Path(arguments.bundle)
    quiet: bool = arguments.quiet

    def tell(text: str) -> None:
        if not quiet:
            # on a terminal the bar stands on the line
            print(f"\n{text}" if sys.stderr.isatty() else text, file=sys.stderr)

    show = choose(sys.stderr, as_json=arguments.json, wanted=not (quiet or arguments.no_progress))
    with HttpClient(ca_file=arguments.ca_file, user_agent="engineshed-packages") as client:
        published = send_file(
            UploadPortal(client, portal, token),
            bundle,
            memory=Memory.of_user(os.environ),
            patience=Patience(arguments.retry_for, tell=tell),
            tell=tell,
            show=show,
        )
    code, *more = published.lines()
    return Answer(
        rows=[("Bundle", str(bundle)), ("Portal", code), *(("", line) for line in more)],
        data={"bundle": str(bundle), **published.to_dict()},
        notices=[f"notice: {notice}" for notice in published.notices],
    )
