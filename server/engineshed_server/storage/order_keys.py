"""The private order keys of this portal on disk: ``secrets/order.pem`` and ``secrets/order-….pem``.

``order.pem`` is the first one, made by ``init``; a later one is named after its fingerprint. A file's name
says nothing about which key counts: that stands in the database, and a key is found by the ``keyid`` of what
is in the file. A former key stays for the engines that know no newer one, until it is retired.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from securesystemslib.signer import Signer

from engineshed_packages.enrolment import OrderKey
from engineshed_packages.errors import FileRefused, KeyUnusable
from engineshed_packages.files import fsync_folder, read_limited, write_file
from engineshed_packages.order_keys import load_order_signer
from engineshed_server.storage.folders import Folders

logger = logging.getLogger(__name__)

SECRET_MODE = 0o600
MAX_PEM_BYTES = 64 * 1024
_NAMED = 16  # hexadecimal digits of the keyid in a file's name


class OrderKeyFiles:
    """The private keys of one portal; each file is read once in a process, and again when one is missed."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._signers: dict[str, Signer] = {}
        self._lock = threading.Lock()

    def find_signer(self, key: OrderKey) -> Signer | None:
        """What signs with *key*; None when its private part is not here, or cannot be read."""
        with self._lock:
            if key.keyid not in self._signers:
                self._read()
            return self._signers.get(key.keyid)

    def is_stored(self, key: OrderKey) -> bool:
        """Whether its private part lies here now, readable, whatever is in memory."""
        with self._lock:
            return any(self._keyid_of(path) == key.keyid for path in self._files())

    def add(self, pem: bytes, key: OrderKey) -> None:
        """Store a private key, durably."""
        if self.find_signer(key) is None:
            write_file(self._path(key), pem, mode=SECRET_MODE)

    def remove(self, key: OrderKey) -> bool:
        """Remove the private part of *key*, durably; false when it was not here."""
        with self._lock:
            self._signers.pop(key.keyid, None)
            found = [path for path in self._files() if self._keyid_of(path) == key.keyid]
            for path in found:
                path.unlink()
            if found:
                fsync_folder(self._folders.secrets)
            return bool(found)

    def _path(self, key: OrderKey) -> Path:
        return self._folders.secrets / f"order-{key.keyid[:_NAMED]}.pem"

    def _files(self) -> list[Path]:
        return [self._folders.order_key, *sorted(self._folders.secrets.glob("order-*.pem"))]

    def _read(self) -> None:
        for path in self._files():
            found = _load(path)
            if found is not None:
                signer, key = found
                self._signers[key.keyid] = signer

    def _keyid_of(self, path: Path) -> str | None:
        found = _load(path)
        return None if found is None else found[1].keyid


def _load(path: Path) -> tuple[Signer, OrderKey] | None:
    try:
        return load_order_signer(read_limited(path, MAX_PEM_BYTES))
    except (FileRefused, KeyUnusable) as err:
        if err.code != "file-missing":
            logger.error("order key unusable", extra={"file": str(path), "reason": err.message})
        return None
