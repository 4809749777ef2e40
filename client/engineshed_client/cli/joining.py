"""``enrol``: this host joins a portal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engineshed_client.cli.frame import Frame
from engineshed_client.enrol import Joining, check_not_enrolled, enrol
from engineshed_client.errors import ContentRefused, SettingsRefused, client_boundary
from engineshed_client.fsops import FsOps, find_stat
from engineshed_client.install.trees import find_tree
from engineshed_client.paths import Paths
from engineshed_client.settings import load_settings
from engineshed_packages import exits
from engineshed_packages.enrolment import MAX_LINE_CHARS, EnrolLine
from engineshed_packages.errors import FileRefused, Refused
from engineshed_packages.files import read_limited
from engineshed_packages.target import check_platform, check_product, host_platform


def run_enrol(frame: Frame) -> int:
    """Read the enrolment line from standard input or a file, never from the arguments, and join."""
    paths, product, platform, ca_file = _who(frame)
    check_not_enrolled(paths)
    with client_boundary():
        tree = find_tree(paths.engine)
    joining = Joining(
        line=_read_line(frame),
        product=product,
        platform=platform,
        trusted_root=_path(frame.arguments.trusted_root),
        ca_file=ca_file,
        version=None if tree is None else tree.manifest.version,
    )
    answer = enrol(joining, paths, FsOps())
    frame.output.result(
        {"engine": answer.engine, "portal": joining.line.portal, "product": product, "platform": platform},
        f"enrolled as {answer.engine} at {joining.line.portal}",
    )
    return exits.DONE


def _who(frame: Frame) -> tuple[Paths, str, str, Path | None]:
    """Folders, product, platform and CA file: from updater.toml where it exists, else from the flags."""
    arguments, base = frame.arguments, frame.base()
    ca_file = _path(arguments.ca_file)
    if find_stat(Paths(base).settings) is not None:
        settings = load_settings(base, environ=os.environ, flags={})
        paths = Paths(base, settings.engine_folder)
        return paths, settings.product, settings.platform, ca_file or settings.ca_file
    if arguments.product is None:
        raise SettingsRefused(["no product is named: give --product NAME, as the vendor calls it"])
    try:
        product = check_product(arguments.product)
        platform = check_platform(arguments.platform or host_platform())
    except Refused as err:
        raise SettingsRefused([err.message]) from err
    return Paths(base, arguments.engine_folder), product, platform, ca_file


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _read_line(frame: Frame) -> EnrolLine:
    """The enrolment line.

    Raises:
        SettingsRefused: its file cannot be read.
        ContentRefused: it is none.
    """
    path = _path(frame.arguments.line_file)
    if path is not None:
        try:
            text = read_limited(path, 4 * MAX_LINE_CHARS).decode("utf-8", "replace")
        except FileRefused as err:
            raise SettingsRefused([err.message]) from err
    else:
        if sys.stdin.isatty():
            frame.output.talk("Paste the enrolment line and press Enter:")
        text = sys.stdin.readline(4 * MAX_LINE_CHARS)
    try:
        return EnrolLine.parse(text)
    except Refused as err:
        raise ContentRefused(err.code, err.message) from err
