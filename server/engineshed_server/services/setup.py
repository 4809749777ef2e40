"""``init``: make a portal out of nothing, once.

The vendor's root is given by the operator, who got it beside the software. The portal draws its id, the
key of the access tokens and two order keys: the active one stays, the standby one is written out to be
taken away, so that a lost or stolen order key can be replaced without visiting any engine.

The portal's row is written last: killed before that, ``init`` may simply run again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root

from engineshed_packages.files import write_file
from engineshed_packages.ids import new_id
from engineshed_packages.order_keys import make_order_key
from engineshed_server.db import configurations, schema
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.db.database import Database
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.configurations import Configuration
from engineshed_server.errors import SetupRefused
from engineshed_server.services.access_tokens import KEY_BYTES
from engineshed_server.services.owner_links import OwnerLink, make_owner_link
from engineshed_server.settings import Settings
from engineshed_server.storage.folders import Folders

SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What was made.

    Attributes:
        standby_key: a private key file to be taken away and kept offline.
        owner_link: makes the first owner, once, within a day.
    """

    portal_id: str
    order_key_fingerprint: str
    standby_key: Path
    owner_link: OwnerLink


def initialise(settings: Settings, *, root: bytes, now: datetime) -> Initialised:
    """Make data folder, secrets and database of a portal that trusts *root*.

    Raises:
        SetupRefused: ``setup-exists``, ``setup-root``, ``setup-folder``, ``database-url``.
        TryLater: the database is away.
    """
    _check_root(root)
    folders = Folders(settings.data_dir)
    database = Database(_make_folders(settings, folders))
    try:
        database.create_file()
        if schema.find_revision(database) is None:
            schema.upgrade(database)
        with database.read() as session:
            existing = portal_rows.find_portal_id(session)
        if existing is not None:
            raise SetupRefused(
                "setup-exists",
                f"{settings.data_dir} already holds the portal {existing}: nothing was changed",
            )
        return _initialise(settings, database, root=root, now=now)
    finally:
        database.close()


def _make_folders(settings: Settings, folders: Folders) -> str:
    """Make the folders; returns the database's URL, which may lie in one of them."""
    try:
        folders.data.mkdir(parents=True, exist_ok=True, mode=0o750)
        folders.secrets.mkdir(exist_ok=True, mode=0o700)
        for folder in (folders.trust, folders.metadata, folders.blobs, folders.incoming):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as err:
        raise SetupRefused(
            "setup-folder", f"{err.filename}: {err.strerror}; expected a folder this user may write"
        ) from err
    return settings.database_url


def _initialise(settings: Settings, database: Database, *, root: bytes, now: datetime) -> Initialised:
    folders = Folders(settings.data_dir)
    portal_id = new_id("ptl")
    active_pem, active = make_order_key()
    standby_pem, standby = make_order_key()
    write_file(folders.trusted_root, root)
    write_file(folders.access_key, secrets.token_bytes(KEY_BYTES), mode=SECRET_MODE)
    write_file(folders.order_key, active_pem, mode=SECRET_MODE)
    write_file(folders.standby_order_key, standby_pem, mode=SECRET_MODE)
    with database.write() as session:
        portal_rows.add_portal(session, portal_id, active=active, standby=standby, now=now)
        first = Configuration(number=configurations.FIRST, active=active, standby=standby)
        configurations.add_configuration(session, first, now=now)
        details = {"order_key": active.keyid, "standby_key": standby.keyid}
        add_audit(
            session, "portal-initialised", subject=portal_id, actor=Actor("cli"), now=now, details=details
        )
        link = make_owner_link(session, public_url=settings.public_url, actor=Actor("cli"), now=now)
    return Initialised(
        portal_id=portal_id,
        order_key_fingerprint=active.fingerprint,
        standby_key=folders.standby_order_key,
        owner_link=link,
    )


def _check_root(data: bytes) -> None:
    """Refuse what is no root, or one that its own keys did not sign."""
    try:
        root = Metadata[Root].from_bytes(data)
        if not isinstance(root.signed, Root):
            raise SetupRefused(
                "setup-root",
                f"the vendor's root is expected, as it was handed out in root.json; found TUF metadata of "
                f"{root.signed.type}",
            )
        root.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)
    except (RepositoryError, ValueError) as err:
        raise SetupRefused(
            "setup-root",
            "the vendor's root is expected, as it was handed out in root.json; found no root metadata that "
            f"its own keys signed: {err}",
        ) from err
