"""Where everything lies in the data folder; one volume, because files move by rename.

engineshed.db               the database, when it is SQLite
secrets/access.key          signs engines' access tokens (0600, in a 0700 folder)
secrets/order.pem           signs orders: the first key (0600); later ones are order-….pem
standby-order-key.pem       written by ``init``, to be taken away and kept offline
trusted_root.json           the vendor's root, given at ``init``
trust/                      what of the vendor's metadata is verified
repo/vendor/metadata/       what of it is published
blobs/ab/<sha256>           packages
incoming/                   uploads that are still arriving: <id>.part in pieces, <random>.tmp at once
ingest.lock                 held while a bundle is ingested
messages/                   what rings for jobs: only their ids, and nothing is lost with it
scratch/                    what the processes of a worker share while they run
meters/                     what the web server's processes have counted since it was started
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Folders:
    """The paths below one data folder; nothing is created by asking for them."""

    data: Path

    @property
    def secrets(self) -> Path:
        """Folder of the secrets, 0700."""
        return self.data / "secrets"

    @property
    def access_key(self) -> Path:
        """Key of the access tokens."""
        return self.secrets / "access.key"

    @property
    def order_key(self) -> Path:
        """The first private order key."""
        return self.secrets / "order.pem"

    @property
    def standby_order_key(self) -> Path:
        """The standby private order key, until somebody takes it away."""
        return self.data / "standby-order-key.pem"

    @property
    def trusted_root(self) -> Path:
        """The vendor's root metadata."""
        return self.data / "trusted_root.json"

    @property
    def trust(self) -> Path:
        """Folder of ``TrustedStates``."""
        return self.data / "trust"

    @property
    def metadata(self) -> Path:
        """Folder of ``PublishedMetadata``."""
        return self.data / "repo" / "vendor" / "metadata"

    @property
    def blobs(self) -> Path:
        """Folder of ``LocalBlobs``."""
        return self.data / "blobs"

    @property
    def incoming(self) -> Path:
        """Folder of uploads that are still arriving."""
        return self.data / "incoming"

    @property
    def ingest_lock(self) -> Path:
        """Lock file of the ingest."""
        return self.data / "ingest.lock"

    @property
    def messages(self) -> Path:
        """Folder of the messages to workers, 0700; unused with another broker."""
        return self.data / "messages"

    @property
    def scratch(self) -> Path:
        """Folder of what the processes of a worker share while they run: by node and process."""
        return self.data / "scratch"

    @property
    def meters(self) -> Path:
        """Folder of the counts of all web server processes, 0700."""
        return self.data / "meters"
