"""The client verifies without `cryptography`: the single file carries no compiled code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import engineshed_packages
from tests.vendor import Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


_WITHOUT = """
import sys
from datetime import datetime, UTC
from pathlib import Path

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cryptography", "_cffi_backend", "nacl"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
from engineshed_packages.errors import MetadataRefused
from engineshed_packages.metadata import open_view
from engineshed_packages.sources import FolderSource

repository, root, cache = map(Path, sys.argv[1:])
try:
    now = datetime.now(UTC)
    view = open_view(FolderSource(repository), cache=cache, trusted_root=root.read_bytes(), now=now)
    print("verified", len(view.targets))
except MetadataRefused as err:
    print("refused", err.code)
assert "cryptography" not in sys.modules
"""


def verify_without_cryptography(repository: Path, root: Path, cache: Path) -> str:
    folder = str(Path(engineshed_packages.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, str(repository), str(root), str(cache)],
        env={"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_repository_is_verified_without_cryptography(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    found = verify_without_cryptography(vendor.repository.folder, vendor.root_file, cache)
    assert found == "verified 1"


def test_a_stranger_is_refused_without_cryptography(vendor: Vendor, tmp_path: Path, cache: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    found = verify_without_cryptography(stranger.repository.folder, vendor.root_file, cache)
    assert found == "refused metadata-signature"
