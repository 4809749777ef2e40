"""Signing keys: encrypted on disk, found by id, and never opened by chance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import engineshed_packages
from engineshed_packages.errors import KeyUnusable
from engineshed_packages.repository.keys import KeyFolder

PASSPHRASE = "correct horse battery"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys", PASSPHRASE)


def unusable(keys: KeyFolder, keyids: list[str], *, threshold: int = 1) -> str:
    with pytest.raises(KeyUnusable) as caught:
        keys.signers(keyids, threshold=threshold, what="root")
    return caught.value.code


def test_a_key_is_an_encrypted_pkcs8_pem(keys: KeyFolder) -> None:
    keys.generate("online")
    assert (keys.folder / "online.pem").read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")


def test_a_key_can_be_read_by_its_owner_only(keys: KeyFolder) -> None:
    keys.generate("online")
    assert (keys.folder / "online.pem").stat().st_mode & 0o777 == 0o600
    assert keys.folder.stat().st_mode & 0o777 == 0o700


def test_a_signature_of_a_key_verifies_with_its_public_half(keys: KeyFolder) -> None:
    public = keys.generate("online")
    (signer,) = keys.signers([public.keyid], threshold=1, what="timestamp")
    public.verify_signature(signer.sign(b"data"), b"data")


def test_a_key_is_found_by_its_id_whatever_its_file_is_called(keys: KeyFolder) -> None:
    public = keys.generate("online")
    for suffix in (".pem", ".pub"):
        (keys.folder / f"online{suffix}").rename(keys.folder / f"whatever{suffix}")
    assert len(keys.signers([public.keyid], threshold=1, what="timestamp")) == 1


def test_only_the_keys_that_are_asked_for_are_opened(keys: KeyFolder) -> None:
    wanted = keys.generate("online")
    keys.generate("root-1")
    (keys.folder / "root-1.pem").write_bytes(b"locked away")
    assert len(keys.signers([wanted.keyid], threshold=1, what="timestamp")) == 1


def test_a_key_is_never_overwritten(keys: KeyFolder) -> None:
    keys.generate("online")
    with pytest.raises(KeyUnusable) as caught:
        keys.generate("online")
    assert caught.value.code == "key-exists"


def test_a_wrong_passphrase_is_named(keys: KeyFolder) -> None:
    public = keys.generate("online")
    assert unusable(KeyFolder(keys.folder, "something else entirely"), [public.keyid]) == "passphrase-wrong"


def test_a_passphrase_that_is_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable) as caught:
        KeyFolder(tmp_path, "short")
    assert caught.value.code == "passphrase-short"


def test_a_key_that_is_not_encrypted_is_not_used(keys: KeyFolder) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    public = keys.generate("online")
    plain = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (keys.folder / "online.pem").write_bytes(plain)
    assert unusable(keys, [public.keyid]) == "key-unreadable"


def test_a_key_whose_halves_do_not_belong_together_is_not_used(keys: KeyFolder) -> None:
    public = keys.generate("online")
    keys.generate("other")
    (keys.folder / "other.pem").rename(keys.folder / "online.pem")
    assert unusable(keys, [public.keyid]) == "key-unreadable"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keyid": "a"}', "no json"])
def test_a_public_half_that_cannot_be_read_is_named(keys: KeyFolder, text: str) -> None:
    public = keys.generate("online")
    (keys.folder / "online.pub").write_text(text)
    assert unusable(keys, [public.keyid]) == "key-unreadable"


def test_fewer_keys_than_the_threshold_cannot_sign(keys: KeyFolder) -> None:
    public = keys.generate("root-1")
    assert unusable(keys, [public.keyid, "0" * 64], threshold=2) == "key-missing"


def test_a_public_half_alone_signs_nothing(keys: KeyFolder) -> None:
    public = keys.generate("root-1")
    (keys.folder / "root-1.pem").unlink()
    assert unusable(keys, [public.keyid]) == "key-missing"


def test_signing_without_cryptography_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['cryptography'] = None\n"
        "from pathlib import Path\n"
        "from engineshed_packages.errors import KeyUnusable\n"
        "from engineshed_packages.repository.keys import KeyFolder\n"
        "try:\n"
        "    KeyFolder(Path(sys.argv[1]), 'long enough a phrase').generate('online')\n"
        "except KeyUnusable as err:\n"
        "    print(err.code, err)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PYTHONPATH": str(Path(engineshed_packages.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("sign-extra-missing ")
    assert "engineshed[sign]" in done.stdout
