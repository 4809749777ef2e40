"""``enrol``: this host joins a portal."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from engineshed_client.agent import connect
from engineshed_client.cli.adopting import is_begun, run_adoption, wanted_version
from engineshed_client.cli.frame import Frame
from engineshed_client.enrol import Joining, check_not_enrolled, enrol, enrol_again, read_credentials
from engineshed_client.errors import ClientError, ContentRefused, SettingsRefused, client_boundary
from engineshed_client.fsops import FsOps, find_stat
from engineshed_client.install.trees import find_tree
from engineshed_client.paths import Paths
from engineshed_client.reports import Outbox
from engineshed_client.settings import Settings, load_settings
from engineshed_client.steps.adopting import check_adoptable
from engineshed_packages import exits
from engineshed_packages.enrolment import MAX_LINE_CHARS, EnrolAnswer, EnrolLine
from engineshed_packages.errors import FileRefused, Refused
from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import Json
from engineshed_packages.target import check_platform, check_product, host_platform
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)


def run_enrol(frame: Frame) -> int:
    """Read the enrolment line from standard input or a file, never from the arguments, and join."""
    paths, version = _paths(frame), wanted_version(frame)
    if version is not None:
        if not is_begun(paths, version):
            check_adoptable(paths.engine)
        known = None if frame.arguments.again else read_credentials(paths)
        if known is not None:  # what is left to do of an adoption that was refused
            values: dict[str, Json] = {"engine": known.engine, "portal": known.portals[0]}
            return run_adoption(frame, version, values, f"enrolled already as {known.engine}")
    if not frame.arguments.again:
        check_not_enrolled(paths)
    joining = _joining(frame, paths, _read_line(frame), version)
    again = frame.arguments.again
    answer = _join_again(frame, joining, paths) if again else enrol(joining, paths, FsOps())
    waits = "; it waits for approval by the portal's admin: until then nothing is installed"
    text = f"enrolled as {answer.engine} at {joining.line.portal}{waits if answer.waiting else ''}"
    values = {
        "engine": answer.engine,
        "portal": joining.line.portal,
        "product": joining.product,
        "platform": joining.platform,
        "waiting": answer.waiting,
    }
    if version is not None:
        return run_adoption(frame, version, values, text)
    frame.output.result(values, text)
    if not again:
        frame.output.talk("next: engineshed-client update, or leave it to the service: service install --now")
    return exits.DONE


def _join_again(frame: Frame, joining: Joining, paths: Paths) -> EnrolAnswer:
    """Replace the identity; what the one from before still has to report goes out first."""
    fs = FsOps()
    with client_boundary():
        fs.make_folder(paths.work, mode=0o700)
    with frame.locked_base(paths, fs):
        before = _send_reports(frame, paths)
        answer = enrol_again(joining, paths, fs)
    waiting = Outbox(paths, fs).waiting()
    if waiting and before not in (None, answer.engine):
        frame.output.talk(
            f"{waiting} reports of {before} were not sent, the portal will not take them any more"
        )
    return answer


def _send_reports(frame: Frame, paths: Paths) -> str | None:
    """Send what waits as the identity from before; its engine's id, None when there is none any more."""
    try:
        credentials = read_credentials(paths)
    except SettingsRefused as err:
        logger.info("identity from before unreadable", extra={"reason": err.message})
        return None
    if credentials is None:
        return None
    try:
        if Outbox(paths, FsOps()).waiting():
            parts = connect(frame.open_base())
            parts.context.outbox.send(parts.portal)
    except ClientError as err:
        # Often why one joins anew: that identity does not count any more.
        logger.info("reports of the identity before not sent", extra={"code": err.code})
    return credentials.engine


def _joining(frame: Frame, paths: Paths, line: EnrolLine, adopted: Version | None) -> Joining:
    """What is given: from updater.toml where it exists, else from the flags, else from the line."""
    arguments, ca_file = frame.arguments, _path(frame.arguments.ca_file)
    with client_boundary():
        tree = find_tree(paths.engine)
    if find_stat(paths.settings) is not None:
        settings = load_settings(paths.base, environ=os.environ, flags={})
        product, platform = settings.product, settings.platform
        _check_named_alike(arguments.product, settings, paths)
        ca_file = ca_file or settings.ca_file
        _warn_of_portals(frame, settings, line)
    else:
        product, platform = _named(frame, line)
    return Joining(
        line=line,
        product=product,
        platform=platform,
        trusted_root=_path(arguments.trusted_root),
        ca_file=ca_file,
        version=adopted if tree is None else tree.manifest.version,
    )


def _check_named_alike(named: str | None, settings: Settings, paths: Paths) -> None:
    """Refuse a product that is not the one of updater.toml, which counts from then on."""
    if named not in (None, settings.product):
        raise SettingsRefused(
            [f"--product says {named!r}, {paths.settings} says {settings.product!r}: correct the wrong one"]
        )


def _named(frame: Frame, line: EnrolLine) -> tuple[str, str]:
    """Product and platform by the flags or the line."""
    named = frame.arguments.product or line.product
    if named is None:
        raise SettingsRefused(["no product is named: give --product NAME, as the vendor calls it"])
    try:
        return check_product(named), check_platform(frame.arguments.platform or host_platform())
    except Refused as err:
        raise SettingsRefused([err.message]) from err


def _warn_of_portals(frame: Frame, settings: Settings, line: EnrolLine) -> None:
    if settings.portals and line.portal not in settings.portals:
        named = ", ".join(settings.portals)
        frame.output.talk(f"updater.toml names portals ({named}): these are asked, not {line.portal}")


def _paths(frame: Frame) -> Paths:
    base = frame.base()
    if find_stat(Paths(base).settings) is None:
        return Paths(base, frame.arguments.engine_folder)
    return Paths(base, load_settings(base, environ=os.environ, flags={}).engine_folder)


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
