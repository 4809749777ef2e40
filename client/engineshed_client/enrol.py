"""Enrolment: this host joins a portal, once.

The enrolment line carries the portal's address, a one-time token and fingerprints of the portal's order
key and CA. Nothing is written before both fingerprints were found right; the identity is written last,
so that a base is enrolled wholly or not at all. The vendor's root comes from a file that came with the
updater, never from a portal: a portal must not choose whose signatures count.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass
from pathlib import Path

from engineshed_client.errors import (
    ContentRefused,
    EnrolmentRefused,
    PortalUnavailable,
    SettingsRefused,
    client_boundary,
)
from engineshed_client.fetch import MAX_ROOT_BYTES, http_client
from engineshed_client.fsops import FsOps, find_stat
from engineshed_client.paths import Paths
from engineshed_packages import __version__
from engineshed_packages.enrolment import EnrolAnswer, EnrolLine, EnrolRequest, fingerprint
from engineshed_packages.errors import FileRefused, Missing, ProtocolRefused, SourceRefused
from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import Fields, escape_controls, read_object
from engineshed_packages.protocol import MAX_ANSWER_BYTES
from engineshed_packages.transport import HttpRefused
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)

ROOT_NAME = "trusted_root.json"
CA_NAME = "ca.pem"
MAX_CA_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """What an admin gives when a host joins.

    Attributes:
        line: the pasted line. trusted_root: file with the vendor's root metadata, None when the base has
            one already. ca_file: file with the portal's CA, None for the system's CAs.
        version: of the engine that is installed already, None when there is none.
    """

    line: EnrolLine
    product: str
    platform: str
    trusted_root: Path | None
    ca_file: Path | None
    version: Version | None


def read_credentials(paths: Paths) -> EnrolAnswer | None:
    """The engine's identity, or None before enrolment.

    Raises:
        SettingsRefused: the file is there and cannot be read.
    """
    try:
        return EnrolAnswer.from_bytes(read_limited(paths.credentials, MAX_ANSWER_BYTES))
    except FileRefused as err:
        if err.code == "file-missing":
            return None
        raise SettingsRefused([err.message]) from err
    except ProtocolRefused as err:
        fault = f"{paths.credentials}: {err.message}; restore it, or remove it and enrol again"
        raise SettingsRefused([fault]) from err


def enrol(joining: Joining, paths: Paths, fs: FsOps) -> EnrolAnswer:
    """Join the portal of ``joining.line`` and write what the updater needs.

    Raises:
        EnrolmentRefused: codes ``already-enrolled``, ``ca-fingerprint``, ``order-key-fingerprint``, or the
            portal's: a wrong, used or expired token. Nothing was written.
        ContentRefused: code ``trusted-root``: the file is no root metadata. Nothing was written.
        PortalUnavailable: nothing was written.
        SettingsRefused: a file that is named does not exist. Nothing was written.
        DiskTrouble: the files could not be written; the token is used up.
    """
    check_not_enrolled(paths)
    root = _read_root(joining, paths)
    ca = _read_ca(joining)
    answer = _ask_portal(joining)
    served = answer.order_keys[0].fingerprint
    if served != joining.line.order_key:
        raise EnrolmentRefused(
            "order-key-fingerprint",
            f"{joining.line.portal} serves the order key {served}, the enrolment line says "
            f"{joining.line.order_key}: this is not the portal that made the line; nothing was written",
        )
    with client_boundary(), fs.lock(paths.lock):
        check_not_enrolled(paths)
        if ca is not None:
            fs.write_file(paths.update / CA_NAME, ca)
        fs.write_file(paths.update / ROOT_NAME, root)
        if find_stat(paths.settings) is None:
            fs.write_file(paths.settings, _settings_text(joining, paths).encode("utf-8"))
        fs.write_file(paths.credentials, answer.to_bytes(), mode=0o600)
    logger.info("enrolled", extra={"engine": answer.engine, "portal": joining.line.portal})
    return answer


def check_not_enrolled(paths: Paths) -> None:
    """Pass a base that has no identity yet.

    Raises:
        EnrolmentRefused: code ``already-enrolled``.
    """
    known = read_credentials(paths)
    if known is not None:
        raise EnrolmentRefused(
            "already-enrolled",
            f"{paths.base} is enrolled already, as {known.engine} at {known.portals[0]}; to enrol it anew, "
            f"revoke that engine on its portal, remove {paths.credentials} and start again",
        )


def _read_root(joining: Joining, paths: Paths) -> bytes:
    path = joining.trusted_root or paths.update / ROOT_NAME
    try:
        data = read_limited(path, MAX_ROOT_BYTES)
        signed = Fields(read_object(data, what="root metadata", max_bytes=MAX_ROOT_BYTES), "root metadata")
        kind = (signed.object_or_none("signed") or {}).get("_type")
    except FileRefused as err:
        fault = f"{err.message}: give --trusted-root FILE, the vendor's root that came with the updater"
        raise SettingsRefused([fault]) from err
    except ProtocolRefused as err:
        raise ContentRefused("trusted-root", f"{path}: {err.message}") from err
    if kind != "root":
        raise ContentRefused("trusted-root", f"{path} is metadata of type {kind!r:.40}, expected 'root'")
    return data


def _read_ca(joining: Joining) -> bytes | None:
    """The CA's bytes, when the line names a CA or a file is given.

    Raises:
        EnrolmentRefused: code ``ca-fingerprint``.
    """
    wanted = joining.line.ca
    if joining.ca_file is None:
        if wanted is None:
            return None
        raise SettingsRefused(
            [f"the enrolment line names the CA {wanted}: give --ca-file FILE, that CA's certificate as PEM"]
        )
    try:
        data = read_limited(joining.ca_file, MAX_CA_BYTES)
    except FileRefused as err:
        raise SettingsRefused([f"ca_file: {err.message}"]) from err
    if wanted is not None and fingerprint(data) != wanted:
        raise EnrolmentRefused(
            "ca-fingerprint",
            f"{joining.ca_file} has the fingerprint {fingerprint(data)}, the enrolment line says {wanted}: "
            "this is not the portal's CA; nothing was written",
        )
    return data


def _ask_portal(joining: Joining) -> EnrolAnswer:
    request = EnrolRequest(
        token=joining.line.token,
        product=joining.product,
        platform=joining.platform,
        version=joining.version,
        host_name=escape_controls(socket.gethostname())[:200],
        updater_version=__version__,
    )
    url = f"{joining.line.portal}/api/v1/enrol"
    with client_boundary(), http_client(joining.ca_file) as client:
        try:
            answer = client.post_json(url, request.to_bytes(), max_bytes=MAX_ANSWER_BYTES)
            return EnrolAnswer.from_bytes(answer.body)
        except HttpRefused as err:
            if err.problem is None:
                raise PortalUnavailable(err.code, err.message) from err
            raise EnrolmentRefused(err.problem, err.message) from err
        except (SourceRefused, ProtocolRefused, Missing) as err:
            raise PortalUnavailable(err.code, err.message) from err


def _settings_text(joining: Joining, paths: Paths) -> str:
    """A first ``updater.toml``; every value in it is plain ASCII by its own check."""
    lines = [
        "# Settings of the updater. The environment (ENGINESHED_<KEY>) and flags go before this file.",
        "# The portal's addresses are in credentials.json; `portals = [...]` here would replace them.",
        f'product = "{joining.product}"',
        f'platform = "{joining.platform}"',
    ]
    if joining.ca_file is not None:
        lines.append(f'ca_file = "{CA_NAME}"')
    if paths.engine_folder != Paths(paths.base).engine_folder:
        lines.append(f'engine_folder = "{paths.engine_folder}"')
    return "\n".join(lines) + "\n"
