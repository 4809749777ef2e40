"""Write the golden files: ``python -m tests.golden``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.golden.files import BUNDLE_NAME, FOLDER, MAKERS, PACKAGE_NAME, ROOT_NAME, make_package
from tests.vendor import Vendor


def main() -> None:
    """Write what can be made again; write the bundle only when there is none."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in MAKERS.items():
        (FOLDER / name).write_bytes(make())
    with tempfile.TemporaryDirectory() as scratch:
        (FOLDER / PACKAGE_NAME).write_bytes(make_package(Path(scratch)))
        if not (FOLDER / BUNDLE_NAME).exists():
            vendor = Vendor(Path(scratch))
            vendor.release("1.0.0")
            (FOLDER / BUNDLE_NAME).write_bytes(vendor.bundle("1.0.0").read_bytes())
            (FOLDER / ROOT_NAME).write_bytes(vendor.root)


if __name__ == "__main__":
    main()
