"""The context every use case is given: settings, keys, stores and the memory of one process.

Made by ``wiring.open_portal``; frozen: what changes lives behind its members.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from engineshed_server.db.database import Database
from engineshed_server.domain.configurations import Configuration
from engineshed_server.domain.metrics import Meters
from engineshed_server.services.access_tokens import AccessTokens
from engineshed_server.services.presence import Presence
from engineshed_server.services.snapshot import SnapshotHolder
from engineshed_server.services.token_use import TokenUse
from engineshed_server.settings import Settings
from engineshed_server.storage.blobs import BlobStore
from engineshed_server.storage.folders import Folders
from engineshed_server.storage.incoming import Incoming
from engineshed_server.storage.order_keys import OrderKeyFiles
from engineshed_server.storage.published import PublishedMetadata

REPOSITORY = "vendor"  # the one repository of a portal; its name is in the URL so that a second can come


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this portal is.

    Attributes:
        ca_fingerprint: of the CA file engines must pin, None when the system's CAs are meant.
        root: the vendor's root metadata, given at ``init``.
    """

    portal_id: str
    ca_fingerprint: str | None
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Portal:
    """Everything a use case needs.

    Attributes:
        keys: the private order keys that are here.
        repository: name of the vendor's repository, as in ``/repo/v1/<name>``.
        page_key: signs what pages keep in a browser: tokens of forms, and messages until they are shown.
        arrivals: set when an upload is complete, for the thread that takes it in.
    """

    settings: Settings
    folders: Folders
    identity: Identity
    database: Database
    blobs: BlobStore
    incoming: Incoming
    metadata: PublishedMetadata
    access: AccessTokens
    snapshot: SnapshotHolder
    keys: OrderKeyFiles
    presence: Presence
    token_use: TokenUse
    page_key: bytes
    meters: Meters
    repository: str = REPOSITORY
    arrivals: threading.Event = field(default_factory=threading.Event)

    @property
    def configuration(self) -> Configuration:
        """What engines are to know of this portal by now: its order keys and addresses; no SQL."""
        current = self.snapshot.current().configuration
        assert current is not None  # a portal is only opened once it was initialised
        return current

    def close(self) -> None:
        """Write what is buffered and give the database's connections back."""
        self.presence.flush(self.database)
        self.token_use.flush(self.database)
        self.meters.close()
        self.database.close()
