"""Enrolment: this host joins a portal, once; or anew, when its identity was lost, revoked or taken over.

The enrolment line carries the portal's address, a one-time token and fingerprints of the portal's order
keys and CA. Nothing is written before all of them were found right; the identity is written last,
so that a base is enrolled wholly or not at all. The vendor's root comes from a file that came with the
updater, never from a portal: a portal must not choose whose signatures count. What the portal publishes
is held against that root before the token is sent, so that a wrong file does not use the token up.

Who joins anew keeps everything but the identity: above all ``seen.json``, so that order numbers, metadata
versions and floors never go back. The identity from before is replaced in one step, once the new one is on
the disk.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from engineshed_client.errors import (
    ContentRefused,
    EnrolmentRefused,
    PortalUnavailable,
    SettingsRefused,
    TryLater,
    client_boundary,
)
from engineshed_client.fetch import MAX_ROOT_BYTES, http_client
from engineshed_client.fsops import FsOps, find_stat
from engineshed_client.heard import HeardFile
from engineshed_client.paths import Paths
from engineshed_client.settings import CA_NAME
from engineshed_packages import __version__
from engineshed_packages.enrolment import EnrolAnswer, EnrolLine, EnrolRequest, fingerprint
from engineshed_packages.errors import FileRefused, MetadataRefused, Missing, ProtocolRefused, SourceRefused
from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import Fields, escape_controls, read_object
from engineshed_packages.metadata import View, verify_view
from engineshed_packages.protocol import MAX_ANSWER_BYTES
from engineshed_packages.sources import HttpSource
from engineshed_packages.transport import HttpRefused
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)

ROOT_NAME = "trusted_root.json"
MAX_CA_BYTES = 1024 * 1024
VENDOR = "vendor"  # the repository whose metadata every portal serves to anybody
# Faults that say nothing about whose portal it is: it has no release yet, or was long without its vendor.
_NO_STRANGER = frozenset({"metadata-missing", "metadata-expired"})


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
        fault = f"{paths.credentials}: {err.message}; restore it, or run engineshed-client enrol --again"
        raise SettingsRefused([fault]) from err


def enrol(joining: Joining, paths: Paths, fs: FsOps) -> EnrolAnswer:
    """Join the portal of ``joining.line`` and write what the updater needs.

    Raises:
        EnrolmentRefused: codes ``already-enrolled``, ``ca-fingerprint``, ``order-key-fingerprint``,
            ``standby-key-fingerprint``, or the portal's: a wrong, used or expired token. Nothing was written.
        ContentRefused: codes ``trusted-root`` (the file is no root metadata) and ``metadata-signature`` (the
            portal's vendor is another one). Nothing was written, and the token is good still. So it is after
            an EnrolmentRefused with code ``product-unknown``: the vendor has no product of that name.
        PortalUnavailable: nothing was written.
        SettingsRefused: a file that is named does not exist. Nothing was written.
        DiskTrouble: the files could not be written; the token is used up.
    """
    check_not_enrolled(paths)
    new = _join(joining, paths, fs)
    with client_boundary(), fs.lock(paths.lock):
        check_not_enrolled(paths)
        new.write(joining, paths, fs)
    return new.answer


def enrol_again(joining: Joining, paths: Paths, fs: FsOps) -> EnrolAnswer:
    """Join although this base has an identity, or a damaged one; the caller holds the updater's lock.

    Raises:
        TryLater: code ``attempt-under-way``: the identity from before has to end it.
        EnrolmentRefused, ContentRefused, PortalUnavailable, SettingsRefused: as ``enrol``; the identity from
            before is as it was.
        DiskTrouble: as ``enrol``.
    """
    if find_stat(paths.journal) is not None:
        raise TryLater(
            "attempt-under-way",
            f"an attempt is under way in {paths.base}: let it end, or run engineshed-client recover first",
        )
    new = _join(joining, paths, fs)
    with client_boundary():
        new.write(joining, paths, fs)
        HeardFile(paths, fs).forget()
    return new.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _New:
    """What is to be written once the portal has taken this host in."""

    answer: EnrolAnswer
    root: bytes
    ca: bytes | None

    def write(self, joining: Joining, paths: Paths, fs: FsOps) -> None:
        """Write it, the identity last."""
        if self.ca is not None:
            fs.write_file(paths.update / CA_NAME, self.ca)
        fs.write_file(paths.update / ROOT_NAME, self.root)
        if find_stat(paths.settings) is None:
            fs.write_file(paths.settings, _settings_text(joining, paths).encode("utf-8"))
        # Whether it waits for approval is heard with each poll, not read from here.
        identity = replace(self.answer, waiting=False)
        fs.write_file(paths.credentials, identity.to_bytes(), mode=0o600)
        logger.info("enrolled", extra={"engine": self.answer.engine, "portal": joining.line.portal})


def _join(joining: Joining, paths: Paths, fs: FsOps) -> _New:
    """Everything up to the portal's answer; nothing is written."""
    root = _read_root(joining, paths)
    ca = _read_ca(joining)
    _check_vendor(joining, paths, fs, root=root)
    answer = _ask_portal(joining)
    _check_order_keys(answer, joining.line)
    return _New(answer=answer, root=root, ca=ca)


def _check_order_keys(answer: EnrolAnswer, line: EnrolLine) -> None:
    """Hold the served order keys against the line: each of them can sign orders that count."""
    served = [key.fingerprint for key in answer.order_keys]
    if served[0] != line.order_key:
        raise EnrolmentRefused(
            "order-key-fingerprint",
            f"{line.portal} serves the order key {served[0]}, the enrolment line says "
            f"{line.order_key}: this is not the portal that made the line; nothing was written",
        )
    if line.standby is not None and served[1:] != [line.standby]:
        raise EnrolmentRefused(
            "standby-key-fingerprint",
            f"{line.portal} serves the standby key {served[1] if served[1:] else 'none'}, the enrolment line "
            f"says {line.standby}: this is not the portal that made the line; nothing was written",
        )


def check_not_enrolled(paths: Paths) -> None:
    """Pass a base that has no identity yet.

    Raises:
        EnrolmentRefused: code ``already-enrolled``.
    """
    known = read_credentials(paths)
    if known is not None:
        raise EnrolmentRefused(
            "already-enrolled",
            f"{paths.base} is enrolled already, as {known.engine} at {known.portals[0]}; to give it another "
            "identity, use --again",
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


def _check_vendor(joining: Joining, paths: Paths, fs: FsOps, *, root: bytes) -> None:
    """Hold what the portal publishes against the vendor's root; a portal without a release passes."""
    portal = joining.line.portal
    with (
        client_boundary(),
        # In the base, because nothing outside it is ever written; gone before anything is kept.
        fs.scratch_folder(paths.base) as cache,
        http_client(joining.ca_file) as client,
    ):
        source = HttpSource(client, f"{portal}/repo/v1/{VENDOR}")
        try:
            view = verify_view(source, cache=cache, trusted_root=root, now=datetime.now(UTC))
        except MetadataRefused as err:
            if err.code in _NO_STRANGER:
                logger.info("vendor's metadata not usable yet", extra={"portal": portal, "code": err.code})
                return
            if err.code != "metadata-signature":
                raise
            raise ContentRefused(
                err.code,
                f"{portal} publishes for another vendor than that of {joining.trusted_root or ROOT_NAME} "
                f"({err.message}); nothing was written and the token was not used: give --trusted-root the "
                "root of the portal's vendor, or take a line of the right portal",
            ) from err
        except (SourceRefused, Missing) as err:
            raise PortalUnavailable(err.code, err.message) from err
    _check_vendors_product(joining.product, view)


def _check_vendors_product(product: str, view: View) -> None:
    """Pass a product the vendor has, released or not yet."""
    if product not in view.products:
        known = ", ".join(view.products) or "none at all yet"
        raise EnrolmentRefused(
            "product-unknown",
            f"the portal's vendor has no product {product!r}, but {known}; "
            "nothing was written and the token was not used: correct --product, or `product` in updater.toml",
        )


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
