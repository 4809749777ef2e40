"""The vendor's signing keys: Ed25519, one encrypted PKCS#8 PEM per key, its public half beside it.

    <folder>/online.pem  online.pub  root-1.pem  root-1.pub  product-<name>.pem …

A key is found by its id, never by its file's name: whoever signs a role asks for the ids the role lists,
and only those files are decrypted. Keys of other people may lie there as ``.pub`` alone.

Signing needs `cryptography` (extra ``[sign]``), imported only here and only when a key is made or opened;
verifying works without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from securesystemslib.signer import SSlibKey

from engineshed_packages.errors import KeyUnusable, PackagesError
from engineshed_packages.files import read_limited, write_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import Signer

# PKCS#8 as OpenSSL writes it stretches a passphrase by 2,048 rounds only: its length must do the work.
MIN_PASSPHRASE_CHARS = 12
_MAX_KEY_BYTES = 16 * 1024
_PRIVATE = ".pem"
_PUBLIC = ".pub"
_USUAL_NAMES = {"root": "root-1", "targets": "targets", "snapshot": "online", "timestamp": "online"}


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key of a folder: its *name* there, its public half, and whether the private half is there too."""

    name: str
    public: SSlibKey
    has_private: bool


class KeyFolder:
    """The keys in *folder*, all under one *passphrase*.

    Args:
        folder: made, closed to others, when the first key is generated.
        passphrase: at least 12 characters; asked for by whoever makes this object, never in argv.

    Raises:
        KeyUnusable: code ``passphrase-short``.
    """

    def __init__(self, folder: Path, passphrase: str) -> None:
        if len(passphrase) < MIN_PASSPHRASE_CHARS:
            raise KeyUnusable(
                "passphrase-short",
                f"the passphrase has {len(passphrase)} characters, expected at least {MIN_PASSPHRASE_CHARS}",
            )
        self.folder = folder
        self._passphrase = passphrase.encode("utf-8")

    def generate(self, name: str) -> SSlibKey:
        """Make the key *name*; return its public half.

        Raises:
            KeyUnusable: codes ``key-exists``, ``sign-extra-missing``.
            OSError: it cannot be written.
        """
        _need_cryptography()
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        path = self.folder / f"{name}{_PRIVATE}"
        if path.exists():
            raise KeyUnusable("key-exists", f"{path} exists: a key is never overwritten")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(self._passphrase),
        )
        public = SSlibKey.from_crypto(private.public_key())
        text = json.dumps({"keyid": public.keyid, **public.to_dict()}, indent=1, sort_keys=True) + "\n"
        write_file(path, pem, mode=0o600)
        write_file(path.with_suffix(_PUBLIC), text.encode("ascii"))
        return public

    def files(self) -> tuple[KeyFile, ...]:
        """All keys whose public half is here, by name; other people's too.

        Raises:
            KeyUnusable: code ``key-unreadable``.
        """
        return list_keys(self.folder)

    def new_name(self, stem: str) -> str:
        """A name no key has here: *stem*, or *stem* with the next number; root keys are numbered from 1."""
        taken = {path.stem for path in self.folder.glob("*.p*") if path.suffix in (_PRIVATE, _PUBLIC)}
        names = (stem if number == 1 and stem != "root" else f"{stem}-{number}" for number in count(1))
        return next(name for name in names if name not in taken)

    def signer(self, name: str) -> Signer:
        """Open the key *name*.

        Raises:
            KeyUnusable: codes ``key-missing``, ``passphrase-wrong``, ``key-unreadable``,
                ``sign-extra-missing``.
        """
        _need_cryptography()
        from securesystemslib.signer import CryptoSigner

        found = next((file for file in self.files() if file.name == name and file.has_private), None)
        if found is None:
            expected = f"expected {name}{_PRIVATE} and {name}{_PUBLIC} in {self.folder}"
            raise KeyUnusable("key-missing", f"{expected}: not both exist")
        return CryptoSigner(self._open(found), found.public)

    def signers(self, keyids: Iterable[str], *, threshold: int, what: str) -> list[Signer]:
        """Open the keys among *keyids* that are here, at least *threshold* of them, to sign *what*.

        Raises:
            KeyUnusable: codes ``key-missing``, ``passphrase-wrong``, ``key-unreadable``,
                ``sign-extra-missing``.
        """
        _need_cryptography()
        from securesystemslib.signer import CryptoSigner

        wanted = set(keyids)
        found = [file for file in self.files() if file.public.keyid in wanted and file.has_private]
        if len(found) < threshold:
            short = ", ".join(sorted(keyid[:12] for keyid in wanted))
            raise KeyUnusable(
                "key-missing",
                f"signing {what} needs {threshold} of the keys {short}, found {len(found)} in {self.folder}: "
                f"expected {self._missing(wanted, what)} there",
            )
        return [CryptoSigner(self._open(file), file.public) for file in found]

    def _missing(self, wanted: set[str], what: str) -> str:
        """Names of the files that are not there; without their public halves, as ``create`` names them."""
        known = [file for file in self.files() if file.public.keyid in wanted]
        names = [self._path(file).name for file in known if not file.has_private]
        return ", ".join(names) or f"{_USUAL_NAMES.get(what, f'product-{what}')}{_PRIVATE}"

    def _path(self, file: KeyFile) -> Path:
        return self.folder / f"{file.name}{_PRIVATE}"

    def _open(self, file: KeyFile) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = self._path(file)
        try:
            private = load_pem_private_key(read_limited(path, _MAX_KEY_BYTES), self._passphrase)
        except TypeError as err:
            raise KeyUnusable("key-unreadable", f"{path} is not encrypted: such a key is not used") from err
        except ValueError as err:
            message = f"{path} cannot be opened: is the passphrase right? ({err})"
            raise KeyUnusable("passphrase-wrong", message) from err
        except PackagesError as err:
            raise KeyUnusable("key-unreadable", err.message) from err
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyUnusable("key-unreadable", f"{path} holds no Ed25519 key")
        if private.public_key().public_bytes_raw().hex() != file.public.keyval["public"]:
            raise KeyUnusable("key-unreadable", f"{path} does not belong to {file.name}{_PUBLIC} beside it")
        return private


def list_keys(folder: Path) -> tuple[KeyFile, ...]:
    """All keys whose public half is in *folder*, by name. No passphrase is needed for that.

    Raises:
        KeyUnusable: code ``key-unreadable``.
    """
    paths = sorted(folder.glob(f"*{_PUBLIC}"))
    return tuple(
        KeyFile(path.stem, read_public_key(path), path.with_suffix(_PRIVATE).exists()) for path in paths
    )


def read_public_key(path: Path) -> SSlibKey:
    """The public half of a key in the file *path*, as ``generate`` writes it.

    Raises:
        KeyUnusable: code ``key-unreadable``.
    """
    try:
        values = json.loads(read_limited(path, _MAX_KEY_BYTES))
        return SSlibKey.from_dict(values.pop("keyid"), values)
    except (PackagesError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise KeyUnusable("key-unreadable", f"{path} is no public key: {err}") from err


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401  # only whether it is there
    except ImportError as err:
        raise KeyUnusable(
            "sign-extra-missing", "signing needs the package cryptography: pip install 'engineshed[sign]'"
        ) from err
