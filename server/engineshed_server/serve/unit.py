"""The portal's unit for systemd, made of the settings in force: where things are, and the least rights.

The template is ``unit_files/engineshed-portal.service``; ``deploy/`` holds the same with the values of the
README.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from engineshed_packages.errors import UnitRefused
from engineshed_packages.units import (
    Unit,
    check_account,
    check_instance,
    command_line,
    path_word,
    protect_home,
    refuse_temporary,
    render,
)
from engineshed_server.settings import Settings

PROGRAM = "engineshed-server"
PORTAL = "portal"
_TEMPLATE = "engineshed-portal.service"
_STATE = Path("/var/lib")
FIRST_FREE_PORT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalService:
    """What the unit of one portal is made of.

    Attributes:
        user: the account the portal runs as.
        instance: tells several portals on one host apart; None for the only one.
        config: the configuration file, absolute; None when there is none.
        assignments: single settings, ``section.key=value``.
        scripts: folder of the program, as ``/opt/engineshed/bin``.
        interpreter: folder of the Python it runs by, as ``/usr``.
    """

    settings: Settings
    user: str
    instance: str | None
    config: Path | None
    assignments: tuple[str, ...]
    scripts: Path
    interpreter: Path

    @property
    def needed(self) -> tuple[Path, ...]:
        """What the service must be able to read."""
        given = (self.config, self.settings.ca_file)
        return (self.scripts / PROGRAM, *(path for path in given if path is not None))

    def unit(self) -> Unit:
        """The unit.

        Raises:
            UnitRefused: a name or a place that cannot be.
        """
        instance = PORTAL if self.instance is None else f"{PORTAL}-{check_instance(self.instance)}"
        name = f"engineshed-{instance}.service"
        folders = self._writable()
        for path in (self.scripts, *folders):
            refuse_temporary(path, "the folder")
        values = {
            "UNIT": name,
            "DESCRIPTION": "Engineshed portal" + ("" if self.instance is None else f" {self.instance}"),
            "USER": check_account(self.user),
            "INSTANCE": instance,
            "COMMAND": command_line(self._command()),
            "DATA": _data_lines(folders),
            "CAPABILITIES": "CAP_NET_BIND_SERVICE" if self._port < FIRST_FREE_PORT else "",
            "PROTECT_HOME": protect_home((*self.needed, *folders, self.interpreter)),
        }
        template = files("engineshed_server").joinpath("unit_files", _TEMPLATE).read_text("utf-8")
        return Unit(name, render(template, values, command=self._install()))

    @property
    def _port(self) -> int:
        return int(self.settings.bind.rpartition(":")[2])

    def _command(self) -> list[str]:
        return [str(self.scripts / PROGRAM), "run", *self._options()]

    def _install(self) -> list[str]:
        """The command line that writes this unit."""
        name = [] if self.instance is None else ["--name", self.instance]
        return [PROGRAM, "service", "install", *self._options(), "--user", self.user, *name]

    def _options(self) -> list[str]:
        options = [] if self.config is None else ["--config", str(self.config)]
        for assignment in self.assignments:
            options += ["--set", assignment]
        return options

    def _writable(self) -> list[Path]:
        """The data folder, and that of an SQLite database elsewhere."""
        url = urlsplit(self.settings.database_url)
        folders = [self.settings.data_dir]
        if url.scheme.startswith("sqlite"):
            database = Path(url.path.removeprefix("/"))
            if not database.is_absolute():
                message = f"database.url names {database}, which a service cannot find: name it from / on"
                raise UnitRefused("unit-place", message)
            if not database.is_relative_to(self.settings.data_dir):
                folders.append(database.parent)
        return folders


def _data_lines(folders: list[Path]) -> str:
    """Below /var/lib systemd makes the folder and gives it to the user; elsewhere it must be there."""
    data, *more = folders
    lines = []
    if data.parent == _STATE:
        # 0710: an access list may let a web server through to the packages, see docs/deployment.md.
        lines += [f"StateDirectory={path_word(data.name)}", "StateDirectoryMode=0710"]
    else:
        more = [data, *more]
    if more:
        lines.append("ReadWritePaths=" + " ".join(path_word(str(folder)) for folder in more))
    return "\n".join(lines)
