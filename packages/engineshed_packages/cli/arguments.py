"""The arguments of `engineshed-packages` and the words of its ``--help``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from engineshed_packages import __version__, exits
from engineshed_packages.cli.key_arguments import add_key_commands
from engineshed_packages.cli.options import (
    CODES,
    PROGRAM,
    Commands,
    Run,
    add_command,
    add_keys,
    add_repository,
    version,
)
from engineshed_packages.cli.publishing import add_publish
from engineshed_packages.target import DEFAULT_CHANNEL, MODES, PLATFORMS, SEVERITIES


def build_parser(runs: Mapping[str, Run]) -> argparse.ArgumentParser:
    """The parser of all commands; ``run`` of its result is the function in *runs* of that name."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Builds, signs, bundles and publishes releases of engines. All but publish runs offline.",
        epilog=f"Each command has its own --help with examples.\n\nExit codes:\n{exits.describe(CODES)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    top = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_key_commands(top, runs)
    _add_build(top, runs["build"])
    _add_release(top, runs["release"])
    _add_withdraw(top, runs["withdraw"])
    _add_bundle(top, runs["bundle"])
    _add_inspect(top, runs["inspect"])
    _add_verify(top, runs["verify"])
    _add_refresh(top, runs["refresh"])
    add_publish(top, runs["publish"])
    return parser


def _add_build(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "build",
        run,
        summary="build a package from folders",
        more="A package.toml at the top of a source describes the package. Later sources overlay earlier\n"
        "ones. The same input gives the same bytes on every machine.",
        examples="build dist/common dist/linux --version 3.4.0 --platform linux-x86_64 --output packages\n"
        "build engine --version 3.4.0",
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="folder with the engine's files")
    parser.add_argument("--version", required=True, type=version, help="the version of the release")
    parser.add_argument("--platform", default="any", choices=PLATFORMS, help="where it runs (%(default)s)")
    parser.add_argument(
        "--output", default=".", metavar="DIR", help="where the package is written (%(default)s)"
    )


def _add_release(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "release",
        run,
        summary="sign packages and publish them in the repository as one release",
        more="All packages are of one version of one product. The same bytes again change nothing,\n"
        "other bytes are refused. If somebody else publishes at the same time, one of the two gets\n"
        "exit code 75.",
        examples="release packages/sample-engine-3.4.0-*.zip\n"
        "release packages/sample-engine-3.4.0-any.zip --severity critical --floor 3.3.0 --message 'Fixes …'",
    )
    parser.add_argument("packages", nargs="+", metavar="PACKAGE", help="a package made by build")
    parser.add_argument("--channel", default=DEFAULT_CHANNEL, help="who gets it (%(default)s)")
    parser.add_argument(
        "--severity", default="optional", choices=SEVERITIES, help="how urgent it is (%(default)s)"
    )
    parser.add_argument(
        "--mode", default="automatic", choices=MODES, help="whether it is offered by itself (%(default)s)"
    )
    parser.add_argument(
        "--min-version",
        metavar="VERSION",
        type=version,
        help="an engine must be there before it takes this one",
    )
    parser.add_argument("--floor", metavar="VERSION", type=version, help="nothing below is ordered any more")
    parser.add_argument("--message", default="", help="one line for the admins, at most 500 characters")
    parser.add_argument("--notes", metavar="FILE", help="JSON file with notes and messages per language")
    add_repository(parser)
    add_keys(parser)


def _add_withdraw(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "withdraw",
        run,
        summary="take a published release back, and write the bundle that tells portals",
        more="The release stays listed as withdrawn. Portals that take the bundle in stop offering it; an\n"
        "engine that accepted it turns back before it stops; one that has installed it runs on. Release\n"
        "a newer version for those. The reason replaces the release's message; --undo takes both back.",
        examples="withdraw sample-engine 3.4.0 --reason 'Loses its connection after an hour.'\n"
        "withdraw sample-engine 3.4.0 --platform windows-x86_64 --reason 'Does not start.'\n"
        "withdraw sample-engine 3.4.0 --undo",
    )
    parser.add_argument("product", metavar="PRODUCT")
    parser.add_argument("version", metavar="VERSION", type=version)
    parser.add_argument("--reason", default="", metavar="TEXT", help="one line for the admins (needed)")
    parser.add_argument("--undo", action="store_true", help="offer it again; --reason is its new message")
    parser.add_argument(
        "--platform", action="append", default=[], choices=PLATFORMS, help="only this one; repeatable (all)"
    )
    parser.add_argument(
        "--output", default=".", metavar="PATH", help="file, or folder to name it in (%(default)s)"
    )
    add_repository(parser)
    add_keys(parser)


def _add_bundle(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "bundle",
        run,
        summary="write the bundle of a published release",
        more="One zip for the download site, a portal, or an engine without network. Needs no key.\n"
        "With --metadata-only it holds no package: what changed of releases or keys, a few kilobytes.",
        examples="bundle sample-engine 3.4.0\n"
        "bundle sample-engine 3.4.0 --platform linux-x86_64 --output 3.4.0.zip\n"
        "bundle --metadata-only",
    )
    parser.add_argument("product", metavar="PRODUCT", nargs="?")
    parser.add_argument("version", metavar="VERSION", nargs="?", type=version)
    parser.add_argument("--metadata-only", action="store_true", help="no release: the signed metadata alone")
    parser.add_argument(
        "--platform", action="append", default=[], choices=PLATFORMS, help="only this one; repeatable (all)"
    )
    parser.add_argument(
        "--output", default=".", metavar="PATH", help="file, or folder to name it in (%(default)s)"
    )
    add_repository(parser)


def _add_inspect(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "inspect",
        run,
        summary="show what a package or bundle says of itself",
        more="Nothing is verified, no key or root is needed.",
        examples="inspect packages/sample-engine-3.4.0-any.zip\n"
        "inspect sample-engine-3.4.0-bundle.zip --json",
    )
    parser.add_argument("file", metavar="FILE")


def _add_verify(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "verify",
        run,
        summary="verify a bundle, or a repository, with all its packages",
        more="Does what a portal and an updater do: signatures from the root down, every package's bytes.",
        examples="verify sample-engine-3.4.0-bundle.zip --root root.json\nverify repository --root root.json",
    )
    parser.add_argument("path", metavar="PATH", help="bundle, or folder of a repository")
    parser.add_argument("--root", required=True, metavar="FILE", help="the root.json the vendor handed out")


def _add_refresh(to: Commands[argparse.ArgumentParser], run: Run) -> None:
    parser = add_command(
        to,
        "refresh",
        run,
        summary="sign the timestamp anew, daily; and roles whose life runs out",
        more="The timestamp carries the date by which portals and engines tell that they are not kept in\n"
        "the past. Warned of a role at 80 % of its life, sign it anew with --role; its keys must be there.",
        examples="refresh -q\nrefresh --role sample-engine --role targets\n"
        "refresh --role root --proposal root.proposal",
    )
    parser.add_argument(
        "--role", action="append", default=[], metavar="NAME", help="sign this role too; repeatable"
    )
    parser.add_argument(
        "--proposal", metavar="FILE", help="sign nothing: write root, targets or both to be signed elsewhere"
    )
    add_repository(parser)
    add_keys(parser)
