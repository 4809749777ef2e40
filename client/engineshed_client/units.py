"""The units of one engine's updater for systemd: the updater's, and the recovery's before the engine.

The templates are in ``unit_files/``; ``deploy/`` holds the same with the values of the README.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from engineshed_packages.units import (
    ROOT,
    Unit,
    check_account,
    check_instance,
    check_unit_name,
    command_line,
    fill,
    path_word,
    protect_home,
    render,
)

UPDATER = "engineshed-updater"
RECOVER = "engineshed-recover"
_LAUNCHER = "engineshed_client.launcher"
_PROGRAM = "engineshed-client"
# Who updates an engine of another account gives files to it, and sees and ends its processes.
_OF_ROOT = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_SYS_PTRACE"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdaterService:
    """What the units of one base are made of.

    Attributes:
        base: the folder that holds the engine and ``update/``, absolute.
        user: the account the updater, and with it the engine, runs as.
        instance: tells several engines on one host apart; None for the only one.
        engine_units: units that start the engine, when it is not the updater that does.
        scripts: folder of the programs, as ``/opt/engineshed/bin``.
        interpreter: folder of the Python they run by, as ``/usr``.
    """

    base: Path
    user: str
    instance: str | None
    engine_units: tuple[str, ...]
    scripts: Path
    interpreter: Path

    @property
    def needed(self) -> tuple[Path, ...]:
        """What the services must be able to read."""
        return (self.scripts / "python", self.scripts / _PROGRAM, self.base)

    @property
    def names(self) -> tuple[str, str]:
        """The names of the updater's and the recovery's unit.

        Raises:
            UnitRefused: code ``unit-name``.
        """
        suffix = "" if self.instance is None else f"-{check_instance(self.instance)}"
        return f"{UPDATER}{suffix}.service", f"{RECOVER}{suffix}.service"

    def units(self) -> tuple[Unit, Unit]:
        """The updater's and the recovery's unit.

        Raises:
            UnitRefused: a name or a place that cannot be.
        """
        updater, recover = self.names
        own = "" if self.instance is None else f" {self.instance}"
        engines = " ".join(check_unit_name(name) for name in self.engine_units)
        base = str(self.base)
        values = {
            "BASE_COMMENT": base,
            "USER": check_account(self.user),
            "INSTANCE": "updater" if self.instance is None else f"updater-{self.instance}",
            "UPDATER_UNIT": updater,
            "RECOVER_UNIT": recover,
            "BEFORE_ENGINE": f"Before={engines}" if engines else "",
            "REQUIRED_BY_ENGINE": f"RequiredBy={engines}" if engines else "",
            "SANDBOX": self._sandbox(),
        }
        launch = [str(self.scripts / "python"), "-m", _LAUNCHER, "--base", base]
        return (
            self._unit(UPDATER, values, name=updater, about=f"updater{own}", command=[*launch, "run"]),
            self._unit(RECOVER, values, name=recover, about=f"recovery{own}", command=[*launch, "recover"]),
        )

    def _unit(
        self, kind: str, values: Mapping[str, str], *, name: str, about: str, command: Sequence[str]
    ) -> Unit:
        own = {
            "UNIT": name,
            "DESCRIPTION": f"Engineshed {about}",
            "COMMAND": command_line(command),
        }
        text = render(_template(f"{kind}.service"), {**values, **own}, command=self._install())
        return Unit(name, text)

    def _install(self) -> list[str]:
        """The command line that writes these units."""
        words = [_PROGRAM, "--base", str(self.base), "service", "install", "--user", self.user]
        words += [] if self.instance is None else ["--name", self.instance]
        for name in self.engine_units:
            words += ["--engine-unit", name]
        return words

    def _sandbox(self) -> str:
        places = (self.base, self.scripts, self.interpreter)
        values = {
            "BASE": path_word(str(self.base)),
            "PROTECT_HOME": protect_home(places),
            "CAPABILITIES": _OF_ROOT if self.user == ROOT else "",
        }
        return fill(_template("sandbox.conf"), values).rstrip("\n")


def _template(name: str) -> str:
    return files("engineshed_client").joinpath("unit_files", name).read_text("utf-8")
