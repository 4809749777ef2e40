"""Writes deploy/*.service, or the same into another folder: the units as the README installs them.

`service install` writes the same from the same templates, with the values of the host. Run by `make units`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from engineshed_client.units import UpdaterService
from engineshed_server.serve.unit import PortalService
from engineshed_server.settings import load_settings

DEPLOY = Path(__file__).resolve().parent
SCRIPTS = Path("/opt/engineshed/bin")
INTERPRETER = Path("/usr")
CONFIG = Path("/etc/engineshed/portal.toml")
BASE = Path("/opt/engine")


def main(arguments: list[str]) -> int:
    """Write into the folder that is named, or into deploy/."""
    folder = Path(arguments[0]) if arguments else DEPLOY
    portal = PortalService(
        settings=load_settings(DEPLOY / "portal.toml.example", {}),
        user="engineshed",
        instance=None,
        config=CONFIG,
        assignments=(),
        scripts=SCRIPTS,
        interpreter=INTERPRETER,
    )
    updater = UpdaterService(
        base=BASE,
        user="engine",
        instance=None,
        engine_units=(),
        scripts=SCRIPTS,
        interpreter=INTERPRETER,
    )
    for unit in (portal.unit(), *updater.units()):
        (folder / unit.name).write_text(unit.text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
