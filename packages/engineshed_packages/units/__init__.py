"""Service units of systemd: made from a template and real values, recognised again, put in place.

Both sides install services by this: the portal's unit, the updater's and the recovery's. Invariants:

- A unit that we wrote and nobody changed is replaced without asking; one that was changed by hand is
  never lost: its text is compared with the digest in its own first lines (``text``).
- What an admin wants otherwise goes into a drop-in (``systemctl edit``), which is never touched.
- Nothing is written before everything was checked.
"""

from __future__ import annotations

from engineshed_packages.units.places import (
    ROOT,
    Account,
    check_readable,
    find_account,
    owner_of,
    protect_home,
    refuse_temporary,
)
from engineshed_packages.units.system import Found, Installed, System, UnitEdited
from engineshed_packages.units.text import (
    Unit,
    check_account,
    check_instance,
    check_unit_name,
    command_line,
    fill,
    path_word,
    render,
)

__all__ = [
    "ROOT",
    "Account",
    "Found",
    "Installed",
    "System",
    "Unit",
    "UnitEdited",
    "check_account",
    "check_instance",
    "check_readable",
    "check_unit_name",
    "command_line",
    "fill",
    "find_account",
    "owner_of",
    "path_word",
    "protect_home",
    "refuse_temporary",
    "render",
]
